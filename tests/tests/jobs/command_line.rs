//! Longshore's own command line.

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, secs};
use serde_json::Value;

/// `run -f`: exit 0 on Complete, 1 on Failed, plain lines, and the logs of what failed.
pub(crate) async fn run(cluster: &Cluster) -> Result<()> {
    let run = async |job: Job| cluster.longshore_with_input(&["run", "-f", "-"], &job.yaml()).await;
    let output = run(Job::new("run-well", "echo fine").indexed(3, 3)).await?;
    let shown = format!("{}{}", output.stdout, output.stderr);
    ensure!(output.code == 0, "{output}");
    ensure!(shown.contains("run-well") && shown.contains("3/3"), "{shown}");
    ensure!(!shown.contains('\x1b') && !shown.contains('\r'), "not plain lines: {shown:?}");

    let script = "[ $JOB_COMPLETION_INDEX != 1 ] || { sleep 1; echo the reason why; exit 3; }";
    let output = run(Job::new("run-badly", script).indexed(2, 2)).await?;
    let shown = format!("{}{}", output.stdout, output.stderr);
    ensure!(output.code == 1, "{output}");
    ensure!(shown.contains("the reason why"), "the log of the failure isn't shown: {shown}");
    ensure!(shown.contains("BackoffLimitExceeded"), "{shown}");
    Ok(())
}

pub(crate) async fn run_timeout(cluster: &Cluster) -> Result<()> {
    let job = Job::new("run-slowly", "sleep 300").pod("terminationGracePeriodSeconds", 1.into());
    let args = ["run", "-f", "-", "--timeout", "3s"];
    cluster.longshore_with_input(&args, &job.yaml()).await?.failed(124)?;
    // What to do with the Job is the user's to say.
    cluster.longshore(&["delete", "job", "run-slowly"]).await?.ok()?;
    Ok(())
}

/// create, get in its forms, describe, delete.
pub(crate) async fn manages(cluster: &Cluster) -> Result<()> {
    let longshore = async |args: &[&str]| cluster.longshore(args).await?.ok();
    let manifest = Job::new("own-words", "echo hello").yaml();
    let create = ["create", "-f", "-"];
    let created = cluster.longshore_with_input(&create, &manifest).await?.ok()?;
    ensure!(created == "job.batch/own-words created\n", "{created:?}");
    let again = cluster.longshore_with_input(&create, &manifest).await?.failed(1)?;
    ensure!(again.contains("already exists"), "{again}");
    let applied = cluster.longshore_with_input(&["apply", "-f", "-"], &manifest).await?.ok()?;
    ensure!(applied.starts_with("job.batch/own-words "), "{applied:?}");
    longshore(&["wait", "--for=condition=complete", "job/own-words", "--timeout=60s"]).await?;

    ensure!(
        longshore(&["get", "job", "own-words", "-o", "name"]).await? == "job.batch/own-words\n"
    );
    let table = longshore(&["get", "jobs"]).await?;
    ensure!(table.starts_with("NAME"), "{table}");
    let row = table.lines().find(|line| line.starts_with("own-words ")).context("a row")?;
    ensure!(row.contains("Complete") && row.contains("1/1"), "{row}");
    let wide = longshore(&["get", "jobs", "-o", "wide"]).await?;
    ensure!(wide.contains("busybox:1.36"), "{wide}");
    let json: Value =
        serde_json::from_str(&longshore(&["get", "job", "own-words", "-o", "json"]).await?)?;
    ensure!(json["kind"] == "Job" && json["status"]["succeeded"] == 1, "{json}");
    let yaml = longshore(&["get", "job", "own-words", "-o", "yaml"]).await?;
    ensure!(yaml.contains("kind: Job") && yaml.contains("succeeded: 1"), "{yaml}");
    let all = longshore(&["get", "jobs", "-A"]).await?;
    ensure!(all.starts_with("NAMESPACE") && all.contains("own-words"), "{all}");

    let selector = "batch.kubernetes.io/job-name=own-words";
    let pods = longshore(&["get", "pods", "-l", selector, "-o", "wide"]).await?;
    ensure!(pods.contains("Completed") && pods.contains("worker-"), "{pods}");
    let pod = longshore(&["get", "pods", "-l", selector, "-o", "name"]).await?;
    let pod = pod.trim().strip_prefix("pod/").context("pod/NAME")?.to_owned();
    ensure!(longshore(&["logs", &pod]).await? == "hello\n");
    for (kind, name) in [("job", "own-words"), ("pod", &pod), ("node", "worker-1")] {
        let text = longshore(&["describe", kind, name]).await?;
        ensure!(text.contains(name), "{text}");
    }
    let nodes = longshore(&["get", "nodes"]).await?;
    ensure!(nodes.contains("worker-2") && nodes.contains("Ready"), "{nodes}");
    let events = longshore(&["get", "events"]).await?;
    ensure!(events.contains("job/own-words"), "{events}");

    ensure!(longshore(&["delete", "job", "own-words"]).await?.contains("deleted"));
    let gone = cluster.longshore(&["get", "job", "own-words"]).await?.failed(1)?;
    ensure!(gone.contains("not found"), "{gone}");
    let gone = cluster.longshore(&["delete", "job", "own-words"]).await?.failed(1)?;
    ensure!(gone.contains("not found"), "{gone}");
    Ok(())
}

