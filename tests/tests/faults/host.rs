//! Hosts that are of no use for a while: nothing of a Job is used up there.

use std::fs;
use std::io::Write;
use std::time::Instant;

use anyhow::{Result, ensure};
use longshore_tests::{Cluster, Engine, Options, Witness, secs};
use rustix::process::Signal;

use super::steady::Steady;
use super::worker::{extra_worker, is_running, node_until};

/// The Docker daemon stops answering while containers run and while others are to be started: what ends
/// counts by its launcher's record, what can't start runs elsewhere.
pub(crate) async fn daemon_hangs() -> Result<()> {
    let engine = Engine::start("ls-tests-1").await?;
    let host = engine.host();
    let cluster = Cluster::start(Options::workers(1, 2)).await?;
    let witness = Witness::listen_to(&[None, Some(&host)]).await?;
    let _worker = extra_worker(&cluster, "worker-apart", &host)?;
    node_until(&cluster, "worker-apart", "Ready", secs(30)).await?;
    let job = Steady::start(&cluster, "hung-daemon", 16, 4, &[4]).await?;
    cluster
        .api()
        .pods_until(&job.name, "two run apart", secs(60), |pods| {
            let apart = pods.iter().filter(|pod| pod["spec"]["nodeName"] == "worker-apart");
            apart.filter(|pod| is_running(pod)).count() == 2
        })
        .await?;

    engine.signal(Signal::STOP)?;
    let stopped = Instant::now();
    node_until(&cluster, "worker-apart", "RuntimeUnavailable", secs(20)).await?;
    println!("NotReady after {:?}", stopped.elapsed());
    // All of it ends while the daemon hangs still.
    let disrupted = job.judge_without_engines(secs(120)).await?;
    ensure!(disrupted <= 2, "{disrupted} disrupted: more than were being started");
    engine.signal(Signal::CONT)?;
    node_until(&cluster, "worker-apart", "Ready", secs(30)).await?;
    witness.ended(&job.uid, secs(30)).await?;
    witness.never_twice(&job.uid)
}

/// No container can be started on a host any more: its worker steps aside within seconds, and comes back
/// when a probe container runs.
pub(crate) async fn disk_full() -> Result<()> {
    let engine = Engine::start_on_a_disk_of("ls-tests-2", 96).await?;
    let cluster = Cluster::start(Options::workers(1, 2)).await?;
    let witness = Witness::listen_to(&[None, Some(&engine.host())]).await?;
    let _worker = extra_worker(&cluster, "worker-apart", &engine.host())?;
    node_until(&cluster, "worker-apart", "Ready", secs(30)).await?;

    let fill = engine.data().join("fill");
    let mut file = fs::File::create(&fill)?;
    while file.write_all(&[0; 4096]).is_ok() {}
    let job = Steady::start(&cluster, "full-disk", 16, 4, &[1]).await?;
    let begun = Instant::now();
    node_until(&cluster, "worker-apart", "StartsFail", secs(20)).await?;
    println!("NotReady after {:?}", begun.elapsed());
    let disrupted = job.judge(&witness, secs(90)).await?;
    // Three in a row, or one after a probe for which there was room; one more in the other slot.
    ensure!((3..=8).contains(&disrupted), "{disrupted} disrupted");

    drop(file);
    fs::remove_file(&fill)?;
    node_until(&cluster, "worker-apart", "Ready", secs(60)).await?;
    let job = Steady::start(&cluster, "room-again", 8, 4, &[2]).await?;
    let disrupted = job.judge(&witness, secs(60)).await?;
    ensure!(disrupted == 0, "{disrupted} disrupted");
    let workers = witness.runs(&job.uid).into_iter().map(|run| run.worker);
    ensure!(workers.into_iter().any(|worker| worker == "worker-apart"), "it takes nothing");
    Ok(())
}

/// With live-restore an upgrade of Docker costs nothing: containers run on without the daemon, and how
/// they end under the next one counts.
pub(crate) async fn daemon_upgraded() -> Result<()> {
    let engine = Engine::start_with_live_restore("ls-tests-3").await?;
    let host = engine.host();
    let cluster = Cluster::start(Options::workers(0, 2)).await?;
    let witness = Witness::listen_to(&[Some(&host)]).await?;
    let _worker = extra_worker(&cluster, "worker-apart", &host)?;
    node_until(&cluster, "worker-apart", "Ready", secs(30)).await?;
    let job = Steady::start(&cluster, "upgrade", 4, 2, &[8]).await?;
    cluster
        .api()
        .pods_until(&job.name, "two run", secs(60), |pods| {
            pods.iter().filter(|pod| is_running(pod)).count() == 2
        })
        .await?;
    // All that run do so for some seconds more.
    engine.restart().await?;
    let disrupted = job.judge(&witness, secs(90)).await?;
    ensure!(disrupted == 0, "{disrupted} disrupted");
    Ok(())
}
