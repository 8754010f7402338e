//! A worker that is killed and comes back within its lease takes up Pods with several containers, wherever
//! each of them is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, Options, Witness, run, secs, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::process::Command;

use super::steady::is_disrupted;

const WORKER: &str = "worker-1";

/// A Job whose Pod has an init container `first`, a sidecar `side`, and the containers `left` and `right`.
/// Each writes its name to the Job's file, and to its log what it does; it ends when its gate is opened.
struct Case {
    name: &'static str,
    /// Those whose gates are not open from the beginning.
    gated: &'static [&'static str],
    /// The gates that are opened while there is no worker for the second time.
    opened_meanwhile: &'static [&'static str],
    uid: String,
}

const CASES: [(&str, &[&str], &[&str]); 7] = [
    ("in-init", &["first"], &[]),
    ("init-ends", &["first"], &["first"]),
    // Its containers need what isn't there.
    ("between", &[], &[]),
    ("in-mains", &["left", "right"], &[]),
    ("one-ended", &["right"], &[]),
    ("all-end", &["left", "right"], &["left", "right"]),
    // `right` has failed once.
    ("restarted", &["right"], &[]),
];

/// Two restarts while each Job is at a place of its own: nothing is disrupted, nothing runs twice, and no
/// output is lost or doubled.
pub(crate) async fn everywhere() -> Result<()> {
    let world = tempfile::tempdir()?;
    let options = Options::workers(1, u32::try_from(CASES.len())?);
    let options = options.set("WORKER__HOST_PATHS", world.path().display().to_string());
    let cluster = Cluster::start(options).await?;
    let witness = Witness::listen().await?;
    let mut cases = Vec::new();
    for (name, gated, opened_meanwhile) in CASES {
        let all = ["first", "left", "right"];
        for container in all.into_iter().filter(|container| !gated.contains(container)) {
            open(world.path(), name, container)?;
        }
        let job = cluster.api().create(&job(name, gated, world.path())).await?;
        let uid = job["metadata"]["uid"].as_str().context("uid")?.to_owned();
        cases.push(Case { name, gated, opened_meanwhile, uid });
    }
    in_place(&cluster, &cases).await?;

    restart(&cluster, 1, async || Ok(())).await?;
    restart(&cluster, 2, async || {
        fs::write(world.path().join("middle"), "")?;
        for case in &cases {
            for container in case.opened_meanwhile {
                open(world.path(), case.name, container)?;
            }
            ended(case, case.opened_meanwhile).await?;
        }
        Ok(())
    })
    .await?;

    let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}});
    cluster.api().post("/api/v1/namespaces/default/configmaps", &settings).await?.ok()?;
    for case in &cases {
        for container in case.gated {
            open(world.path(), case.name, container)?;
        }
    }
    for case in &cases {
        judge(&cluster, case, world.path()).await.with_context(|| case.name.to_owned())?;
        let runs = witness.ended(&case.uid, secs(30)).await?.len();
        let expected = if case.name == "restarted" { 6 } else { 5 };
        ensure!(runs == expected, "{}: {runs} containers ran", case.name);
    }
    Ok(())
}

fn job(name: &str, gated: &[&str], world: &Path) -> Job {
    let container = |own: &str| {
        let fails = match (name, own) {
            ("restarted", "right") => "[ -e /w/$JOB.failed ] || { : >/w/$JOB.failed; exit 1; };",
            _ => "",
        };
        let middle = match gated.contains(&own) {
            true => "until [ -e /w/middle ]; do sleep 0.1; done; echo middle;",
            false => "",
        };
        let to_the_end = match own {
            "side" => "trap 'echo end; exit 0' TERM; while :; do sleep 0.1; done",
            _ => "until [ -e /w/$JOB.$OWN ]; do sleep 0.1; done; echo end",
        };
        let script =
            format!("echo $OWN >>/w/$JOB.lines; echo begin; {fails} {middle} {to_the_end}");
        let mut container = json!({
            "name": own, "image": "busybox:1.36", "command": ["sh", "-c", script],
            "env": [{"name": "JOB", "value": name}, {"name": "OWN", "value": own}],
            "volumeMounts": [{"name": "w", "mountPath": "/w"}],
        });
        if name == "between" && own != "first" && own != "side" {
            container["envFrom"] = json!([{"configMapRef": {"name": "late"}}]);
        }
        container
    };
    let mut side = container("side");
    side["restartPolicy"] = json!("Always");
    Job::new(name, "")
        .pod("initContainers", json!([side, container("first")]))
        .pod("containers", json!([container("left"), container("right")]))
        .pod("volumes", json!([{"name": "w", "hostPath": {"path": world}}]))
        .pod("restartPolicy", json!(if name == "restarted" { "OnFailure" } else { "Never" }))
        // A failure that is counted twice is one too many.
        .retries(if name == "restarted" { 2 } else { 0 })
}

