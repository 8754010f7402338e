//! RabbitMQ loses a node or its queue, closes channels and connections, raises an alarm; and a ticket that
//! no worker survives.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use longshore_tests::{
    Cluster, Job, Options, RabbitmqCluster, TICKETS, Witness, condition, secs, until,
};
use serde_json::Value;

use super::steady::Steady;

/// The node that leads the queue of tickets, of three, is killed in mid-run.
pub(crate) async fn node_lost() -> Result<()> {
    let mut servers = RabbitmqCluster::start(3).await?;
    let cluster = Cluster::start(Options::workers(3, 2).rabbitmq(servers.url())).await?;
    let witness = Witness::listen().await?;
    let job = Steady::start(&cluster, "job", 32, 4, &[1]).await?;
    job.in_mid_run(4).await?;
    let (leader, members) = servers.members(TICKETS).await?;
    ensure!(members.len() == 3, "the queue is on {members:?}");
    let killed = nanoseconds()?;
    servers.kill(&leader).await?;
    let disrupted = job.judge(&witness, secs(60)).await?;
    ensure!(disrupted == 0, "{disrupted} attempts disrupted");

    let runs = witness.runs(&job.uid);
    let after = runs.iter().filter(|run| run.start > killed).count();
    ensure!(after > 12, "only {after} attempts began after {leader} was killed");
    let pause = witness.longest_pause(&job.uid);
    println!("without {leader} no attempt began for {pause:.1} s");
    ensure!(pause < 20.0, "nothing began for {pause:.1} s");
    Ok(())
}

/// RabbitMQ is short of memory, and reads nothing from those who publish: what runs ends and counts, what
/// is new waits.
pub(crate) async fn alarm() -> Result<()> {
    let cluster = Cluster::start(Options::workers(2, 2)).await?;
    let witness = Witness::listen().await?;
    let before = Steady::start(&cluster, "before", 4, 4, &[4]).await?;
    let all_run = |status: &Value| status["ready"] == 4;
    cluster.api().job_until("before", "running", secs(30), all_run).await?;
    cluster.rabbitmqctl(&["set_vm_memory_high_watermark", "0.000001"]).await?;
    let during = Steady::start(&cluster, "during", 4, 2, &[0]).await?;
    let warning = "has raised an alarm and takes no tickets, they wait: low on memory";
    until("a warning of the alarm", secs(10), async || {
        Ok(if cluster.log("coordinator-1")?.contains(warning) { Ok(()) } else { Err("none") })
    })
    .await?;
    let disrupted = before.judge(&witness, secs(30)).await?;
    ensure!(disrupted == 0, "{disrupted} attempts disrupted");
    let status = cluster.api().job("during").await?["status"].take();
    ensure!(status["active"] == 2 && status["ready"] != 2, "not waiting: {status}");

    cluster.rabbitmqctl(&["set_vm_memory_high_watermark", "absolute", "512MB"]).await?;
    during.judge(&witness, secs(8)).await.context("after the alarm")?;
    let log = cluster.log("coordinator-1")?;
    ensure!(log.matches(warning).count() == 1, "said more than once: {log}");
    ensure!(log.contains("takes tickets again after"), "{log}");
    ensure!(!log.contains("can't be published"), "{log}");
    Ok(())
}

/// The queue is deleted while workers consume from it; then all connections are closed, and channels that
/// hold a ticket for longer than RabbitMQ allows, again and again.
pub(crate) async fn closes() -> Result<()> {
    let cluster = Cluster::start(Options::workers(3, 2)).await?;
    let witness = Witness::listen().await?;
    let job = Steady::start(&cluster, "deleted", 18, 9, &[2]).await?;
    job.in_mid_run(1).await?;
    let (_connection, channel) = cluster.rabbitmq().await?;
    let tickets = channel.queue_delete(TICKETS.into(), QueueDeleteOptions::default()).await?;
    ensure!(tickets > 0, "no ticket waited in the queue");
    let deleted = Instant::now();
    ensure!(job.judge(&witness, secs(45)).await? == 0, "attempts were disrupted");
    println!("ended {:.1} s after the queue was deleted", deleted.elapsed().as_secs_f32());

    for setting in ["consumer_timeout", "channel_tick_interval"] {
        let set = format!("application:set_env(rabbit, {setting}, 1500).");
        cluster.rabbitmqctl(&["eval", &set]).await?;
    }
    let job = Steady::start(&cluster, "closed", 12, 6, &[4]).await?;
    let some_run = |status: &Value| status["ready"].as_i64() >= Some(2);
    cluster.api().job_until("closed", "running", secs(30), some_run).await?;
    // What is made from now on has the short timeout.
    cluster.rabbitmqctl(&["close_all_connections", "a test"]).await?;
    let closed = Instant::now();
    ensure!(job.judge(&witness, secs(45)).await? == 0, "attempts were disrupted");
    println!("ended {:.1} s after all connections were closed", closed.elapsed().as_secs_f32());
    let said = cluster.log("rabbitmq")?;
    ensure!(said.contains("delivery acknowledgement on channel"), "no channel was closed");
    Ok(())
}

/// Whoever reads one ticket is lost before it claims: the ticket is set aside and its Job fails, while the
/// others go on.
pub(crate) async fn poison() -> Result<()> {
    let cluster = Cluster::start(Options::workers(1, 1)).await?;
    // So that the test is the only one who reads.
    cluster.stop_member("worker-1").await?;
    let poison = Job::new("poison", "true").indexed(3, 1);
    let uid = cluster.api().create(&poison).await?["metadata"]["uid"].take();
    for reader in 0..21 {
        read_and_be_lost(&cluster, &uid).await.with_context(|| format!("reader {reader}"))?;
    }
    let job = cluster.api().finished("poison", "Failed", secs(15)).await?;
    let failed = condition(&job["status"], "Failed").context("it has failed")?;
    let said = "No worker survived reading the ticket of index 0: 21 were lost with it";
    let message = failed["message"].as_str().unwrap_or_default();
    ensure!(failed["reason"] == "DisruptedTooOften" && message.starts_with(said), "{failed}");
    ensure!(cluster.log("coordinator-1")?.contains("no worker has survived reading this ticket"));

    cluster.api().create(&Job::new("next", "true")).await?;
    cluster.start_member("worker-1").await?;
    cluster.api().finished("next", "Complete", secs(30)).await?;
    Ok(())
}

/// Takes a ticket of the Job, and closes the connection without a word.
async fn read_and_be_lost(cluster: &Cluster, uid: &Value) -> Result<()> {
    let (connection, channel) = cluster.rabbitmq().await?;
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut tickets = channel
        .basic_consume(TICKETS.into(), "reader".into(), options, FieldTable::default())
        .await?;
    let ticket = tokio::time::timeout(secs(15), tickets.next()).await.context("no ticket")?;
    let ticket: Value = serde_json::from_slice(&ticket.context("the channel is open")??.data)?;
    ensure!(ticket["uid"] == *uid, "another ticket: {ticket}");
    Ok(connection.close(200, "lost".into()).await?)
}

/// This host's clock, as Docker's events have it.
fn nanoseconds() -> Result<i64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_nanos())?)
}
