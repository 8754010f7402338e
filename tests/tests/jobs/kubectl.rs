//! The real kubectl as a client.

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, secs};
use serde_json::{Value, json};

/// create -f, get (default, wide, yaml, json, name), describe, logs, logs -f, delete.
pub(crate) async fn manages(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    let script = "echo first; sleep 3; echo second";
    let manifest = Job::new("by-kubectl", script).indexed(2, 2).yaml();
    let created = kubectl.run_with_input(&["create", "-f", "-"], &manifest).await?.ok()?;
    ensure!(created == "job.batch/by-kubectl created\n", "{created:?}");
    let again = kubectl.run_with_input(&["create", "-f", "-"], &manifest).await?.failed(1)?;
    ensure!(again.contains("AlreadyExists"), "{again}");

    let running = |status: &Value| status["ready"] == 2;
    cluster.api().job_until("by-kubectl", "runs", secs(30), running).await?;
    let selector = "batch.kubernetes.io/job-name=by-kubectl";
    let pods = kubectl.ok(&["get", "pods", "-l", selector, "-o", "name"]).await?;
    let pod = pods.lines().next().context("a pod")?.to_owned();
    let follow = kubectl.ok(&["logs", "-f", &pod]).await?;
    ensure!(follow == "first\nsecond\n", "{follow:?}");
    cluster.api().finished("by-kubectl", "Complete", secs(30)).await?;

    let both = kubectl.ok(&["get", "jobs,pods"]).await?;
    ensure!(both.contains("job.batch/by-kubectl ") && both.contains("pod/by-kubectl-1-"), "{both}");
    let wide = kubectl.ok(&["get", "job", "by-kubectl", "-o", "wide"]).await?;
    for part in ["CONTAINERS", "IMAGES", "SELECTOR", "busybox:1.36", "Complete", "2/2"] {
        ensure!(wide.contains(part), "no {part} in {wide}");
    }
    let wide = kubectl.ok(&["get", "pods", "-l", selector, "-o", "wide"]).await?;
    ensure!(wide.contains("NODE") && wide.contains("worker-"), "{wide}");
    let yaml = kubectl.ok(&["get", "job", "by-kubectl", "-o", "yaml"]).await?;
    ensure!(yaml.contains("completedIndexes: 0,1"), "{yaml}");
    let json: Value = serde_json::from_str(&kubectl.ok(&["get", &pod, "-o", "json"]).await?)?;
    ensure!(json["kind"] == "Pod" && json["status"]["phase"] == "Succeeded", "{json}");
    ensure!(json["metadata"]["ownerReferences"][0]["name"] == "by-kubectl", "{json}");

    let described = kubectl.ok(&["describe", "job", "by-kubectl"]).await?;
    for part in
        ["Completed Indexes:  0,1", "2 Succeeded / 0 Failed", "SuccessfulCreate", "Completed"]
    {
        ensure!(described.contains(part), "no {part:?} in {described}");
    }
    let described = kubectl.ok(&["describe", &pod]).await?;
    ensure!(described.contains("Completed") && described.contains("worker-"), "{described}");

    ensure!(kubectl.ok(&["logs", &pod]).await? == "first\nsecond\n");
    ensure!(kubectl.ok(&["logs", &pod, "--tail=1"]).await? == "second\n");
    let timed = kubectl.ok(&["logs", &pod, "--timestamps"]).await?;
    ensure!(timed.starts_with("20") && timed.contains("Z first\n"), "{timed}");
    let all = kubectl.ok(&["logs", "job/by-kubectl", "--all-pods"]).await?;
    ensure!(all.matches("second").count() == 2, "{all}");
    kubectl.ok(&["wait", "--for=condition=complete", "job/by-kubectl", "--timeout=20s"]).await?;

    let deleted = kubectl.ok(&["delete", "job", "by-kubectl"]).await?;
    ensure!(deleted.contains("\"by-kubectl\" deleted"), "{deleted:?}");
    let gone = kubectl.run(&["get", "job", "by-kubectl"]).await?.failed(1)?;
    ensure!(gone.contains("NotFound"), "{gone}");
    ensure!(kubectl.ok(&["get", "pods", "-l", selector, "-o", "name"]).await?.is_empty());
    Ok(())
}

