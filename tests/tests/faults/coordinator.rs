//! The coordinator killed.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Options, Witness, secs, until};
use redis::AsyncCommands;
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

/// kill -9 of the owner of a Job's shard, with two more coordinators alive: another takes the shard within
/// five seconds, and every outcome counts once. One that comes back gets its share without a stop.
pub(crate) async fn owner_killed() -> Result<()> {
    let cluster = Cluster::start(Options::workers(3, 2).coordinators(3)).await?;
    let witness = Witness::listen().await?;
    let job = Steady::start(&cluster, "lost-owner", 60, 6, &[1]).await?;
    job.in_mid_run(6).await?;
    let mut redis = cluster.redis().await?;
    let mut keys = redis.scan_match::<_, String>(format!("ls:*:job:{}", job.uid)).await?;
    let key = keys.next_item().await.context("the Job's key")??;
    drop(keys);
    let meta = key.replace(&format!("job:{}", job.uid), "meta");
    // None while the shard is on its way to the coordinator whose share it is.
    let owner: String = until("the shard has an owner", secs(10), async || {
        let owner: String = redis.hget(&meta, "owner").await?;
        Ok(if owner.is_empty() { Err(()) } else { Ok(owner) })
    })
    .await?;

    cluster.signal(&owner, Signal::KILL)?;
    let killed = Instant::now();
    until("another owns the shard", secs(5), async || {
        let now: String = redis.hget(&meta, "owner").await?;
        Ok(if now != owner { Ok(()) } else { Err(now) })
    })
    .await?;
    println!("taken over after {:?}", killed.elapsed());
    cluster.start_member(&owner).await?;
    let mut redis = cluster.redis().await?;
    until("each has its share of the shards", secs(20), async || {
        let mut shares: BTreeMap<String, usize> = BTreeMap::new();
        for shard in 0..16 {
            let owner: String = redis.hget(format!("ls:{{{shard:02}}}:meta"), "owner").await?;
            *shares.entry(owner).or_default() += 1;
        }
        Ok(if shares.len() == 3 && shares.values().all(|n| *n >= 5) { Ok(()) } else { Err(shares) })
    })
    .await?;
    let disrupted = job.judge(&witness, secs(90)).await?;
    let runs = witness.runs(&job.uid).len();
    ensure!(disrupted == 0 && runs == 60, "{disrupted} disrupted, {runs} containers");
    Ok(())
}
