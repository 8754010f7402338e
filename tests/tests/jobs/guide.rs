//! The guide's Job, with a real CPython.

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, repository, secs};

/// As it is printed in the guide.
const MANIFEST: &str = r#"apiVersion: batch/v1
kind: Job
metadata:
  name: data-processing-job
spec:
  template:
    spec:
      containers:
      - name: data-processor
        image: python:3.10
        command: ["python", "-c", "print('Processing data...')"]
      restartPolicy: OnFailure
  backoffLimit: 3
"#;

/// apply, get, describe and logs, as the guide has them: with kubectl, then with Longshore's own
/// command line.
pub(crate) async fn runs_as_printed(cluster: &Cluster) -> Result<()> {
    let example = repository().join("examples/data-processing-job.yaml");
    ensure!(std::fs::read_to_string(&example)? == MANIFEST, "the example is not as printed");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("job.yaml");
    std::fs::write(&file, MANIFEST)?;
    let file = file.to_str().context("a path of plain letters")?;
    let kubectl = cluster.kubectl();

    let applied = kubectl.ok(&["apply", "-f", file]).await?;
    ensure!(applied == "job.batch/data-processing-job created\n", "{applied:?}");
    cluster.api().finished("data-processing-job", "Complete", secs(60)).await?;
    let pod = check_views(async |args| kubectl.ok(args).await).await?;
    let log = kubectl.ok(&["logs", "job/data-processing-job"]).await?;
    ensure!(log == "Processing data...\n", "{log:?}");
    kubectl.ok(&["delete", "job", "data-processing-job"]).await?;
    let gone = kubectl.run(&["get", "pod", &pod]).await?.failed(1)?;
    ensure!(gone.contains("NotFound"), "{gone}");

    let longshore = async |args: &[&str]| cluster.longshore(args).await?.ok();
    let applied = longshore(&["apply", "-f", file]).await?;
    ensure!(applied == "job.batch/data-processing-job created\n", "{applied:?}");
    let wait = ["wait", "--for=condition=complete", "job/data-processing-job", "--timeout=60s"];
    longshore(&wait).await?;
    check_views(longshore).await?;
    longshore(&["delete", "job", "data-processing-job"]).await?;
    Ok(())
}

/// What get, describe and logs say of the finished Job; gives its Pod's name.
async fn check_views(command: impl AsyncFn(&[&str]) -> Result<String>) -> Result<String> {
    let jobs = command(&["get", "jobs"]).await?;
    let line = jobs.lines().find(|line| line.starts_with("data-processing-job ")).unwrap_or("");
    let cells: Vec<&str> = line.split_whitespace().collect();
    ensure!(cells.get(1..3) == Some(&["Complete", "1/1"][..]), "{jobs}");

    let described = command(&["describe", "job", "data-processing-job"]).await?;
    for part in ["Backoff Limit:", "1 Succeeded / 0 Failed", "python:3.10", "Completed"] {
        ensure!(described.contains(part), "no {part:?} in: {described}");
    }

    let selector = "batch.kubernetes.io/job-name=data-processing-job";
    let pods = command(&["get", "pods", "-l", selector]).await?;
    let line = pods.lines().nth(1).context("a line for the pod")?;
    let cells: Vec<&str> = line.split_whitespace().collect();
    ensure!(cells.get(1..3) == Some(&["0/1", "Completed"][..]), "{pods}");
    let pod = cells[0].to_owned();
    ensure!(pod.starts_with("data-processing-job-"), "{pods}");

    let log = command(&["logs", &pod]).await?;
    ensure!(log == "Processing data...\n", "{log:?}");
    Ok(pod)
}
