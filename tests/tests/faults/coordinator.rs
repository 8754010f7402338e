//! The coordinator killed.

use anyhow::{Result, ensure};
use longshore_tests::{Cluster, Options, Witness, secs};
use rustix::process::Signal;

use super::steady::Steady;

/// kill -9 of the only coordinator in mid-run, started again: every outcome counts once, no index
/// runs twice.
pub(crate) async fn killed() -> Result<()> {
    let cluster = Cluster::start(Options::workers(3, 2)).await?;
    let witness = Witness::listen().await?;
    let job = Steady::start(&cluster, "no-coordinator", 40, 6, &[0, 1]).await?;
    for succeeded in [4, 20] {
        job.in_mid_run(succeeded).await?;
        cluster.signal("coordinator-1", Signal::KILL)?;
        // Attempts end meanwhile and nobody accounts for them yet.
        tokio::time::sleep(secs(2)).await;
        cluster.start_member("coordinator-1").await?;
    }
    let disrupted = job.judge(&witness, secs(90)).await?;
    ensure!(disrupted == 0, "{disrupted} attempts disrupted");
    let runs = witness.runs(&job.uid);
    ensure!(runs.len() == 40, "{} containers for 40 indexes", runs.len());
    ensure!(witness.most_at_once(&job.uid) <= 6);
    Ok(())
}
