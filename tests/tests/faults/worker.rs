//! Workers killed and restarted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use longshore_tests::{Background, Cluster, Engine, Options, Witness, program, secs, until};
use rustix::process::Signal;
use serde_json::Value;
use tokio::process::Command;

use super::steady::{Steady, index, is_disrupted};

/// The default lease.
const LEASE: u64 = 15;

/// kill -9 of a worker: its attempts run elsewhere within the lease and three seconds, at no cost.
pub(crate) async fn killed() -> Result<()> {
    let cluster = Cluster::start(Options::workers(3, 2)).await?;
    let witness = Witness::listen().await?;
    // Long enough for the killed worker's attempts to be running still, and few enough at once for
    // the other workers to have slots for them.
    let job = Steady::start(&cluster, "lost-worker", 12, 4, &[8]).await?;
    let victim = running_worker(&cluster, &job).await?;
    let lost = indexes_on(&cluster, &job, &victim).await?;
    let killed = Instant::now();
    cluster.signal(&victim, Signal::KILL)?;

    claimed_elsewhere(&cluster, &job, &victim, &lost, killed).await?;
    let disrupted = job.judge(&witness, secs(120)).await?;
    ensure!(disrupted == lost.len(), "{disrupted} disrupted, {} were lost", lost.len());
    let ready = cluster.kubectl().ok(&["get", "node", &victim]).await?;
    ensure!(ready.contains("NotReady"), "{ready}");
    Ok(())
}

/// kill -9 of a worker and of its Docker daemon, which comes back after five seconds.
pub(crate) async fn killed_with_its_daemon() -> Result<()> {
    let engine = Engine::start("ls-tests-0").await?;
    let host = engine.host();
    let cluster = Cluster::start(Options::workers(2, 2)).await?;
    let witness = Witness::listen_to(&[None, Some(&host)]).await?;
    let mut worker = extra_worker(&cluster, "worker-apart", &host)?;
    node_until(&cluster, "worker-apart", "Ready", secs(30)).await?;

    let job = Steady::start(&cluster, "lost-host", 12, 4, &[10]).await?;
    // All four, so that none is on its way to the other engine, whose loss would go unnoticed.
    let lost = until("four run, and one on the other engine", secs(90), async || {
        let pods = cluster.api().pods(&job.name).await?;
        let lost = indexes_of(&pods, "worker-apart");
        let running = pods.iter().filter(|pod| is_running(pod)).count();
        Ok(if running == 4 && !lost.is_empty() { Ok(lost) } else { Err(running) })
    })
    .await?;
    let killed = Instant::now();
    worker.signal(Signal::KILL)?;
    engine.kill()?;
    worker.ended(secs(5)).await?;
    tokio::time::sleep_until((killed + secs(5)).into()).await;
    engine.start_again().await?;

    claimed_elsewhere(&cluster, &job, "worker-apart", &lost, killed).await?;
    let disrupted = job.judge(&witness, secs(150)).await?;
    ensure!(disrupted == lost.len(), "{disrupted} disrupted, {} were lost", lost.len());
    Ok(())
}

/// A worker that is killed and comes back within the lease goes on with what it ran: no attempt is
/// lost.
pub(crate) async fn restarted() -> Result<()> {
    let cluster = Cluster::start(Options::workers(2, 2)).await?;
    let witness = Witness::listen().await?;
    let job = Steady::start(&cluster, "restarted-worker", 8, 4, &[6]).await?;
    let victim = running_worker(&cluster, &job).await?;
    let held = indexes_on(&cluster, &job, &victim).await?;
    cluster.signal(&victim, Signal::KILL)?;
    cluster.start_member(&victim).await?;
    let disrupted = job.judge(&witness, secs(120)).await?;
    ensure!(disrupted == 0, "{disrupted} disrupted of {held:?}");

    // The output of before and after the restart is in one log, and whole.
    for pod in cluster.api().pods(&job.name).await? {
        let name = pod["metadata"]["name"].as_str().context("name")?;
        let log = cluster.api().log(name).await?;
        ensure!(log == format!("index {} is done\n", index(&pod)), "{name}: {log:?}");
    }
    Ok(())
}

