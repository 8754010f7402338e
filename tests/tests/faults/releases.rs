//! Two releases side by side: an upgrade, member by member, under load.

use anyhow::{Context, Result, ensure};
use lapin::options::{BasicGetOptions, BasicNackOptions};
use longshore_tests::{Cluster, Options, TICKETS, Witness, secs, until};
use redis::AsyncCommands;
use serde_json::Value;

use super::steady::Steady;

const MEMBERS: [&str; 4] = ["coordinator-1", "worker-1", "coordinator-2", "worker-2"];

/// Each member is replaced by one of the next release, which reads one format more, while a Job runs: no
/// attempt is lost. The cluster writes the next format once the last has been replaced, and a member of the
/// old release is refused from then on.
pub(crate) async fn side_by_side() -> Result<()> {
    let cluster = Cluster::start(Options::workers(2, 2).coordinators(2)).await?;
    let witness = Witness::listen().await?;
    let job = Steady::start(&cluster, "two-releases", 30, 4, &[2]).await?;
    let mut done = 1;
    for member in MEMBERS {
        job.in_mid_run(done).await?;
        ensure!(format(&cluster).await? == 1, "raised before {member} was replaced");
        cluster.kill_member(member).await?;
        cluster.start_member_of_next_release(member).await?;
        done += 5;
    }
    until("the cluster writes the next format", secs(15), async || {
        Ok(Some(format(&cluster).await?).filter(|format| *format == 2).ok_or("not yet"))
    })
    .await?;
    let disrupted = job.judge(&witness, secs(90)).await?;
    ensure!(disrupted == 0, "{disrupted} attempts disrupted");

    for worker in ["worker-1", "worker-2"] {
        cluster.kill_member(worker).await?;
    }
    let job = Steady::start(&cluster, "next-format", 4, 4, &[0]).await?;
    let ticket = until("a ticket", secs(15), async || look_at_ticket(&cluster).await).await?;
    ensure!(ticket["v"] == 2, "{ticket}");
    for old in ["worker-1", "coordinator-2"] {
        cluster.kill_member(old).await?;
        // It may be gone before `up` has seen it start, which `up` reports.
        let _ = cluster.start_member(old).await;
        let refusal = "writes format 2, and this release reads up to 1";
        until("the old release is refused", secs(15), async || {
            Ok(if cluster.log(old)?.contains(refusal) { Ok(()) } else { Err("not yet") })
        })
        .await?;
    }
    cluster.start_member_of_next_release("worker-1").await?;
    job.judge(&witness, secs(60)).await?;
    Ok(())
}

/// A member that runs while the cluster goes on to a format that it can't read ends, and says why.
pub(crate) async fn left_behind() -> Result<()> {
    let cluster = Cluster::start(Options::workers(1, 1)).await?;
    let mut redis = cluster.redis().await?;
    let _: i64 = redis.hset("ls:cluster", "format", 2).await?;
    for member in ["worker-1", "coordinator-1"] {
        cluster.ended(member, secs(15)).await?;
        let log = cluster.log(member)?;
        ensure!(log.contains("install the release that the other members have"), "{log}");
    }
    Ok(())
}

async fn format(cluster: &Cluster) -> Result<u16> {
    Ok(cluster.redis().await?.hget("ls:cluster", "format").await?)
}

/// A ticket of the queue, which goes back there.
async fn look_at_ticket(cluster: &Cluster) -> Result<Result<Value, &'static str>> {
    let (_connection, channel) = cluster.rabbitmq().await?;
    let got = channel.basic_get(TICKETS.into(), BasicGetOptions::default()).await?;
    let Some(message) = got else { return Ok(Err("no ticket")) };
    let ticket = serde_json::from_slice(&message.data).context("a ticket")?;
    message.acker.nack(BasicNackOptions { requeue: true, multiple: false }).await?;
    Ok(Ok(ticket))
}
