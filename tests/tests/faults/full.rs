//! A Redis with no memory or no disk left.

use std::fs::File;
use std::io::{Read, repeat};

use anyhow::{Result, ensure};
use longshore_tests::{Cluster, Job, Options, RedisServer, Witness, secs, until};

use super::steady::Steady;

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";

/// At its `maxmemory` it refuses new Jobs with a reason, and what was accepted runs to its end.
pub(crate) async fn memory() -> Result<()> {
    let cluster = Cluster::start(Options::workers(2, 2)).await?;
    let witness = Witness::listen().await?;
    let job = Steady::start(&cluster, "while-full", 16, 4, &[1, 2]).await?;
    job.in_mid_run(1).await?;
    set_maxmemory(&cluster, "1").await?;

    let yaml = Job::new("refused", "true").yaml();
    let refused = cluster.kubectl().run_with_input(&["create", "-f", "-"], &yaml).await?;
    let why = refused.failed(1)?;
    ensure!(why.contains("used memory > 'maxmemory'"), "{why}");
    let disrupted = job.judge(&witness, secs(90)).await?;
    ensure!(disrupted == 0, "{disrupted} disrupted");

    set_maxmemory(&cluster, "0").await?;
    let job = Steady::start(&cluster, "room-again", 4, 4, &[0]).await?;
    job.judge(&witness, secs(60)).await?;
    Ok(())
}

/// With a full disk it ends, as it can't keep what it would acknowledge. Nothing that it has acknowledged is
/// lost, and all goes on once there is room and it has been started again.
pub(crate) async fn disk() -> Result<()> {
    let mut redis = RedisServer::start_on_a_disk_of(12).await?;
    let cluster = Cluster::start(Options::workers(2, 2).redis(redis.url())).await?;
    let witness = Witness::listen().await?;
    let job = Steady::start(&cluster, "disk-full", 12, 4, &[1, 3]).await?;
    job.in_mid_run(1).await?;

    let fill = redis.data().join("fill");
    // Until nothing goes in any more.
    let filled = std::io::copy(&mut repeat(0).take(1 << 30), &mut File::create(&fill)?);
    ensure!(filled.is_err(), "the disk took a GiB");
    redis.ended(secs(30)).await?;
    let reply = cluster.api().post(JOBS, Job::new("refused", "true").value()).await?;
    ensure!(reply.code == 503 && reply.text.contains(&redis.address()), "{}", reply.text);

    std::fs::remove_file(&fill)?;
    redis.start_again().await?;
    job.judge(&witness, secs(120)).await?;
    until("the API answers", secs(10), async || {
        let reply = cluster.api().post(JOBS, Job::new("taken", "true").value()).await?;
        Ok(if reply.code == 201 { Ok(()) } else { Err(reply) })
    })
    .await?;
    cluster.api().finished("taken", "Complete", secs(60)).await?;
    Ok(())
}

async fn set_maxmemory(cluster: &Cluster, bytes: &str) -> Result<()> {
    let mut redis = cluster.redis().await?;
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("maxmemory").arg(bytes);
    Ok(set.exec_async(&mut redis).await?)
}
