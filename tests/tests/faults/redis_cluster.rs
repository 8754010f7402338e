//! A node of a Redis Cluster is killed.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use longshore_tests::{Api, Cluster, Options, RedisCluster, Witness, secs};

use super::steady::Steady;

/// Jobs of which one has its shard on the same node as the change log, and the other has not.
const JOBS: [&str; 2] = ["elsewhere", "failover"];

/// kill -9 of a master in mid-run, whose replica takes over: what it had goes on after a lease, the rest
/// after the failover; nothing is lost, and nobody's watch misses what was.
pub(crate) async fn master_killed() -> Result<()> {
    let mut nodes = RedisCluster::start()?;
    let cluster = Cluster::start(Options::workers(3, 2).redis(nodes.url())).await?;
    let witness = Witness::listen().await?;
    let whole = Steady::start(&cluster, "whole", 6, 6, &[0]).await?;
    ensure!(whole.judge(&witness, secs(30)).await? == 0, "attempts disrupted without a fault");

    let spared = Steady::start(&cluster, JOBS[0], 24, 3, &[1]).await?;
    let struck = Steady::start(&cluster, JOBS[1], 12, 3, &[1]).await?;
    struck.in_mid_run(3).await?;
    let at = node_of(&nodes, &struck.uid)?;
    for key in ["ls:log", "ls:nodes"] {
        ensure!(nodes.master_of(key)? != at, "{key} is on the node that is to be killed");
    }
    ensure!(node_of(&nodes, &spared.uid)? != at, "both Jobs are on one node");
    let rv = cluster.api().job(JOBS[0]).await?["metadata"]["resourceVersion"].take();
    let rv = rv.as_str().context("a Job has a version")?.to_owned();
    let watch = tokio::spawn(watched(cluster.api().clone(), rv.clone()));
    nodes.kill(at)?;
    let killed = Instant::now();

    let told = watch.await??;
    println!("a watch is expired {:.1} s after the kill", killed.elapsed().as_secs_f32());
    ensure!(told.contains(r#""code":410"#), "{told}");
    for (job, most) in [(&spared, 12.0), (&struck, 40.0)] {
        let disrupted = job.judge(&witness, secs(90)).await?;
        let pause = witness.longest_pause(&job.uid);
        println!("{}: {disrupted} disrupted, nothing began for {pause:.1} s", job.name);
        ensure!(disrupted == 0, "{disrupted} attempts disrupted");
        ensure!(pause < most, "{} stood still for {pause:.1} s", job.name);
    }
    // Who comes back later is told the same.
    ensure!(watched(cluster.api().clone(), rv).await?.contains(r#""code":410"#));
    Ok(())
}

/// The master that has a Job.
fn node_of(nodes: &RedisCluster, uid: &str) -> Result<usize> {
    for at in nodes.masters() {
        let keys: Vec<String> = nodes.ask(at, &["KEYS", &format!("ls:*:job:{uid}")])?;
        if !keys.is_empty() {
            return Ok(at);
        }
    }
    anyhow::bail!("no master has the Job {uid}")
}

/// What a watch of Jobs tells until it ends.
async fn watched(api: Api, rv: String) -> Result<String> {
    let query = format!("watch=1&resourceVersion={rv}&timeoutSeconds=50");
    let path = format!("/apis/batch/v1/namespaces/default/jobs?{query}");
    Ok(api.get(&path).await?.text)
}
