//! How attempts end that can't run or are ended by their host: each is told apart.

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, Registry, secs, until};
use serde_json::{Value, json};

/// The image can't be pulled: the Pod waits and says why, and fails after a bound.
pub(crate) async fn no_image(cluster: &Cluster) -> Result<()> {
    let registry = Registry::start().await?;
    let job = Job::new("no-image", "true").container("image", json!(registry.image("none:1")));
    cluster.api().create(&job).await?;
    let waiting = |pods: &[Value]| {
        let reason =
            &pods.first().map(|p| p["status"]["containerStatuses"][0]["state"]["waiting"].clone());
        reason
            .as_ref()
            .is_some_and(|w| w["reason"] == "ErrImagePull" || w["reason"] == "ImagePullBackOff")
    };
    cluster.api().pods_until("no-image", "waits for its image", secs(20), waiting).await?;
    let ended = failed(cluster, "no-image").await?;
    ensure!(ended.to_string().contains("ErrImagePull"), "{ended}");
    ensure!(ended.to_string().contains("none:1"), "the image isn't named: {ended}");
    described(cluster, "no-image", "ErrImagePull").await
}

pub(crate) async fn no_command(cluster: &Cluster) -> Result<()> {
    let job = Job::new("no-command", "").container("command", json!(["/no/such/program"]));
    cluster.api().create(&job).await?;
    let ended = failed(cluster, "no-command").await?;
    ensure!(ended["exitCode"] == 127, "{ended}");
    ensure!(ended["reason"] == "StartError" || ended["reason"] == "ContainerCannotRun", "{ended}");
    ensure!(ended.to_string().contains("/no/such/program"), "{ended}");
    described(cluster, "no-command", ended["reason"].as_str().unwrap_or_default()).await?;

    // A file that is there and can't be executed is another matter.
    let job = Job::new("no-program", "").container("command", json!(["/etc/passwd"]));
    cluster.api().create(&job).await?;
    let ended = failed(cluster, "no-program").await?;
    ensure!(ended["exitCode"] == 126, "{ended}");

    // A container that exits with 127 by itself has started.
    cluster.api().create(&Job::new("own-127", "exit 127")).await?;
    let ended = failed(cluster, "own-127").await?;
    ensure!(ended["exitCode"] == 127 && ended["reason"] == "Error", "{ended}");
    Ok(())
}

pub(crate) async fn out_of_memory(cluster: &Cluster) -> Result<()> {
    let job = Job::new("too-big", "exec tail /dev/zero")
        .container("resources", json!({"limits": {"memory": "16Mi"}}));
    cluster.api().create(&job).await?;
    let ended = failed(cluster, "too-big").await?;
    ensure!(ended["reason"] == "OOMKilled" && ended["exitCode"] == 137, "{ended}");
    described(cluster, "too-big", "OOMKilled").await?;

    // SIGKILL alone isn't out of memory. As in Kubernetes, `$$` in a command stands for one `$`.
    cluster.api().create(&Job::new("killed", "kill -9 $$$$")).await?;
    let ended = failed(cluster, "killed").await?;
    ensure!(ended["reason"] == "Error" && ended["exitCode"] == 137, "{ended}");
    Ok(())
}

/// `imagePullPolicy: Always` pulls; `Never` doesn't.
pub(crate) async fn pulled_image(cluster: &Cluster) -> Result<()> {
    let registry = Registry::start().await?;
    let image = "longshore-tests/busybox:1";
    registry.push("busybox:1.36", image).await?;
    ensure!(!registry.is_pulled(image).await?);

    let never = Job::new("never-pulled", "true")
        .container("image", json!(registry.image(image)))
        .container("imagePullPolicy", json!("Never"));
    cluster.api().create(&never).await?;
    let ended = failed(cluster, "never-pulled").await?;
    ensure!(ended.to_string().contains("ErrImageNeverPull"), "{ended}");
    ensure!(!registry.is_pulled(image).await?);

    let job = Job::new("pulled", "echo pulled")
        .container("image", json!(registry.image(image)))
        .container("imagePullPolicy", json!("Always"));
    cluster.api().create(&job).await?;
    cluster.api().finished("pulled", "Complete", secs(60)).await?;
    ensure!(registry.is_pulled(image).await?);
    // Containers are removed a moment after their attempt has ended.
    until("the pulled image is no longer in use", secs(20), async || {
        Ok(registry.forget(image).await.map_err(|error| format!("{error:#}")))
    })
    .await
}

/// Waits for the Job to fail; gives how its only container ended.
async fn failed(cluster: &Cluster, name: &str) -> Result<Value> {
    cluster.api().finished(name, "Failed", secs(60)).await?;
    let pods = cluster.api().pods(name).await?;
    let [pod] = &pods[..] else { anyhow::bail!("{} pods", pods.len()) };
    ensure!(pod["status"]["phase"] == "Failed", "{}", pod["status"]);
    Ok(pod["status"]["containerStatuses"][0]["state"]["terminated"].clone())
}

/// `describe` tells it too, of kubectl and of Longshore.
async fn described(cluster: &Cluster, job: &str, reason: &str) -> Result<()> {
    let pods = cluster.api().pods(job).await?;
    let pod = pods[0]["metadata"]["name"].as_str().context("name")?;
    let args = ["describe", "pod", pod];
    for text in [cluster.kubectl().ok(&args).await?, cluster.longshore(&args).await?.ok()?] {
        ensure!(text.contains(reason), "no {reason} in: {text}");
    }
    Ok(())
}
