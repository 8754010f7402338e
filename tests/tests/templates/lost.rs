//! Pods with several containers whose worker goes.

use anyhow::{Result, ensure};
use longshore_tests::{Cluster, Options, run, secs, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::process::Command;

use super::containers::{container, several};

/// A worker is killed: its containers end with its lease, all of them, and the Pod runs again elsewhere. A
/// worker that comes back within its lease goes on with such a Pod.
pub(crate) async fn killed() -> Result<()> {
    let options = Options::workers(2, 1).set("LEASE__LENGTH", "6s").set("LEASE__MARGIN", "1s");
    let cluster = Cluster::start(options).await?;
    let endless = "exec sleep 1000";
    let mut sidecar = container("side", endless);
    sidecar["restartPolicy"] = json!("Always");
    let job = several("lost", &[sidecar], &[container("a", endless), container("b", endless)]);
    cluster.api().create(&job).await?;
    let first = running(&cluster, "").await?;
    ensure!(containers_of(&first).await?.len() == 4, "three and the holder of their network");

    let worker = first["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
    cluster.signal(&worker, Signal::KILL)?;
    let second = running(&cluster, name_of(&first)).await?;
    ensure!(second["spec"]["nodeName"] != first["spec"]["nodeName"], "elsewhere");
    let alive = containers_of(&first).await?;
    ensure!(alive.is_empty(), "{alive:?} run beside those of {}", name_of(&second));

    let other = second["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
    let before = containers_of(&second).await?;
    cluster.signal(&other, Signal::KILL)?;
    cluster.start_member(&other).await?;
    until("the Pod is taken up again", secs(15), async || {
        Ok(if cluster.log(&other)?.contains("taken up again") { Ok(()) } else { Err("not yet") })
    })
    .await?;
    let after = containers_of(&second).await?;
    ensure!(after == before, "{before:?} ran, and now {after:?}");
    let job = cluster.api().job("lost").await?;
    ensure!(job["status"]["failed"].is_null() || job["status"]["failed"] == 0, "{}", job["status"]);
    cluster.api().delete("lost").await?;
    cluster.api().gone("lost", secs(30)).await?;
    until("nothing is left", secs(20), async || {
        let left = containers_of(&second).await?;
        Ok(if left.is_empty() { Ok(()) } else { Err(left) })
    })
    .await
}

/// The Pod of the Job that runs, other than the one of that name.
async fn running(cluster: &Cluster, other: &str) -> Result<Value> {
    let found = |pods: &[Value]| {
        let mut ready = pods.iter().filter(|pod| name_of(pod) != other && is_ready(pod));
        ready.next().cloned()
    };
    let pods = cluster.api().pods_until("lost", "runs", secs(60), |pods| found(pods).is_some());
    Ok(found(&pods.await?).unwrap_or_default())
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn name_of(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or_default()
}

/// The names of a Pod's containers that run.
async fn containers_of(pod: &Value) -> Result<Vec<String>> {
    let mut docker = Command::new("docker");
    let label = format!("label=longshore.dev/pod={}", name_of(pod));
    docker.args(["ps", "--format", "{{.Names}}", "--filter", &label]);
    Ok(run(docker).await?.ok()?.lines().map(str::to_owned).collect())
}
