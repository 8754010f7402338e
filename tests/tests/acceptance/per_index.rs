//! `backoffLimitPerIndex` and `maxFailedIndexes`.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use longshore_tests::{Cluster, Job, secs};
use serde_json::json;

use super::status::{counters, failed};

const ODD_FAIL: &str = "exit $((JOB_COMPLETION_INDEX % 2))";

pub(crate) async fn all_are_executed(cluster: &Cluster) -> Result<()> {
    let job = per_index("odd-indexes-fail", ODD_FAIL, 1).indexed(4, 2);
    cluster.api().create(&job).await?;
    let job = cluster.api().finished("odd-indexes-fail", "Failed", secs(60)).await?;
    failed(&job["status"], "FailedIndexes")?;
    ensure!(job["status"]["failedIndexes"] == "1,3", "{}", job["status"]);
    ensure!(job["status"]["completedIndexes"] == "0,2", "{}", job["status"]);
    ensure!(counters(&job["status"]) == [0, 0, 0, 2, 4], "{}", job["status"]);
    Ok(())
}

pub(crate) async fn max_failed_indexes(cluster: &Cluster) -> Result<()> {
    let job = per_index("too-many-fail", "exit 1", 0).indexed(2, 1);
    cluster.api().create(&job.spec("maxFailedIndexes", 0.into())).await?;
    let job = cluster.api().finished("too-many-fail", "Failed", secs(60)).await?;
    failed(&job["status"], "MaxFailedIndexesExceeded")?;
    ensure!(job["status"]["failedIndexes"] == "0", "{}", job["status"]);
    ensure!(job["status"]["completedIndexes"].as_str().unwrap_or_default().is_empty());
    ensure!(counters(&job["status"]) == [0, 0, 0, 0, 1], "{}", job["status"]);
    Ok(())
}

pub(crate) async fn annotations(cluster: &Cluster) -> Result<()> {
    let job = per_index("annotated", "exit 1", 1).indexed(2, 2);
    cluster.api().create(&job).await?;
    let job = cluster.api().finished("annotated", "Failed", secs(60)).await?;
    failed(&job["status"], "FailedIndexes")?;
    ensure!(job["status"]["failedIndexes"] == "0,1", "{}", job["status"]);
    ensure!(counters(&job["status"]) == [0, 0, 0, 0, 4], "{}", job["status"]);
    let mut counts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in cluster.api().pods("annotated").await? {
        let annotation = |name: &str| {
            let value = &pod["metadata"]["annotations"][format!("batch.kubernetes.io/{name}")];
            value.as_str().unwrap_or("none").to_owned()
        };
        let index = counts.entry(annotation("job-completion-index")).or_default();
        index.push(annotation("job-index-failure-count"));
        index.sort_unstable();
    }
    let both = ["0".to_owned(), "1".to_owned()];
    ensure!(counts.len() == 2 && counts.values().all(|counts| *counts == both), "{counts:?}");
    Ok(())
}

pub(crate) async fn fail_index(cluster: &Cluster) -> Result<()> {
    let on = json!({"operator": "In", "values": [42]});
    let job = per_index("index-fails", "exit $((JOB_COMPLETION_INDEX * 42))", 1)
        .indexed(2, 2)
        .spec("podFailurePolicy", json!({"rules": [{"action": "FailIndex", "onExitCodes": on}]}));
    cluster.api().create(&job).await?;
    let job = cluster.api().finished("index-fails", "Failed", secs(60)).await?;
    failed(&job["status"], "FailedIndexes")?;
    ensure!(job["status"]["failedIndexes"] == "1", "{}", job["status"]);
    ensure!(job["status"]["completedIndexes"] == "0", "{}", job["status"]);
    ensure!(counters(&job["status"]) == [0, 0, 0, 1, 1], "{}", job["status"]);
    Ok(())
}

fn per_index(name: &str, script: &str, limit: u32) -> Job {
    let quick = Job::new(name, script).annotate("longshore.dev/backoff-base", "100ms");
    quick.spec("backoffLimitPerIndex", limit.into()).spec("backoffLimit", i32::MAX.into())
}
