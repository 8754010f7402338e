//! The null runtime: everything but the containers.

use anyhow::{Context, Result, ensure};
use longshore_tests::{Background, Cluster, Job, Options, Witness, program, secs};
use tokio::process::Command;

/// 2,000 indexes complete without a container, and every status says why.
pub(crate) async fn two_thousand() -> Result<()> {
    let options = Options::workers(2, 20)
        .set("WORKER__RUNTIME", "null")
        .set("WORKER__ALLOW_NULL", "true")
        .set("WORKER__NULL__DURATION", "10ms");
    let cluster = Cluster::start(options).await?;
    let witness = Witness::listen().await?;
    let api = cluster.api();
    let job = api.create(&Job::new("many", "true").indexed(2000, 100)).await?;
    let uid = job["metadata"]["uid"].as_str().context("uid")?;
    let started = std::time::Instant::now();
    let job = api.finished("many", "Complete", secs(240)).await?;
    println!("2,000 indexes in {:?}", started.elapsed());
    ensure!(job["status"]["completedIndexes"] == "0-1999", "{}", job["status"]);
    ensure!(job["status"]["succeeded"] == 2000, "{}", job["status"]);
    ensure!(witness.runs(uid).is_empty(), "a container ran");

    let pods = api.pods("many").await?;
    ensure!(pods.len() == 2000, "{} pods", pods.len());
    for pod in &pods {
        ensure!(pod["status"].to_string().contains("null"), "{}", pod["status"]);
    }
    let nodes = cluster.kubectl().ok(&["get", "nodes", "-o", "wide"]).await?;
    ensure!(nodes.lines().skip(1).all(|line| line.contains("null://")), "{nodes}");

    // kubectl asks for pages of 500.
    let list = cluster.kubectl().ok(&["get", "pods", "-o", "name"]).await?;
    ensure!(list.lines().count() == 2000, "{} names", list.lines().count());
    Ok(())
}

/// Without `allow_null` a worker with that runtime doesn't start.
pub(crate) async fn no_accident() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(program("longshore-worker")?);
    command.args(["--name", "accident", "--runtime", "null", "--state-dir"]).arg(folder.path());
    let mut worker = Background::start(command)?;
    let code = worker.ended(secs(20)).await?;
    ensure!(code != 0 && worker.printed().contains("allow_null"), "{code}: {}", worker.printed());
    Ok(())
}
