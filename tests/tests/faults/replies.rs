//! Replies of Redis that are lost: what is sent again has one effect.

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, Options, Proxy, RedisServer, Witness, secs};
use serde_json::json;

macro_rules! script {
    ($name:literal) => {
        include_str!(concat!("../../../shared/store/src/scripts/", $name, ".lua"))
    };
}

/// A small cluster behind a proxy, warmed up so that every script has been used once.
async fn cluster() -> Result<(RedisServer, Proxy, Cluster)> {
    let redis = RedisServer::start().await?;
    let proxy = Proxy::start(&redis.address()).await?;
    let cluster = Cluster::start(Options::workers(1, 2).redis(proxy.url())).await?;
    let api = cluster.api();
    api.create(&Job::new("warm-up", "true")).await?;
    api.finished("warm-up", "Complete", secs(60)).await?;
    api.delete("warm-up").await?;
    api.gone("warm-up", secs(20)).await?;
    Ok((redis, proxy, cluster))
}

/// With a name, and with `generateName`, where a second effect would be a second Job.
pub(crate) async fn create() -> Result<()> {
    let (_redis, proxy, cluster) = cluster().await?;
    let api = cluster.api();
    proxy.lose_next_reply(script!("create"), &["named-once"])?;
    api.create(&Job::new("named-once", "true")).await.context("create with a name")?;
    proxy.lost(1, secs(5)).await?;

    proxy.lose_next_reply(script!("create"), &["generated-"])?;
    let job = Job::new("", "true").set("/metadata", json!({"generateName": "generated-"}));
    let job = api.create(&job).await.context("create with generateName")?;
    proxy.lost(2, secs(5)).await?;

    let mut names = api.job_names().await?;
    names.sort();
    let generated = job["metadata"]["name"].as_str().context("name")?;
    ensure!(generated.starts_with("generated-") && generated.len() == 15, "{generated}");
    ensure!(names == [generated, "named-once"], "{names:?}");
    for name in [generated, "named-once"] {
        api.finished(name, "Complete", secs(60)).await?;
        ensure!(api.pods(name).await?.len() == 1);
    }
    Ok(())
}

/// One container, one success, no disruption; also if the worker is killed before it hears of its claim, and
/// comes back within its lease.
pub(crate) async fn claim_and_finish() -> Result<()> {
    let (_redis, proxy, cluster) = cluster().await?;
    let witness = Witness::listen().await?;
    for (cuts, (name, script, is_killed)) in (1..).zip([
        ("claimed-once", script!("claim"), false),
        ("finished-once", script!("finish"), false),
        ("claimed-and-killed", script!("claim"), true),
    ]) {
        // Suspended, so that its uid is known before it is claimed.
        let job = Job::new(name, "echo once").spec("suspend", true.into());
        let job = cluster.api().create(&job).await?;
        let uid = job["metadata"]["uid"].as_str().context("uid")?;
        match is_killed {
            true => proxy.withhold_next_reply(script, &[uid])?,
            false => proxy.lose_next_reply(script, &[uid])?,
        }
        cluster.api().patch(name, &json!({"spec": {"suspend": false}})).await?;
        proxy.lost(cuts, secs(60)).await?;
        if is_killed {
            cluster.kill_member("worker-1").await?;
            cluster.start_member("worker-1").await?;
        }

        let job = cluster.api().finished(name, "Complete", secs(60)).await?;
        let status = &job["status"];
        ensure!(
            status["succeeded"] == 1 && status["failed"].as_i64().unwrap_or(0) == 0,
            "{status}"
        );
        let runs = witness.ended(uid, secs(10)).await?;
        ensure!(runs.len() == 1, "{name}: {runs:?}");
        let pods = cluster.api().pods(name).await?;
        ensure!(pods.len() == 1 && pods[0]["status"]["phase"] == "Succeeded", "{name}: {pods:?}");
        let log = cluster.api().log(pods[0]["metadata"]["name"].as_str().context("name")?).await?;
        ensure!(log == "once\n", "{log:?}");
    }
    Ok(())
}

/// The client is told of success, and a Job that takes the name afterwards is left alone.
pub(crate) async fn delete() -> Result<()> {
    let (_redis, proxy, cluster) = cluster().await?;
    let api = cluster.api();
    let job = api.create(&Job::new("deleted-once", "true")).await?;
    let uid = job["metadata"]["uid"].as_str().context("uid")?;
    api.finished("deleted-once", "Complete", secs(60)).await?;
    proxy.lose_next_reply(script!("delete"), &[uid])?;
    api.delete("deleted-once").await?;
    proxy.lost(1, secs(5)).await?;
    api.gone("deleted-once", secs(20)).await?;

    api.create(&Job::new("deleted-once", "sleep 1")).await?;
    api.finished("deleted-once", "Complete", secs(60)).await?;
    ensure!(api.job_names().await? == ["deleted-once"]);
    Ok(())
}
