//! Workers killed and restarted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use longshore_tests::{Background, Cluster, Engine, Options, Witness, program, secs, until};
use rustix::process::Signal;
use serde_json::{Value, json};
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

/// Each worker is restarted under load, as for an upgrade: no attempt is lost, none runs again.
pub(crate) async fn all_restarted() -> Result<()> {
    let options = Options::workers(3, 2).set("WORKER__DRAIN_TIMEOUT", "30s");
    let cluster = Cluster::start(options).await?;
    let witness = Witness::listen().await?;
    let job = Steady::start(&cluster, "upgraded-workers", 60, 6, &[5]).await?;
    job.in_mid_run(1).await?;
    for (worker, kill) in [("worker-1", false), ("worker-2", true), ("worker-3", false)] {
        match kill {
            true => cluster.kill_member(worker).await?,
            false => cluster.stop_member(worker).await?,
        }
        cluster.start_member(worker).await?;
        node_until(&cluster, worker, "Ready", secs(30)).await?;
    }
    let disrupted = job.judge(&witness, secs(120)).await?;
    let pods = cluster.api().pods(&job.name).await?.len();
    ensure!(disrupted == 0 && pods == 60, "{disrupted} disrupted, {pods} attempts");
    Ok(())
}

/// `drain`: what runs may finish within a bound, the rest is evicted and runs elsewhere at no cost; kubectl
/// evicts at once.
pub(crate) async fn drained() -> Result<()> {
    let cluster = Cluster::start(Options::workers(2, 2)).await?;
    let witness = Witness::listen().await?;
    let job = Steady::start(&cluster, "drained-worker", 8, 4, &[3, 60, 3, 3]).await?;
    job.in_mid_run(1).await?;
    let long = cluster.api().pods_until(&job.name, "a long one runs", secs(60), |pods| {
        pods.iter().any(|pod| index(pod) == "1" && is_running(pod))
    });
    let long = long.await?;
    let long = long.iter().find(|pod| index(pod) == "1").context("a long one")?;
    let node = long["spec"]["nodeName"].as_str().context("nodeName")?;

    let drained = cluster.longshore(&["drain", node, "--finish", "6s", "--timeout", "60s"]).await?;
    let said = drained.ok()?;
    ensure!(said.starts_with(&format!("node/{node} cordoned\n")), "{said}");
    ensure!(said.ends_with(&format!("node/{node} drained\n")), "{said}");
    let evicted = said.lines().filter(|line| line.starts_with("evicting pod default/")).count();
    ensure!((1..=2).contains(&evicted), "{said}");
    let pods = cluster.api().pods(&job.name).await?;
    ensure!(!pods.iter().any(|pod| is_running(pod) && pod["spec"]["nodeName"] == node), "{pods:?}");
    let again = cluster.longshore(&["drain", node, "--timeout", "5s"]).await?.ok()?;
    ensure!(again == format!("node/{node} already cordoned\nnode/{node} drained\n"), "{again}");
    cluster.longshore(&["uncordon", &format!("node/{node}")]).await?.ok()?;

    let other = if node == "worker-1" { "worker-2" } else { "worker-1" };
    let said = cluster.kubectl().ok(&["drain", other, "--timeout=60s"]).await?;
    ensure!(said.contains(&format!("node/{other} drained")), "{said}");
    cluster.kubectl().ok(&["uncordon", other]).await?;
    cluster.api().patch(&job.name, &json!({"spec": {"suspend": true}})).await?;
    witness.ended(&job.uid, secs(60)).await?;
    witness.never_twice(&job.uid)?;
    let status = &cluster.api().job(&job.name).await?["status"];
    let pods = cluster.api().pods(&job.name).await?;
    let phases: Vec<_> = pods.iter().map(|pod| pod["status"].to_string()).collect();
    ensure!(status["failed"].as_i64().unwrap_or(0) == 0, "{status} {phases:#?}");
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
    extra_worker_with(cluster, name, |command| {
        command.args(["--slots", "2", "--docker-host", docker_host]);
    })
}

/// The same, with more than its name and its servers as `set` has it.
pub(crate) fn extra_worker_with(
    cluster: &Cluster,
    name: &str,
    set: impl FnOnce(&mut Command),
) -> Result<Background> {
    let all = cluster.describe()?;
    let mut command = Command::new(program("longshore-worker")?);
    command
        .args(["--name", name, "--state-dir"])
        .arg(state_folder(cluster, name))
        .env("LONGSHORE__REDIS__URL", all.redis_url)
        .env("LONGSHORE__RABBITMQ__URL", all.amqp_url);
    set(&mut command);
    Background::start_with_log(command, &cluster.dir().join("logs").join(format!("{name}.log")))
}

pub(crate) fn state_folder(cluster: &Cluster, worker: &str) -> PathBuf {
    cluster.dir().join("workers").join(worker)
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
