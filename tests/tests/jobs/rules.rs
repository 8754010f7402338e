//! The rules of `batch/v1`, end to end.

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, Witness, condition, repository, secs};
use serde_json::{Value, json};

/// Fails twice, then succeeds; what it has learnt is in an `emptyDir`, which a restart keeps.
const THIRD_TIME: &str = "n=$(cat /kept/n 2>/dev/null || echo 0)
    echo try $n
    echo $((n + 1)) > /kept/n
    [ $n -ge 2 ]";

fn restarting(name: &str) -> Job {
    Job::new(name, THIRD_TIME)
        .pod("restartPolicy", json!("OnFailure"))
        .pod("volumes", json!([{"name": "kept", "emptyDir": {}}]))
        .container("volumeMounts", json!([{"name": "kept", "mountPath": "/kept"}]))
}

/// `restartPolicy: OnFailure`: the same Pod, restarted twice, and no failed Pod.
pub(crate) async fn on_failure(cluster: &Cluster) -> Result<()> {
    cluster.api().create(&restarting("in-place").retries(4)).await?;
    let job = cluster.api().finished("in-place", "Complete", secs(60)).await?;
    let status = &job["status"];
    ensure!(status["succeeded"] == 1 && status["failed"].as_i64().unwrap_or(0) == 0, "{status}");

    let pods = cluster.api().pods("in-place").await?;
    let [pod] = &pods[..] else { anyhow::bail!("{} pods", pods.len()) };
    let container = &pod["status"]["containerStatuses"][0];
    ensure!(container["restartCount"] == 2, "{container}");
    ensure!(container["state"]["terminated"]["exitCode"] == 0, "{container}");
    Ok(())
}

/// The failures of containers count, whether their Pods fail or are restarted.
pub(crate) async fn on_failure_limit(cluster: &Cluster) -> Result<()> {
    cluster.api().create(&restarting("never-in-place").retries(1)).await?;
    let job = cluster.api().finished("never-in-place", "Failed", secs(60)).await?;
    let reason = condition(&job["status"], "Failed").map(|failed| failed["reason"].clone());
    ensure!(reason == Some(json!("BackoffLimitExceeded")), "{}", job["status"]);
    Ok(())
}

/// NonIndexed, with completions: so many successes, no index shown.
pub(crate) async fn not_indexed(cluster: &Cluster) -> Result<()> {
    let witness = Witness::listen().await?;
    let script = "echo index: $JOB_COMPLETION_INDEX; sleep 0.5";
    let job = Job::new("five-times", script).spec("completions", 5.into());
    let job = cluster.api().create(&job.spec("parallelism", 2.into())).await?;
    let uid = job["metadata"]["uid"].as_str().context("uid")?;
    let job = cluster.api().finished("five-times", "Complete", secs(60)).await?;
    let status = &job["status"];
    ensure!(status["succeeded"] == 5 && status["completedIndexes"].is_null(), "{status}");
    ensure!(witness.ended(uid, secs(10)).await?.len() == 5);
    ensure!(witness.most_at_once(uid) <= 2);

    let pods = cluster.api().pods("five-times").await?;
    let key = "batch.kubernetes.io/job-completion-index";
    ensure!(pods.iter().all(|pod| pod["metadata"]["annotations"][key].is_null()), "{pods:?}");
    let pod = pods[0]["metadata"]["name"].as_str().context("name")?;
    ensure!(cluster.api().log(pod).await? == "index:\n");
    Ok(())
}

/// No completions: the first success says that the queue is empty; nothing new is started, what runs
/// may end.
pub(crate) async fn work_queue(cluster: &Cluster) -> Result<()> {
    let witness = Witness::listen().await?;
    let job = Job::new("queue", "sleep 2").spec("parallelism", 3.into());
    let job = cluster.api().create(&job).await?;
    ensure!(job["spec"]["completions"].is_null(), "{}", job["spec"]);
    let uid = job["metadata"]["uid"].as_str().context("uid")?;
    let job = cluster.api().finished("queue", "Complete", secs(60)).await?;
    let runs = witness.ended(uid, secs(10)).await?;
    ensure!(runs.len() <= 3, "started after a success: {runs:?}");
    ensure!(job["status"]["succeeded"] == runs.len(), "{}", job["status"]);
    Ok(())
}

