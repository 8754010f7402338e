//! A Job in mid-run and a steady load of a second one: what faults are tested on.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, Witness, secs};
use serde_json::Value;

/// A Job that runs while a fault comes and goes, and what is known of it.
pub(crate) struct Steady<'a> {
    cluster: &'a Cluster,
    pub(crate) name: String,
    pub(crate) uid: String,
    completions: u32,
}

impl<'a> Steady<'a> {
    /// Creates a Job of which `parallelism` indexes run at once. Index `i` takes `seconds[i % n]`.
    pub(crate) async fn start(
        cluster: &'a Cluster,
        name: &str,
        completions: u32,
        parallelism: u32,
        seconds: &[u32],
    ) -> Result<Self> {
        let list: Vec<String> = seconds.iter().map(u32::to_string).collect();
        let script = format!(
            "set -- {}; shift $((JOB_COMPLETION_INDEX % $#)); sleep $1
            echo index $JOB_COMPLETION_INDEX is done",
            list.join(" ")
        );
        let job = Job::new(name, &script).indexed(completions, parallelism);
        let job = cluster.api().create(&job).await?;
        let uid = job["metadata"]["uid"].as_str().context("uid")?.to_owned();
        Ok(Self { cluster, name: name.to_owned(), uid, completions })
    }

    /// Waits until some of it is done and some of it runs.
    pub(crate) async fn in_mid_run(&self, succeeded: i64) -> Result<()> {
        let wanted = |status: &Value| {
            status["succeeded"].as_i64() >= Some(succeeded) && status["ready"].as_i64() >= Some(1)
        };
        self.cluster.api().job_until(&self.name, "in mid-run", secs(60), wanted).await?;
        Ok(())
    }

    /// Waits for the end and judges it: Complete, nothing failed, each index succeeded in exactly one
    /// attempt, and no two containers of one index at a time. Gives the number of attempts that were
    /// disrupted.
    pub(crate) async fn judge(&self, witness: &Witness, bound: Duration) -> Result<usize> {
        let disrupted = self.judge_without_engines(bound).await?;
        witness.ended(&self.uid, secs(30)).await?;
        witness.never_twice(&self.uid)?;
        Ok(disrupted)
    }

    /// The same, without what Docker says, while an engine says nothing.
    pub(crate) async fn judge_without_engines(&self, bound: Duration) -> Result<usize> {
        let job = self.cluster.api().finished(&self.name, "Complete", bound).await?;
        let status = &job["status"];
        ensure!(status["succeeded"] == self.completions, "{status}");
        ensure!(status["completedIndexes"] == format!("0-{}", self.completions - 1), "{status}");
        ensure!(status["failed"].as_i64().unwrap_or(0) == 0, "{status}");

        let pods = self.cluster.api().pods(&self.name).await?;
        let mut successes: BTreeMap<String, u32> = BTreeMap::new();
        for pod in pods.iter().filter(|pod| pod["status"]["phase"] == "Succeeded") {
            *successes.entry(index(pod)).or_default() += 1;
        }
        ensure!(successes.len() == self.completions as usize, "{successes:?}");
        ensure!(successes.values().all(|times| *times == 1), "{successes:?}");

        let disrupted = pods.iter().filter(|pod| is_disrupted(pod)).count();
        ensure!(
            pods.len() == self.completions as usize + disrupted,
            "{} pods, {disrupted} disrupted",
            pods.len()
        );
        Ok(disrupted)
    }
}

pub(crate) fn index(pod: &Value) -> String {
    let key = "batch.kubernetes.io/job-completion-index";
    pod["metadata"]["annotations"][key].as_str().unwrap_or_default().to_owned()
}

/// Lost through no fault of its container, as Kubernetes shows it.
pub(crate) fn is_disrupted(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|all| {
        all.iter().any(|c| c["type"] == "DisruptionTarget" && c["status"] == "True")
    })
}
