//! The log archive.

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, Options, secs};

/// What a Pod printed can be read when its Job has been removed, and only its own Pods are listed.
pub(crate) async fn outlives_the_job() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let url = format!("file://{}", folder.path().display());
    let cluster = Cluster::start(Options::workers(1, 2).set("ARCHIVE__URL", url)).await?;
    let api = cluster.api();
    api.create(&Job::new("archived", "echo index $JOB_COMPLETION_INDEX").indexed(2, 2)).await?;
    api.finished("archived", "Complete", secs(60)).await?;
    let pods = api.pods("archived").await?;
    cluster.kubectl().ok(&["delete", "job", "archived", "--timeout=60s"]).await?;
    ensure!(api.pods("archived").await?.is_empty());

    for pod in &pods {
        let name = pod["metadata"]["name"].as_str().context("name")?;
        let index = &pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"];
        let printed = format!("index {}\n", index.as_str().context("index")?);
        let log = cluster.kubectl().ok(&["logs", name]).await?;
        ensure!(log == printed, "{name}: {log:?}");
        let log = cluster.longshore(&["logs", name, "--timestamps"]).await?.ok()?;
        ensure!(log.ends_with(&printed) && log.len() > printed.len(), "{name}: {log:?}");
    }
    Ok(())
}
