//! Jobs whose tasks succeed, at once or later.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use longshore_tests::{Cluster, Job, secs};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::status::{completed, counters};

const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// A folder of the host that outlives the Job's Pods, at `/marks` in its container.
pub(crate) fn with_marks(job: Job) -> Result<(Job, TempDir)> {
    let parent = "/tmp/longshore-tests";
    std::fs::create_dir_all(parent)?;
    let folder = tempfile::tempdir_in(parent)?;
    let volume = json!([{"name": "marks", "hostPath": {"path": folder.path()}}]);
    let job = job
        .pod("volumes", volume)
        .container("volumeMounts", json!([{"name": "marks", "mountPath": "/marks"}]));
    Ok((job, folder))
}

/// Fails the first time that an index, or a Pod that has none, is run over these marks.
pub(crate) const FAIL_ONCE: &str =
    "mark=/marks/${JOB_COMPLETION_INDEX:-$(hostname)}; [ -e $mark ] || { touch $mark; exit 1; }";

pub(crate) async fn succeed(cluster: &Cluster) -> Result<()> {
    let job = Job::new("all-succeed", "true").spec("parallelism", 2.into());
    cluster.api().create(&job.spec("completions", 4.into())).await?;
    let job = cluster.api().finished("all-succeed", "Complete", secs(60)).await?;
    completed(&job["status"], "CompletionsReached")?;
    ensure!(counters(&job["status"]) == [0, 0, 0, 4, 0], "{}", job["status"]);
    let pods = cluster.api().pods("all-succeed").await?;
    let succeeded = pods.iter().filter(|pod| pod["status"]["phase"] == "Succeeded").count();
    ensure!((pods.len(), succeeded) == (4, 4), "{succeeded} of {}", pods.len());
    Ok(())
}

pub(crate) async fn hostnames(cluster: &Cluster) -> Result<()> {
    let pods = indexed_pods(cluster, "indexed-job").await?;
    for pod in &pods {
        let index = pod["metadata"]["annotations"][INDEX].as_str().unwrap_or_default();
        ensure!(pod["spec"]["hostname"] == format!("indexed-job-{index}"), "{}", pod["spec"]);
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let log = cluster.api().log(name).await?;
        ensure!(log == format!("indexed-job-{index}\n"), "{name}: {log:?}");
    }
    ensure!(indexes(&pods, "annotations") == ["0", "1", "2", "3"].map(str::to_owned).into());
    Ok(())
}

pub(crate) async fn index_labels(cluster: &Cluster) -> Result<()> {
    let pods = indexed_pods(cluster, "labelled-job").await?;
    ensure!(indexes(&pods, "labels") == ["0", "1", "2", "3"].map(str::to_owned).into());
    Ok(())
}

async fn indexed_pods(cluster: &Cluster, name: &str) -> Result<Vec<Value>> {
    cluster.api().create(&Job::new(name, "hostname").indexed(4, 2)).await?;
    let job = cluster.api().finished(name, "Complete", secs(60)).await?;
    completed(&job["status"], "CompletionsReached")?;
    ensure!(job["status"]["completedIndexes"] == "0-3", "{}", job["status"]);
    cluster.api().pods(name).await
}

fn indexes(pods: &[Value], place: &str) -> BTreeSet<String> {
    let index = |pod: &Value| pod["metadata"][place][INDEX].as_str().map(str::to_owned);
    pods.iter().filter_map(index).collect()
}

/// The failed container is restarted in its Pod, so that no Pod fails.
pub(crate) async fn restarted_locally(cluster: &Cluster) -> Result<()> {
    let job = Job::new("fail-once-local", FAIL_ONCE).indexed(4, 2).retries(10);
    let (job, _marks) = with_marks(job.pod("restartPolicy", json!("OnFailure")))?;
    cluster.api().create(&job).await?;
    let job = cluster.api().finished("fail-once-local", "Complete", secs(60)).await?;
    completed(&job["status"], "CompletionsReached")?;
    ensure!(counters(&job["status"]) == [0, 0, 0, 4, 0], "{}", job["status"]);
    let pods = cluster.api().pods("fail-once-local").await?;
    ensure!(pods.len() == 4, "{} pods", pods.len());
    for pod in &pods {
        let container = &pod["status"]["containerStatuses"][0];
        ensure!(container["restartCount"] == 1, "{container}");
    }
    Ok(())
}

/// Each failed Pod is replaced by another.
pub(crate) async fn not_restarted_locally(cluster: &Cluster) -> Result<()> {
    let job = Job::new("fail-once-non-local", FAIL_ONCE).indexed(4, 2).retries(6);
    let (job, _marks) = with_marks(job)?;
    cluster.api().create(&job).await?;
    let job = cluster.api().finished("fail-once-non-local", "Complete", secs(60)).await?;
    completed(&job["status"], "CompletionsReached")?;
    ensure!(counters(&job["status"]) == [0, 0, 0, 4, 4], "{}", job["status"]);
    ensure!(cluster.api().pods("fail-once-non-local").await?.len() == 8);
    Ok(())
}