/// `logs job/NAME`: every line behind its index; one index; the last lines; followed.
pub(crate) async fn logs(cluster: &Cluster) -> Result<()> {
    let script = "echo one of $JOB_COMPLETION_INDEX; sleep 1; echo two of $JOB_COMPLETION_INDEX";
    cluster.api().create(&Job::new("talkers", script).indexed(3, 3)).await?;
    let mut follow = cluster.start_longshore(&["logs", "-f", "job/talkers"])?;
    let code = follow.ended(secs(60)).await?;
    let followed = follow.printed();
    ensure!(code == 0, "{code}: {followed}");
    let read = cluster.longshore(&["logs", "job/talkers"]).await?.ok()?;
    for text in [&followed, &read] {
        let mut lines: Vec<&str> = text.lines().collect();
        ensure!(lines.len() == 6, "{text}");
        for index in 0..3 {
            let of_index: Vec<&str> =
                lines.iter().copied().filter(|l| l.ends_with(&format!(" of {index}"))).collect();
            let [one, two] = of_index[..] else { anyhow::bail!("index {index} in {text}") };
            ensure!(one.contains("one") && two.contains("two"), "out of order: {text}");
            let prefix = one.split("one of").next().unwrap_or_default();
            ensure!(prefix.contains(&index.to_string()), "no index in {one:?}");
        }
        lines.sort_unstable();
        lines.dedup();
        ensure!(lines.len() == 6, "doubled: {text}");
    }
    let one = cluster.longshore(&["logs", "job/talkers", "--index", "1"]).await?.ok()?;
    ensure!(one.lines().count() == 2 && one.lines().all(|l| l.ends_with(" of 1")), "{one}");
    let tail =
        cluster.longshore(&["logs", "job/talkers", "--index", "1", "--tail", "1"]).await?.ok()?;
    ensure!(tail.trim_end().ends_with("two of 1") && tail.lines().count() == 1, "{tail}");
    let timed =
        cluster.longshore(&["logs", "job/talkers", "--index", "2", "--timestamps"]).await?.ok()?;
    ensure!(timed.lines().all(|line| line.contains("Z ")), "{timed}");
    Ok(())
}

pub(crate) async fn wait(cluster: &Cluster) -> Result<()> {
    let wait = async |condition: &str, timeout: &str| {
        let (on, timeout) =
            (format!("--for=condition={condition}"), format!("--timeout={timeout}"));
        cluster.longshore(&["wait", &on, "job/waited-for", &timeout]).await
    };
    cluster.api().create(&Job::new("waited-for", "sleep 4; exit 1")).await?;
    wait("complete", "1s").await?.failed(124)?;
    wait("failed", "60s").await?.ok()?;
    let missing = ["wait", "--for=condition=complete", "job/nobody", "--timeout=1s"];
    cluster.longshore(&missing).await?.failed(1)?;
    Ok(())
}

pub(crate) async fn suspend(cluster: &Cluster) -> Result<()> {
    let job = Job::new("stop-and-go", "sleep 1").indexed(3, 1);
    cluster.api().create(&job).await?;
    cluster.longshore(&["suspend", "job/stop-and-go"]).await?.ok()?;
    let suspended = |s: &Value| longshore_tests::condition(s, "Suspended").is_some();
    cluster.api().job_until("stop-and-go", "suspended", secs(20), suspended).await?;
    let table = cluster.longshore(&["get", "job", "stop-and-go"]).await?.ok()?;
    ensure!(table.contains("Suspended"), "{table}");
    cluster.longshore(&["resume", "job/stop-and-go"]).await?.ok()?;
    cluster.api().finished("stop-and-go", "Complete", secs(60)).await?;
    Ok(())
}

pub(crate) async fn completion(cluster: &Cluster) -> Result<()> {
    for shell in ["bash", "zsh", "fish"] {
        let script = cluster.longshore(&["completion", shell]).await?.ok()?;
        ensure!(script.contains("longshore") && script.contains("suspend"), "{shell}: {script}");
    }
    let version = cluster.longshore(&["version"]).await?.ok()?;
    ensure!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    cluster.longshore(&["no-such-command"]).await?.failed(2)?;
    Ok(())
}