fn open(world: &Path, job: &str, container: &str) -> Result<()> {
    Ok(fs::write(world.join(format!("{job}.{container}")), "")?)
}

/// Waits until each Job is where it is to be when the worker is killed.
async fn in_place(cluster: &Cluster, cases: &[Case]) -> Result<()> {
    for case in cases {
        let there = |pods: &[Value]| {
            let state =
                |container: &str| pods.first().map(|pod| status(pod, container)["state"].clone());
            let is = |container: &str, key: &str| {
                state(container).is_some_and(|state| !state[key].is_null())
            };
            let late = "CreateContainerConfigError";
            match case.name {
                "between" => state("left").is_some_and(|left| left["waiting"]["reason"] == late),
                "one-ended" => is("left", "terminated") && is("right", "running"),
                "restarted" => pods.first().is_some_and(|pod| {
                    status(pod, "right")["restartCount"] == 1 && is("right", "running")
                }),
                _ => case.gated.iter().all(|container| is(container, "running")),
            }
        };
        cluster.api().pods_until(case.name, "in place", secs(60), there).await?;
    }
    Ok(())
}

/// The status of a Pod's container.
fn status<'a>(pod: &'a Value, container: &str) -> &'a Value {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let mut all = lists.iter().filter_map(|list| pod["status"][list].as_array()).flatten();
    all.find(|status| status["name"] == container).unwrap_or(&Value::Null)
}

/// Kills the worker, does something, and starts it again; waits until it has taken up all Jobs for the
/// `times`th time.
async fn restart(
    cluster: &Cluster,
    times: usize,
    meanwhile: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    cluster.signal(WORKER, Signal::KILL)?;
    meanwhile().await?;
    cluster.start_member(WORKER).await?;
    until("all are taken up", secs(15), async || {
        let taken = cluster.log(WORKER)?.matches("taken up again").count();
        Ok(if taken == times * CASES.len() { Ok(()) } else { Err(taken) })
    })
    .await
}

/// Waits until containers of a Job have ended, by Docker's word.
async fn ended(case: &Case, containers: &[&str]) -> Result<()> {
    until("containers end", secs(8), async || {
        let mut docker = Command::new("docker");
        let label = format!("label=batch.kubernetes.io/controller-uid={}", case.uid);
        docker.args(["ps", "--format", "{{.Names}}", "--filter", &label]);
        let running = run(docker).await?.ok()?;
        let alive = |container: &&&str| running.lines().any(|line| line.ends_with(**container));
        Ok(if containers.iter().any(|one| alive(&one)) { Err(running) } else { Ok(()) })
    })
    .await
}

/// Complete in one attempt, in which each command has run once.
async fn judge(cluster: &Cluster, case: &Case, world: &Path) -> Result<()> {
    let job = cluster.api().finished(case.name, "Complete", secs(60)).await?;
    ensure!(job["status"]["failed"].as_i64().unwrap_or(0) == 0, "{}", job["status"]);
    let pods = cluster.api().pods(case.name).await?;
    let [pod] = &pods[..] else { anyhow::bail!("{} attempts", pods.len()) };
    ensure!(!is_disrupted(pod), "{}", pod["status"]);

    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for line in fs::read_to_string(world.join(format!("{}.lines", case.name)))?.lines() {
        *times.entry(line.to_owned()).or_default() += 1;
    }
    for container in ["first", "side", "left", "right"] {
        let failures = u32::from(case.name == "restarted" && container == "right");
        ensure!(times.get(container) == Some(&(1 + failures)), "{times:?}");
        let status = status(pod, container);
        ensure!(status["restartCount"] == failures, "{status}");
        ensure!(status["state"]["terminated"]["exitCode"] == 0, "{status}");
        let name = pod["metadata"]["name"].as_str().context("name")?;
        let log = cluster.kubectl().ok(&["logs", name, "-c", container]).await?;
        let middle = if case.gated.contains(&container) { "middle\n" } else { "" };
        let begins = "begin\n".repeat(1 + failures as usize);
        if log != format!("{begins}{middle}end\n") {
            let stamped = ["logs", name, "-c", container, "--timestamps"];
            anyhow::bail!("{container}: {}", cluster.kubectl().ok(&stamped).await?);
        }
    }
    Ok(())
}
