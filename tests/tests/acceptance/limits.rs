//! Jobs that fail at a limit.

use anyhow::{Result, ensure};
use longshore_tests::{Cluster, Job, secs};

use super::status::{counters, failed};

pub(crate) async fn deadline(cluster: &Cluster) -> Result<()> {
    let job = Job::new("past-deadline", "exec sleep 1000000")
        .spec("parallelism", 2.into())
        .spec("completions", 4.into())
        .spec("activeDeadlineSeconds", 1.into())
        .pod("terminationGracePeriodSeconds", 1.into());
    cluster.api().create(&job).await?;
    let job = cluster.api().finished("past-deadline", "Failed", secs(60)).await?;
    failed(&job["status"], "DeadlineExceeded")
}

pub(crate) async fn backoff_limit(cluster: &Cluster) -> Result<()> {
    cluster.api().create(&Job::new("past-limit", "exit 1").retries(1)).await?;
    let job = cluster.api().finished("past-limit", "Failed", secs(60)).await?;
    failed(&job["status"], "BackoffLimitExceeded")?;
    ensure!(counters(&job["status"]) == [0, 0, 0, 0, 2], "{}", job["status"]);
    let pods = cluster.api().pods("past-limit").await?;
    ensure!(pods.len() == 2, "{} pods", pods.len());
    ensure!(pods.iter().all(|pod| pod["status"]["phase"] == "Failed"), "{pods:?}");
    Ok(())
}
