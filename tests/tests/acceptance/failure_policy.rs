//! `podFailurePolicy`.

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, condition, secs};
use serde_json::{Value, json};

use super::completion::with_marks;
use super::status::{completed, counters, failed};

/// Exits with a code the first time that an index is run over these marks.
fn once(code: u8) -> String {
    format!("mark=/marks/$JOB_COMPLETION_INDEX; [ -e $mark ] || {{ touch $mark; exit {code}; }}")
}

fn on_exit_code(action: &str, code: u8) -> Value {
    let on = json!({"operator": "In", "values": [code]});
    json!({"rules": [{"action": action, "onExitCodes": on}]})
}

fn on_disruption(action: &str) -> Value {
    json!({"rules": [{"action": action, "onPodConditions": [{"type": "DisruptionTarget"}]}]})
}

pub(crate) async fn fail_early(cluster: &Cluster) -> Result<()> {
    let job = Job::new("fails-early", "exit 1")
        .retries(6)
        .spec("podFailurePolicy", on_exit_code("FailJob", 1));
    cluster.api().create(&job).await?;
    let job = cluster.api().finished("fails-early", "Failed", secs(60)).await?;
    failed(&job["status"], "PodFailurePolicy")?;
    ensure!(counters(&job["status"]) == [0, 0, 0, 0, 1], "{}", job["status"]);
    let pods = cluster.api().pods("fails-early").await?;
    let [pod] = &pods[..] else { anyhow::bail!("{} pods", pods.len()) };
    let pod = pod["metadata"]["name"].as_str().context("name")?;
    let message = condition(&job["status"], "Failed").context("Failed")?["message"].clone();
    ensure!(
        message
            == format!(
                "Container main for pod default/{pod} failed with exit code 1 matching FailJob \
                 rule at index 0"
            ),
        "{message}"
    );
    Ok(())
}

pub(crate) async fn ignore_exit_code(cluster: &Cluster) -> Result<()> {
    let job = Job::new("ignores-42", &once(42))
        .indexed(3, 3)
        .retries(2)
        .spec("podFailurePolicy", on_exit_code("Ignore", 42));
    let (job, _marks) = with_marks(job)?;
    cluster.api().create(&job).await?;
    let job = cluster.api().finished("ignores-42", "Complete", secs(60)).await?;
    completed(&job["status"], "CompletionsReached")?;
    ensure!(counters(&job["status"]) == [0, 0, 0, 3, 0], "{}", job["status"]);
    ensure!(cluster.api().pods("ignores-42").await?.len() == 6);
    Ok(())
}

/// All three Pods are evicted, and replaced at no cost.
pub(crate) async fn ignore_disruption(cluster: &Cluster) -> Result<()> {
    let job = evicted("evicted", on_disruption("Ignore"), 0);
    let job = evict_all(cluster, "evicted", job).await?;
    completed(&job["status"], "CompletionsReached")?;
    ensure!(counters(&job["status"]) == [0, 0, 0, 3, 0], "{}", job["status"]);
    Ok(())
}

/// The rule may go by the exit code of SIGTERM as well.
pub(crate) async fn ignore_evicted_by_exit_code(cluster: &Cluster) -> Result<()> {
    let policy = on_exit_code("Ignore", 143);
    let job = evict_all(cluster, "evicted-143", evicted("evicted-143", policy, 0)).await?;
    completed(&job["status"], "CompletionsReached")?;
    ensure!(counters(&job["status"]) == [0, 0, 0, 3, 0], "{}", job["status"]);
    Ok(())
}

pub(crate) async fn not_counted(cluster: &Cluster) -> Result<()> {
    let job = Job::new("not-counted", &once(137))
        .indexed(2, 2)
        .retries(0)
        .spec("podFailurePolicy", on_exit_code("Ignore", 137));
    let (job, _marks) = with_marks(job)?;
    cluster.api().create(&job).await?;
    let job = cluster.api().finished("not-counted", "Complete", secs(60)).await?;
    completed(&job["status"], "CompletionsReached")?;
    ensure!(counters(&job["status"]) == [0, 0, 0, 2, 0], "{}", job["status"]);
    Ok(())
}

/// Three indexes that end when the mark `go` is there.
fn evicted(name: &str, policy: Value, limit: u32) -> Job {
    Job::new(name, "until [ -e /marks/go ]; do sleep 0.1; done")
        .indexed(3, 3)
        .retries(limit)
        .pod("terminationGracePeriodSeconds", 5.into())
        .spec("podFailurePolicy", policy)
}

/// Runs the Job, evicts each of its Pods once, and lets their replacements end.
async fn evict_all(cluster: &Cluster, name: &str, job: Job) -> Result<Value> {
    let api = cluster.api();
    let (job, marks) = with_marks(job)?;
    api.create(&job).await?;
    api.job_until(name, "all run", secs(60), |status| status["ready"] == 3).await?;
    let before = api.pods(name).await?;
    for pod in &before {
        let pod = pod["metadata"]["name"].as_str().context("name")?;
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": pod, "namespace": "default"}});
        api.post(&format!("/api/v1/namespaces/default/pods/{pod}/eviction"), &eviction)
            .await?
            .ok()?;
    }
    // An evicted Pod is gone when it has ended.
    let is_new =
        |pod: &Value| before.iter().all(|old| old["metadata"]["uid"] != pod["metadata"]["uid"]);
    let replaced = |pods: &[Value]| {
        let runs = |pod: &Value| pod["status"]["phase"] == "Running" && is_new(pod);
        pods.len() == 3 && pods.iter().all(runs)
    };
    api.pods_until(name, "all are replaced", secs(60), replaced).await?;
    std::fs::write(marks.path().join("go"), "")?;
    api.finished(name, "Complete", secs(60)).await
}
