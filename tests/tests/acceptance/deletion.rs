//! Deleted Pods and Jobs.

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, Witness, secs};
use serde_json::Value;

use super::status::{completed, counters};

/// A deleted Pod counts, and is replaced, only when it has failed.
pub(crate) async fn replaced_after_failure(cluster: &Cluster) -> Result<()> {
    let api = cluster.api();
    let script = "trap 'sleep 5; exit 143' TERM; while true; do sleep 0.2; done";
    let job = Job::new("replaced", script)
        .retries(6)
        .spec("podReplacementPolicy", "Failed".into())
        .pod("terminationGracePeriodSeconds", 15.into());
    api.create(&job).await?;
    api.job_until("replaced", "runs", secs(60), |status| status["ready"] == 1).await?;
    let pods = api.pods("replaced").await?;
    let pod = pods[0]["metadata"]["name"].as_str().context("name")?;
    cluster.kubectl().ok(&["delete", "pod", pod, "--wait=false"]).await?;

    let stands = |active: i64, failed: i64, terminating: i64| {
        move |status: &Value| {
            let [now, _, going, _, lost] = counters(status);
            (now, lost, going) == (active, failed, terminating)
        }
    };
    api.job_until("replaced", "one terminates", secs(20), stands(0, 0, 1)).await?;
    let shown = cluster.kubectl().ok(&["get", "pod", pod]).await?;
    ensure!(shown.contains("Terminating"), "{shown}");
    api.job_until("replaced", "one is replaced", secs(30), stands(1, 1, 0)).await?;
    let gone = cluster.kubectl().run(&["get", "pod", pod]).await?;
    ensure!(gone.code != 0 && gone.stderr.contains("NotFound"), "{gone:?}");
    api.delete("replaced").await?;
    api.gone("replaced", secs(30)).await
}

pub(crate) async fn pods_are_removed(cluster: &Cluster) -> Result<()> {
    let api = cluster.api();
    let witness = Witness::listen().await?;
    let job = api.create(&endless("with-pods")).await?;
    let uid = job["metadata"]["uid"].as_str().context("uid")?;
    api.job_until("with-pods", "two run", secs(60), |status| status["ready"] == 2).await?;
    api.delete("with-pods").await?;
    api.gone("with-pods", secs(20)).await?;
    ensure!(api.pods("with-pods").await?.is_empty());
    witness.ended(uid, secs(5)).await?;
    Ok(())
}

pub(crate) async fn job(cluster: &Cluster) -> Result<()> {
    let api = cluster.api();
    api.create(&endless("to-be-deleted")).await?;
    api.job_until("to-be-deleted", "two run", secs(60), |status| status["ready"] == 2).await?;
    cluster.kubectl().ok(&["delete", "job", "to-be-deleted", "--timeout=30s"]).await?;
    let reply = api.get("/apis/batch/v1/namespaces/default/jobs/to-be-deleted").await?;
    ensure!(reply.code == 404, "{}: {}", reply.code, reply.text);
    Ok(())
}

pub(crate) async fn after_ttl(cluster: &Cluster) -> Result<()> {
    let api = cluster.api();
    let job = Job::new("rand-non-local", "true").spec("ttlSecondsAfterFinished", 3.into());
    api.create(&job.spec("completions", 4.into()).spec("parallelism", 2.into())).await?;
    let job = api.finished("rand-non-local", "Complete", secs(60)).await?;
    completed(&job["status"], "CompletionsReached")?;
    api.gone("rand-non-local", secs(15)).await
}

/// Two of four run until they are stopped.
fn endless(name: &str) -> Job {
    Job::new(name, "exec sleep 1000000")
        .spec("parallelism", 2.into())
        .spec("completions", 4.into())
        .pod("terminationGracePeriodSeconds", 1.into())
}
