//! Redis and RabbitMQ frozen, ended and killed, for a short and for a long time.

use anyhow::{Context, Result, bail, ensure};
use lapin::options::QueuePurgeOptions;
use longshore_tests::{Cluster, Options, TICKETS, Witness, secs};
use rustix::process::Signal;

use super::steady::Steady;

/// The default lease, in seconds.
const LEASE: u64 = 15;

/// How a server is taken away.
const WAYS: [(&str, Signal); 3] =
    [("frozen", Signal::STOP), ("ended", Signal::TERM), ("killed", Signal::KILL)];

pub(crate) async fn redis_30_s() -> Result<()> {
    each_way(&["redis"], 30).await
}

pub(crate) async fn rabbitmq_30_s() -> Result<()> {
    each_way(&["rabbitmq"], 30).await
}

pub(crate) async fn both_5_s() -> Result<()> {
    each_way(&["redis", "rabbitmq"], 5).await
}

/// The work queue is emptied while tickets wait in it and attempts run.
pub(crate) async fn tickets_purged() -> Result<()> {
    let cluster = fleet().await?;
    let witness = Witness::listen().await?;
    let load = Steady::start(&cluster, "load", 30, 2, &[0]).await?;
    // More at once than there are slots: the rest waits in the queue.
    let job = Steady::start(&cluster, "purged", 24, 12, &[2]).await?;
    job.in_mid_run(3).await?;
    let (_connection, channel) = cluster.rabbitmq().await?;
    let purged = channel.queue_purge(TICKETS.into(), QueuePurgeOptions::default()).await?;
    ensure!(purged > 0, "there was nothing to purge");
    for job in [&job, &load] {
        let disrupted = job.judge(&witness, secs(90)).await?;
        ensure!(disrupted == 0, "{disrupted} attempts disrupted");
    }
    Ok(())
}

/// Takes each server away in each way for so many seconds, each time in the middle of a new Job.
async fn each_way(servers: &[&str], seconds: u64) -> Result<()> {
    let cluster = fleet().await?;
    let witness = Witness::listen().await?;
    let mut failures = Vec::new();
    for server in servers {
        for (way, signal) in WAYS {
            let what = format!("{server}-{way}-{seconds}s");
            match survives(&cluster, &witness, &what, server, signal, seconds).await {
                Ok(disrupted) => println!("{what}: {disrupted} attempts disrupted"),
                Err(error) => {
                    failures.push(format!("{what}: {error:#}"));
                    // The other ways are tried all the same.
                    let _ended = cluster.signal(server, Signal::CONT);
                    cluster.start_member(server).await?;
                }
            }
        }
    }
    if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("\n")) }
}

/// One server away for so many seconds in mid-run; gives the number of disrupted attempts.
async fn survives(
    cluster: &Cluster,
    witness: &Witness,
    what: &str,
    server: &str,
    signal: Signal,
    seconds: u64,
) -> Result<usize> {
    // Some attempts end while the server is away, some after it is back, some have to be ended by
    // their launchers in a long outage.
    let (completions, durations): (u32, &[u32]) =
        if seconds > LEASE { (6, &[1, 5, 18]) } else { (9, &[1, 4, 8]) };
    let load = Steady::start(cluster, &format!("load-of-{what}"), 20, 2, &[1]).await?;
    let job = Steady::start(cluster, what, completions, 4, durations).await?;
    job.in_mid_run(1).await?;

    cluster.signal(server, signal)?;
    tokio::time::sleep(secs(seconds)).await;
    if signal == Signal::STOP {
        cluster.signal(server, Signal::CONT)?;
    } else {
        cluster.start_member(server).await.context("started again")?;
    }

    let mut disrupted = 0;
    for job in [&job, &load] {
        disrupted += job.judge(witness, secs(90)).await.with_context(|| job.name.clone())?;
    }
    ensure!(seconds > LEASE || disrupted == 0, "{disrupted} attempts were lost to the lease");
    Ok(disrupted)
}

async fn fleet() -> Result<Cluster> {
    Cluster::start(Options::workers(3, 2)).await
}