/// A worker that runs something of the Job.
async fn running_worker(cluster: &Cluster, job: &Steady<'_>) -> Result<String> {
    let running = |pods: &[Value]| pods.iter().filter(|pod| is_running(pod)).count() >= 4;
    let pods = cluster.api().pods_until(&job.name, "four run", secs(60), running).await?;
    let pod = pods.iter().find(|pod| is_running(pod)).context("a running pod")?;
    Ok(pod["spec"]["nodeName"].as_str().context("nodeName")?.to_owned())
}

/// The indexes that run on a worker, with the Pod of each.
async fn indexes_on(
    cluster: &Cluster,
    job: &Steady<'_>,
    worker: &str,
) -> Result<BTreeMap<String, String>> {
    Ok(indexes_of(&cluster.api().pods(&job.name).await?, worker))
}

fn indexes_of(pods: &[Value], worker: &str) -> BTreeMap<String, String> {
    let held = pods.iter().filter(|pod| is_running(pod) && pod["spec"]["nodeName"] == worker);
    held.map(|pod| (index(pod), pod["metadata"]["name"].as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// Waits until other workers have claimed the lost indexes, within the lease and three seconds.
async fn claimed_elsewhere(
    cluster: &Cluster,
    job: &Steady<'_>,
    lost_worker: &str,
    lost: &BTreeMap<String, String>,
    since: Instant,
) -> Result<()> {
    ensure!(!lost.is_empty(), "{lost_worker} ran nothing");
    let bound = secs(LEASE + 3).saturating_sub(since.elapsed());
    let elsewhere = |pods: &[Value]| {
        lost.iter().all(|(of, name)| {
            pods.iter().any(|pod| {
                let node = pod["spec"]["nodeName"].as_str();
                index(pod) == *of
                    && pod["metadata"]["name"] != *name
                    && node.is_some_and(|node| node != lost_worker)
            })
        })
    };
    let pods = cluster.api().pods_until(&job.name, "claimed elsewhere", bound, elsewhere).await?;
    println!("claimed elsewhere after {:?}", since.elapsed());
    for pod in pods.iter().filter(|pod| lost.values().any(|n| pod["metadata"]["name"] == *n)) {
        ensure!(is_disrupted(pod) && pod["status"]["phase"] == "Failed", "{}", pod["status"]);
    }
    Ok(())
}

pub(crate) fn is_running(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running"
}

/// A worker on another engine, joined to the cluster by its settings alone.
pub(crate) fn extra_worker(cluster: &Cluster, name: &str, docker_host: &str) -> Result<Background> {
    let all = cluster.describe()?;
    let mut command = Command::new(program("longshore-worker")?);
    command
        .args(["--name", name, "--slots", "2", "--docker-host", docker_host, "--state-dir"])
        .arg(cluster.dir().join("workers").join(name))
        .env("LONGSHORE__REDIS__URL", all.redis_url)
        .env("LONGSHORE__RABBITMQ__URL", all.amqp_url);
    Background::start_with_log(command, &cluster.dir().join("logs").join(format!("{name}.log")))
}

/// Waits until a Node has `Ready` as its status, or is not ready for the reason given.
pub(crate) async fn node_until(
    cluster: &Cluster,
    name: &str,
    wanted: &str,
    bound: Duration,
) -> Result<()> {
    until(&format!("node {name}: {wanted}"), bound, async || {
        let node = cluster.api().get(&format!("/api/v1/nodes/{name}")).await?;
        let conditions = node.body["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready");
        let ready = ready.unwrap_or_default();
        let is = match ready["status"] == "True" {
            true => "Ready".into(),
            false => ready["reason"].clone(),
        };
        Ok(if is == wanted { Ok(()) } else { Err(format!("{is}: {}", ready["message"])) })
    })
    .await
}
