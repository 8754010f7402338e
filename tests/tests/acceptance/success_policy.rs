//! `successPolicy`.

use anyhow::{Result, ensure};
use longshore_tests::{Cluster, Job, secs};
use serde_json::{Value, json};

use super::status::{completed, counters};

/// Even indexes succeed; odd ones fail, but not before their neighbour has ended.
const ODD_FAIL: &str = "[ $((JOB_COMPLETION_INDEX % 2)) = 0 ] || { sleep 2; exit 1; }";

pub(crate) async fn all(cluster: &Cluster) -> Result<()> {
    let job = Job::new("all-of-them", "true").indexed(2, 2);
    let status = run(cluster, "all-of-them", job, json!({"succeededCount": 2})).await?;
    ensure!(status["completedIndexes"] == "0,1", "{status}");
    ensure!(counters(&status) == [0, 0, 0, 2, 0], "{status}");
    Ok(())
}

pub(crate) async fn indexes(cluster: &Cluster) -> Result<()> {
    let job = Job::new("the-leader", ODD_FAIL).indexed(5, 2);
    let status = run(cluster, "the-leader", job, json!({"succeededIndexes": "0"})).await?;
    ensure!(status["completedIndexes"] == "0", "{status}");
    ensure!(counters(&status) == [0, 0, 0, 1, 0], "{status}");
    Ok(())
}

pub(crate) async fn count(cluster: &Cluster) -> Result<()> {
    let job = Job::new("any-one", ODD_FAIL).indexed(5, 2).retries(i32::MAX.unsigned_abs());
    let status = run(cluster, "any-one", job, json!({"succeededCount": 1})).await?;
    ensure!(status["completedIndexes"] == "0", "{status}");
    ensure!(counters(&status) == [0, 0, 0, 1, 0], "{status}");
    Ok(())
}

/// Runs the Job with a policy of one rule to its end.
async fn run(cluster: &Cluster, name: &str, job: Job, rule: Value) -> Result<Value> {
    let job = job
        .pod("terminationGracePeriodSeconds", 1.into())
        .spec("successPolicy", json!({"rules": [rule]}));
    cluster.api().create(&job).await?;
    let job = cluster.api().finished(name, "Complete", secs(60)).await?;
    completed(&job["status"], "SuccessPolicy")?;
    Ok(job["status"].clone())
}
