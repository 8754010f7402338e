//! Deleting and suspending stop what runs and leave nothing behind.

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use lapin::options::QueueDeclareOptions;
use longshore_tests::{Cluster, Job, TICKETS, Witness, condition, docker, secs, until};
use redis::AsyncCommands;
use serde_json::{Value, json};

/// Seconds between SIGTERM and SIGKILL.
const GRACE: u32 = 3;

/// Index 0 ends by itself on SIGTERM, the others ignore it.
const SCRIPT: &str =
    "[ $JOB_COMPLETION_INDEX = 0 ] && trap 'echo told to stop; exit 0' TERM || trap '' TERM
    while true; do sleep 0.2; done";

/// More attempts than the cluster has slots, so that there are tickets as well as containers.
fn endless(name: &str) -> Job {
    Job::new(name, SCRIPT)
        .indexed(6, 6)
        .pod("terminationGracePeriodSeconds", GRACE.into())
        .annotate("longshore.dev/lease", "5s")
}

/// A deleted Job's containers end within the grace period; no key, ticket or container stays.
pub(crate) async fn deleted(cluster: &Cluster) -> Result<()> {
    let witness = Witness::listen().await?;
    let api = cluster.api();
    let job = api.create(&endless("doomed")).await?;
    let uid = job["metadata"]["uid"].as_str().context("uid")?;
    api.job_until("doomed", "three run", secs(60), |status| status["ready"] == 3).await?;
    ensure!(waiting_tickets(cluster).await? == 3);

    let before = std::time::Instant::now();
    api.delete("doomed").await?;
    let runs = witness.ended(uid, secs(u64::from(GRACE) + 3)).await?;
    ensure!(runs.len() == 3, "started after the deletion: {runs:?}");
    let polite = runs.iter().find(|run| run.index == "0").context("a run of index 0")?;
    let last = runs.iter().filter_map(|run| run.end).max().context("an end")?;
    let patience = last - polite.end.context("an end")?;
    ensure!(patience > 1_000_000_000, "killed before the grace period was over: {runs:?}");
    api.gone("doomed", secs(10)).await?;
    println!("deleted after {:?}", before.elapsed());

    until("nothing is left of the job", secs(10), async || {
        let keys = keys_of(cluster, uid).await?;
        let containers = containers_of(uid).await?;
        let tickets = waiting_tickets(cluster).await?;
        let left = (keys, containers, tickets);
        Ok(if left.0.is_empty() && left.1 == 0 && left.2 == 0 { Ok(()) } else { Err(left) })
    })
    .await?;
    ensure!(api.pods("doomed").await?.is_empty());

    // The name is free, and so is every slot: no worker sits on a ticket of the deleted Job.
    let job = api.create(&Job::new("doomed", "sleep 3").indexed(3, 3)).await?;
    let uid = job["metadata"]["uid"].as_str().context("uid")?;
    api.finished("doomed", "Complete", secs(60)).await?;
    witness.ended(uid, secs(10)).await?;
    ensure!(witness.most_at_once(uid) == 3, "{:?}", witness.runs(uid));
    Ok(())
}

/// A suspended Job's containers end within the grace period and cost it nothing; resumed, it
/// completes.
pub(crate) async fn suspended(cluster: &Cluster) -> Result<()> {
    let witness = Witness::listen().await?;
    let api = cluster.api();
    let folder = tempfile::Builder::new().tempdir_in(super::template::host_paths()?)?;
    // Endless until the file is there, so that it is the resumed run that ends.
    let script = "trap 'exit 1' TERM; until [ -e /flag/go ]; do sleep 0.2; done";
    let job = Job::new("paused", script)
        .indexed(5, 5)
        .pod("terminationGracePeriodSeconds", GRACE.into())
        .pod("volumes", super::template::host_path("flag", folder.path()))
        .container("volumeMounts", json!([{"name": "flag", "mountPath": "/flag"}]));
    let job = api.create(&job).await?;
    let uid = job["metadata"]["uid"].as_str().context("uid")?;
    api.job_until("paused", "three run", secs(60), |status| status["ready"] == 3).await?;

    api.patch("paused", &json!({"spec": {"suspend": true}})).await?;
    witness.ended(uid, secs(u64::from(GRACE) + 3)).await?;
    let suspended = |status: &Value| {
        condition(status, "Suspended").is_some() && status["active"].as_i64().unwrap_or(0) == 0
    };
    let job = api.job_until("paused", "suspended", secs(10), suspended).await?;
    ensure!(job["status"]["failed"].as_i64().unwrap_or(0) == 0, "{}", job["status"]);
    let before = witness.runs(uid).len();
    ensure!(before == 3, "started while suspended: {:?}", witness.runs(uid));

    std::fs::write(folder.path().join("go"), "")?;
    api.patch("paused", &json!({"spec": {"suspend": false}})).await?;
    let job = api.finished("paused", "Complete", secs(60)).await?;
    let status = &job["status"];
    ensure!(status["completedIndexes"] == "0-4", "{status}");
    ensure!(status["failed"].as_i64().unwrap_or(0) == 0, "{status}");
    ensure!(witness.ended(uid, secs(10)).await?.len() == before + 5);
    witness.never_twice(uid)
}

async fn keys_of(cluster: &Cluster, uid: &str) -> Result<Vec<String>> {
    let mut redis = cluster.redis().await?;
    let keys: Vec<String> = redis
        .scan_match(format!("*{uid}*"))
        .await?
        .filter_map(async |key| key.ok())
        .collect()
        .await;
    Ok(keys)
}

async fn containers_of(uid: &str) -> Result<usize> {
    let label = format!("batch.kubernetes.io/controller-uid={uid}");
    let filters = std::collections::HashMap::from([("label".to_owned(), vec![label])]);
    let options = bollard::query_parameters::ListContainersOptions {
        all: true,
        filters: Some(filters),
        ..Default::default()
    };
    Ok(docker(None)?.list_containers(Some(options)).await?.len())
}

/// Tickets that no worker has taken.
async fn waiting_tickets(cluster: &Cluster) -> Result<u32> {
    let (_connection, channel) = cluster.rabbitmq().await?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare(TICKETS.into(), passive, Default::default()).await?;
    Ok(queue.message_count())
}