pub(crate) async fn deadline(cluster: &Cluster) -> Result<()> {
    let witness = Witness::listen().await?;
    let job = Job::new("too-slow", "exec sleep 300")
        .indexed(2, 2)
        .spec("activeDeadlineSeconds", 2.into())
        .pod("terminationGracePeriodSeconds", 1.into());
    let job = cluster.api().create(&job).await?;
    let uid = job["metadata"]["uid"].as_str().context("uid")?;
    let job = cluster.api().finished("too-slow", "Failed", secs(60)).await?;
    let failed = condition(&job["status"], "Failed").context("Failed")?;
    ensure!(failed["reason"] == "DeadlineExceeded", "{failed}");
    ensure!(failed["message"] == "Job was active longer than specified deadline", "{failed}");
    witness.ended(uid, secs(3)).await?;
    Ok(())
}

pub(crate) async fn ttl(cluster: &Cluster) -> Result<()> {
    let job = Job::new("short-lived", "true").spec("ttlSecondsAfterFinished", 3.into());
    cluster.api().create(&job).await?;
    cluster.api().finished("short-lived", "Complete", secs(60)).await?;
    cluster.api().gone("short-lived", secs(10)).await?;
    ensure!(cluster.api().pods("short-lived").await?.is_empty());
    Ok(())
}

/// Nothing runs until the Job is resumed, and its clock starts then.
pub(crate) async fn created_suspended(cluster: &Cluster) -> Result<()> {
    let witness = Witness::listen().await?;
    let job = Job::new("later", "true").spec("suspend", true.into());
    let job = cluster.api().create(&job).await?;
    let uid = job["metadata"]["uid"].as_str().context("uid")?;
    let suspended = |status: &serde_json::Value| condition(status, "Suspended").is_some();
    let job = cluster.api().job_until("later", "suspended", secs(10), suspended).await?;
    ensure!(job["status"]["startTime"].is_null(), "{}", job["status"]);
    ensure!(witness.runs(uid).is_empty() && cluster.api().pods("later").await?.is_empty());

    cluster.api().patch("later", &json!({"spec": {"suspend": false}})).await?;
    let job = cluster.api().finished("later", "Complete", secs(60)).await?;
    ensure!(!job["status"]["startTime"].is_null(), "{}", job["status"]);
    Ok(())
}

/// 0 pauses a Job; what is raised later is used.
pub(crate) async fn parallelism_changes(cluster: &Cluster) -> Result<()> {
    let witness = Witness::listen().await?;
    let job = cluster.api().create(&Job::new("paused", "sleep 3").indexed(4, 0)).await?;
    let uid = job["metadata"]["uid"].as_str().context("uid")?;
    let seen = |status: &serde_json::Value| !status["startTime"].is_null();
    cluster.api().job_until("paused", "seen by its owner", secs(10), seen).await?;
    ensure!(witness.runs(uid).is_empty());
    cluster.api().patch("paused", &json!({"spec": {"parallelism": 4}})).await?;
    cluster.api().finished("paused", "Complete", secs(60)).await?;
    witness.ended(uid, secs(10)).await?;
    ensure!(witness.most_at_once(uid) > 1, "{:?}", witness.runs(uid));
    Ok(())
}

/// The README's way to at most one try, read from there: an eviction, as any disruption, fails the Job.
pub(crate) async fn at_most_one_try(cluster: &Cluster) -> Result<()> {
    let readme = std::fs::read_to_string(repository().join("README.md"))?;
    let block = readme.split("```yaml\n").find(|block| block.starts_with("podFailurePolicy:"));
    let block = block.and_then(|block| block.split("```").next()).context("the README's rule")?;
    let policy: Value = serde_yaml_ng::from_str(block)?;
    let job = Job::new("one-try", "exec sleep 1000")
        .retries(6)
        .spec("podFailurePolicy", policy["podFailurePolicy"].clone())
        .pod("terminationGracePeriodSeconds", json!(1));
    cluster.api().create(&job).await?;
    cluster.api().job_until("one-try", "running", secs(60), |status| status["ready"] == 1).await?;
    let pods = cluster.api().pods("one-try").await?;
    let pod = pods.first().context("a Pod")?["metadata"]["name"].as_str().unwrap_or_default();
    let path = format!("/api/v1/namespaces/default/pods/{pod}/eviction");
    cluster.api().post(&path, &json!({"metadata": {"name": pod}})).await?.ok()?;
    let job = cluster.api().finished("one-try", "Failed", secs(60)).await?;
    let failed = condition(&job["status"], "Failed").context("Failed")?;
    ensure!(failed["reason"] == "PodFailurePolicy", "{failed}");
    ensure!(job["status"]["failed"] == 1, "{}", job["status"]);
    Ok(())
}