/// apply: created, unchanged, configured, refused; patch in its three forms; replace.
pub(crate) async fn applies(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    let apply = async |job: &Job| kubectl.run_with_input(&["apply", "-f", "-"], &job.yaml()).await;
    let job = Job::new("applied", "true").indexed(4, 1).spec("suspend", true.into());
    let job = job.set("/metadata/labels", json!({"a": "1", "b": "2"}));
    ensure!(apply(&job).await?.ok()? == "job.batch/applied created\n");
    ensure!(apply(&job).await?.ok()? == "job.batch/applied unchanged\n");
    let changed =
        job.clone().spec("parallelism", 2.into()).set("/metadata/labels", json!({"a": "1"}));
    ensure!(apply(&changed).await?.ok()? == "job.batch/applied configured\n");
    let stored = cluster.api().job("applied").await?;
    ensure!(stored["spec"]["parallelism"] == 2, "{}", stored["spec"]);
    ensure!(stored["metadata"]["labels"]["b"].is_null(), "{}", stored["metadata"]);

    let refused = apply(&changed.clone().container("image", json!("busybox:latest"))).await?;
    let refused = refused.failed(1)?;
    ensure!(
        refused.contains("field is immutable") && refused.contains("spec.template"),
        "{refused}"
    );

    let patch = r#"{"spec":{"parallelism":3}}"#;
    kubectl.ok(&["patch", "job", "applied", "-p", patch]).await?;
    ensure!(cluster.api().job("applied").await?["spec"]["parallelism"] == 3);
    let patch = r#"{"metadata":{"labels":{"c":"3"}}}"#;
    kubectl.ok(&["patch", "job", "applied", "--type=merge", "-p", patch]).await?;
    let patch = r#"[{"op":"replace","path":"/spec/suspend","value":false}]"#;
    kubectl.ok(&["patch", "job", "applied", "--type=json", "-p", patch]).await?;
    let job = cluster.api().finished("applied", "Complete", secs(60)).await?;
    ensure!(job["metadata"]["labels"]["c"] == "3", "{}", job["metadata"]);

    let listed = kubectl.ok(&["get", "jobs", "-l", "c=3", "-o", "name"]).await?;
    ensure!(listed == "job.batch/applied\n", "{listed}");
    kubectl.ok(&["label", "job", "applied", "c=4", "--overwrite"]).await?;
    kubectl.ok(&["annotate", "job", "applied", "note=seen"]).await?;

    // A PUT of what was read is taken; one of an older version is a conflict.
    let read = kubectl.ok(&["get", "job", "applied", "-o", "json"]).await?;
    kubectl.ok(&["label", "job", "applied", "c=5", "--overwrite"]).await?;
    let stale = kubectl.run_with_input(&["replace", "-f", "-"], &read).await?.failed(1)?;
    ensure!(stale.contains("Conflict"), "{stale}");
    let read = kubectl.ok(&["get", "job", "applied", "-o", "json"]).await?;
    kubectl.run_with_input(&["replace", "-f", "-"], &read).await?.ok()?;
    kubectl.ok(&["delete", "job", "-l", "c=5"]).await?;
    Ok(())
}

/// get -w shows each change as it comes.
pub(crate) async fn watches(cluster: &Cluster) -> Result<()> {
    let mut jobs = cluster.kubectl().start(&["get", "jobs", "-w"])?;
    let mut pods = cluster.kubectl().start(&[
        "get",
        "pods",
        "-w",
        "-l",
        "batch.kubernetes.io/job-name=watched",
        "-o",
        "jsonpath={.status.phase}{\"\\n\"}",
    ])?;
    cluster
        .kubectl()
        .run_with_input(&["create", "-f", "-"], &Job::new("watched", "sleep 1").yaml())
        .await?
        .ok()?;
    let shown = |printed: &str, status: &str| {
        printed.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some("watched") && words.next() == Some(status)
        })
    };
    let end = |printed: &str| shown(printed, "Running") && shown(printed, "Complete");
    jobs.prints("the job's way", secs(60), end).await?;
    let end =
        |printed: &str| ["Pending", "Running", "Succeeded"].iter().all(|p| printed.contains(p));
    pods.prints("the pod's phases", secs(30), end).await?;
    Ok(())
}

/// Nodes, namespaces, events, version: the rest of what kubectl asks.
pub(crate) async fn nodes(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    let nodes = kubectl.ok(&["get", "nodes"]).await?;
    for worker in ["worker-1", "worker-2", "worker-3"] {
        let ready = |line: &str| line.starts_with(worker) && line.contains(" Ready ");
        ensure!(nodes.lines().any(ready), "{nodes}");
    }
    let described = kubectl.ok(&["describe", "node", "worker-1"]).await?;
    ensure!(described.contains("docker://"), "{described}");
    let namespaces = kubectl.ok(&["get", "namespaces"]).await?;
    ensure!(namespaces.contains("default"), "{namespaces}");
    let version = kubectl.ok(&["version", "-o", "json"]).await?;
    let version: Value = serde_json::from_str(&version)?;
    ensure!(version["serverVersion"]["major"] == "1", "{version}");

    let elsewhere = Job::new("elsewhere", "true").set("/metadata/namespace", json!("other")).yaml();
    kubectl.run_with_input(&["create", "-f", "-"], &elsewhere).await?.ok()?;
    let all = kubectl.ok(&["get", "jobs", "-A"]).await?;
    ensure!(
        all.lines().any(|line| line.starts_with("other ") && line.contains("elsewhere")),
        "{all}"
    );
    ensure!(!kubectl.ok(&["get", "jobs", "-o", "name"]).await?.contains("elsewhere"));
    kubectl
        .ok(&["wait", "-n", "other", "--for=condition=complete", "job/elsewhere", "--timeout=60s"])
        .await?;
    let events = kubectl.ok(&["get", "events", "-n", "other"]).await?;
    ensure!(events.contains("job/elsewhere") && events.contains("SuccessfulCreate"), "{events}");
    Ok(())
}
