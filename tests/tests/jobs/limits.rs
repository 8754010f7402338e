//! `backoffLimit` counts failures of containers exactly.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, Witness, condition, secs};
use serde_json::Value;

/// Index 3 always fails; with two retries there are exactly three attempts, each with its log.
pub(crate) async fn backoff_limit(cluster: &Cluster) -> Result<()> {
    let witness = Witness::listen().await?;
    // The other indexes are done before the Job fails, or they would be counted as well.
    let script = "echo $HOSTNAME of $LONGSHORE_FENCING_TOKEN
        [ $JOB_COMPLETION_INDEX != 3 ] || { sleep 2; exit 7; }";
    let job = Job::new("three-failures", script).indexed(5, 5).retries(2);
    let job = cluster.api().create(&job).await?;
    let uid = job["metadata"]["uid"].as_str().context("uid")?;

    let job = cluster.api().finished("three-failures", "Failed", secs(90)).await?;
    let status = &job["status"];
    for kind in ["FailureTarget", "Failed"] {
        let condition = condition(status, kind).with_context(|| format!("no {kind}: {status}"))?;
        ensure!(condition["reason"] == "BackoffLimitExceeded", "{condition}");
        ensure!(
            condition["message"] == "Job has reached the specified backoff limit",
            "{condition}"
        );
    }
    ensure!(status["failed"] == 3, "{status}");
    ensure!(status["completedIndexes"] == "0-2,4", "{status}");
    ensure!(status["completionTime"].is_null(), "{status}");

    let runs = witness.ended(uid, secs(10)).await?;
    ensure!(runs.iter().filter(|run| run.index == "3").count() == 3, "{runs:?}");
    ensure!(runs.len() == 7, "{runs:?}");

    let pods = cluster.api().pods("three-failures").await?;
    let failed: Vec<&Value> = pods.iter().filter(|p| p["status"]["phase"] == "Failed").collect();
    ensure!(failed.len() == 3, "{failed:?}");
    let mut logs = BTreeSet::new();
    for pod in failed {
        let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        ensure!(ended["exitCode"] == 7 && ended["reason"] == "Error", "{ended}");
        let name = pod["metadata"]["name"].as_str().context("name")?;
        ensure!(name.starts_with("three-failures-3-"), "{name}");
        let log = cluster.api().log(name).await?;
        ensure!(log.starts_with("three-failures-3 of "), "{log:?}");
        logs.insert(log);
    }
    ensure!(logs.len() == 3, "logs of one attempt under another's name: {logs:?}");
    Ok(())
}

/// When a Job fails, what still runs is stopped and counted as failed, as in Kubernetes.
pub(crate) async fn others_are_stopped(cluster: &Cluster) -> Result<()> {
    let witness = Witness::listen().await?;
    let script = "[ $JOB_COMPLETION_INDEX = 0 ] || exec sleep 300; sleep 2; exit 1";
    let job = Job::new("all-or-nothing", script)
        .indexed(3, 3)
        .pod("terminationGracePeriodSeconds", 1.into());
    let job = cluster.api().create(&job).await?;
    let uid = job["metadata"]["uid"].as_str().context("uid")?;
    let job = cluster.api().finished("all-or-nothing", "Failed", secs(60)).await?;
    let status = &job["status"];
    // Since Kubernetes 1.31 the Job is Failed only when nothing runs any more.
    ensure!(witness.ended(uid, secs(3)).await?.len() <= 3);
    ensure!(status["failed"] == 3, "{status}");
    for counter in ["active", "ready", "terminating"] {
        ensure!(status[counter].as_i64().unwrap_or(0) == 0, "{status}");
    }
    Ok(())
}

/// A failure within the limit costs a retry and nothing more.
pub(crate) async fn one_retry(cluster: &Cluster) -> Result<()> {
    let folder = tempfile::Builder::new().tempdir_in(super::template::host_paths()?)?;
    let script = "[ -e /mark/tried ] && exit 0; touch /mark/tried; exit 1";
    let job = Job::new("second-try", script)
        .retries(3)
        .pod("volumes", super::template::host_path("mark", folder.path()))
        .container("volumeMounts", serde_json::json!([{"name": "mark", "mountPath": "/mark"}]));
    cluster.api().create(&job).await?;
    let job = cluster.api().finished("second-try", "Complete", secs(60)).await?;
    let status = &job["status"];
    ensure!(status["failed"] == 1 && status["succeeded"] == 1, "{status}");
    ensure!(condition(status, "SuccessCriteriaMet").is_some(), "{status}");
    ensure!(cluster.api().pods("second-try").await?.len() == 2);
    Ok(())
}
