//! A Job spread over a fleet.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use longshore_tests::{Cluster, Job, Witness, secs};
use serde_json::json;

/// 100 indexes, at most ten at once, on three workers: every index once, all workers used.
pub(crate) async fn hundred_indexes(cluster: &Cluster) -> Result<()> {
    let witness = Witness::listen().await?;
    let job = Job::new("hundred", "echo index $JOB_COMPLETION_INDEX; sleep 1").indexed(100, 10);
    let job = cluster.api().create(&job).await?;
    let uid = job["metadata"]["uid"].as_str().unwrap_or_default();

    let job = cluster.api().finished("hundred", "Complete", secs(240)).await?;
    let status = &job["status"];
    ensure!(status["completedIndexes"] == "0-99", "{status}");
    ensure!(status["succeeded"] == 100, "{status}");
    ensure!(status["failed"].as_i64().unwrap_or(0) == 0, "{status}");
    ensure!(status["active"].as_i64().unwrap_or(0) == 0, "{status}");

    let runs = witness.ended(uid, secs(10)).await?;
    let indexes: BTreeSet<u32> = runs.iter().filter_map(|run| run.index.parse().ok()).collect();
    ensure!(indexes == (0..100).collect(), "ran: {indexes:?}");
    ensure!(runs.len() == 100, "{} containers for 100 indexes", runs.len());
    let most = witness.most_at_once(uid);
    ensure!(most <= 10, "{most} at once");
    ensure!(most > 5, "never more than {most} at once, of ten that were allowed");
    let workers: BTreeSet<&str> = runs.iter().map(|run| run.worker.as_str()).collect();
    ensure!(workers == BTreeSet::from(["worker-1", "worker-2", "worker-3"]), "{workers:?}");

    // What a client sees agrees with what Docker saw.
    let pods = cluster.api().pods("hundred").await?;
    ensure!(pods.len() == 100, "{} pods", pods.len());
    ensure!(pods.iter().all(|pod| pod["status"]["phase"] == "Succeeded"));
    let key = "batch.kubernetes.io/job-completion-index";
    let pod = pods.iter().find(|pod| pod["metadata"]["annotations"][key] == json!("42"));
    let pod = pod.and_then(|pod| pod["metadata"]["name"].as_str()).unwrap_or_default();
    let log = cluster.api().log(pod).await?;
    ensure!(log == "index 42\n", "{log:?}");
    Ok(())
}
