//! Pods with several containers.

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, condition, secs};
use serde_json::{Value, json};

/// A container that runs a script.
pub(crate) fn container(name: &str, script: &str) -> Value {
    json!({"name": name, "image": "busybox:1.36", "command": ["sh", "-c", script]})
}

/// A Job of a Pod with these init containers and containers, and a volume `v` that all have at `/v`.
pub(crate) fn several(name: &str, init: &[Value], main: &[Value]) -> Job {
    let mounted = |containers: &[Value]| -> Value {
        let mounts = json!([{"name": "v", "mountPath": "/v"}]);
        let with_mounts = containers.iter().cloned().map(|mut container| {
            container["volumeMounts"] = mounts.clone();
            container
        });
        with_mounts.collect()
    };
    Job::new(name, "")
        .pod("initContainers", mounted(init))
        .pod("containers", mounted(main))
        .pod("volumes", json!([{"name": "v", "emptyDir": {}}]))
        .pod("terminationGracePeriodSeconds", json!(1))
}

async fn only_pod(cluster: &Cluster, job: &str) -> Result<Value> {
    let pods = cluster.api().pods(job).await?;
    ensure!(pods.len() == 1, "{} pods", pods.len());
    pods.into_iter().next().context("one")
}

fn name_of(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or_default()
}

pub(crate) async fn init(cluster: &Cluster) -> Result<()> {
    let job = several(
        "in-order",
        &[
            container("first", "echo one >/v/log; echo said first"),
            container("second", "cat /v/log; echo two >>/v/log"),
        ],
        &[
            container("left", "cat /v/log; echo $JOB_COMPLETION_INDEX; hostname"),
            container("right", "wc -l </v/log; echo bad >&2"),
        ],
    )
    .indexed(1, 1);
    cluster.api().create(&job).await?;
    cluster.api().finished("in-order", "Complete", secs(60)).await?;
    let pod = only_pod(cluster, "in-order").await?;
    for list in ["initContainerStatuses", "containerStatuses"] {
        let statuses = pod["status"][list].as_array().context("statuses")?;
        ensure!(statuses.len() == 2, "{statuses:?}");
        for status in statuses {
            ensure!(status["state"]["terminated"]["exitCode"] == 0, "{status}");
        }
    }
    let kubectl = cluster.kubectl();
    let log = async |container| kubectl.ok(&["logs", name_of(&pod), "-c", container]).await;
    ensure!(log("first").await? == "said first\n");
    ensure!(log("second").await? == "one\n");
    ensure!(log("left").await? == "one\ntwo\n0\nin-order-0\n");
    // Which of its two streams comes first is nobody's to say.
    let right = log("right").await?;
    ensure!(right == "2\nbad\n" || right == "bad\n2\n", "{right}");
    let all = kubectl.ok(&["logs", name_of(&pod), "--all-containers"]).await?;
    ensure!(all.lines().count() == 8, "{all}");
    let own = cluster.longshore(&["logs", "job/in-order"]).await?.ok()?;
    ensure!(own.contains("0 first | said first\n") && own.contains("0 right | bad\n"), "{own}");
    let shown = kubectl.ok(&["get", "pods", "-l", "batch.kubernetes.io/job-name=in-order"]).await?;
    ensure!(shown.contains("0/2") && shown.contains("Completed"), "{shown}");
    let described = kubectl.ok(&["describe", "pod", name_of(&pod)]).await?;
    ensure!(described.contains("Init Containers:") && described.contains("second:"), "{described}");
    Ok(())
}

pub(crate) async fn failing_init(cluster: &Cluster) -> Result<()> {
    let job = several(
        "init-fails",
        &[container("first", "echo no; exit 3"), container("second", "true")],
        &[container("main", "true")],
    );
    cluster.api().create(&job).await?;
    let job = cluster.api().finished("init-fails", "Failed", secs(60)).await?;
    let failed = condition(&job["status"], "Failed").context("failed")?;
    ensure!(failed["reason"] == "BackoffLimitExceeded", "{failed}");
    let pod = only_pod(cluster, "init-fails").await?;
    let first = &pod["status"]["initContainerStatuses"][0]["state"]["terminated"];
    ensure!(first["exitCode"] == 3, "{}", pod["status"]);
    let main = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
    ensure!(main["reason"] == "PodInitializing", "{}", pod["status"]);
    let shown = cluster.kubectl().ok(&["get", "pod", name_of(&pod)]).await?;
    ensure!(shown.contains("Init:Error"), "{shown}");
    Ok(())
}

pub(crate) async fn network(cluster: &Cluster) -> Result<()> {
    let job = several(
        "network",
        &[],
        &[
            container(
                "server",
                "echo hello >/v/index.html; httpd -f -p 8080 -h /v & \
                while [ ! -e /v/done ]; do sleep 0.1; done",
            ),
            container(
                "client",
                "for n in $(seq 100); do \
                wget -q -O - http://localhost:8080/index.html 2>/dev/null && break; sleep 0.1; done; : >/v/done",
            ),
        ],
    );
    cluster.api().create(&job).await?;
    cluster.api().finished("network", "Complete", secs(60)).await?;
    let pod = only_pod(cluster, "network").await?;
    let log = cluster.kubectl().ok(&["logs", name_of(&pod), "-c", "client"]).await?;
    ensure!(log == "hello\n", "{log}");
    Ok(())
}

pub(crate) async fn sidecar(cluster: &Cluster) -> Result<()> {
    let script = "trap 'echo told to stop; exit 0' TERM; echo up; : >/v/up; \
                  while true; do sleep 0.1; done";
    let mut sidecar = container("side", script);
    sidecar["restartPolicy"] = json!("Always");
    let main = container("main", "[ -e /v/up ] && echo it was up");
    let job =
        several("sidecar", &[sidecar], &[main]).pod("terminationGracePeriodSeconds", json!(10));
    cluster.api().create(&job).await?;
    cluster.api().finished("sidecar", "Complete", secs(60)).await?;
    let pod = only_pod(cluster, "sidecar").await?;
    let log =
        async |container| cluster.kubectl().ok(&["logs", name_of(&pod), "-c", container]).await;
    ensure!(log("main").await? == "it was up\n");
    ensure!(log("side").await? == "up\ntold to stop\n", "{}", log("side").await?);
    ensure!(pod["status"]["phase"] == "Succeeded");
    Ok(())
}

pub(crate) async fn restart(cluster: &Cluster) -> Result<()> {
    let fails_once = "[ -e /v/tried ] && exit 0; : >/v/tried; exit 1";
    let job = several(
        "restart-one",
        &[],
        &[
            container("steady", "while [ ! -e /v/tried ]; do sleep 0.1; done; sleep 1"),
            container("weak", fails_once),
        ],
    )
    .pod("restartPolicy", json!("OnFailure"))
    .retries(3);
    cluster.api().create(&job).await?;
    let job = cluster.api().finished("restart-one", "Complete", secs(60)).await?;
    ensure!(job["status"]["failed"].is_null() || job["status"]["failed"] == 0, "{}", job["status"]);
    let pod = only_pod(cluster, "restart-one").await?;
    let restarts: Vec<&Value> = pod["status"]["containerStatuses"]
        .as_array()
        .context("statuses")?
        .iter()
        .map(|status| &status["restartCount"])
        .collect();
    ensure!(restarts == [&json!(0), &json!(1)], "{}", pod["status"]);
    Ok(())
}

pub(crate) async fn policy(cluster: &Cluster) -> Result<()> {
    let rule = |container: &str| {
        json!({"action": "FailJob", "onExitCodes":
            {"containerName": container, "operator": "In", "values": [7]}})
    };
    let both = [container("left", "exit 0"), container("right", "exit 7")];
    let job = several("by-name", &[], &both)
        .retries(6)
        .spec("podFailurePolicy", json!({"rules": [rule("left"), rule("right")]}));
    cluster.api().create(&job).await?;
    let job = cluster.api().finished("by-name", "Failed", secs(60)).await?;
    let failed = condition(&job["status"], "Failed").context("failed")?;
    ensure!(failed["reason"] == "PodFailurePolicy", "{failed}");
    let message = failed["message"].as_str().unwrap_or_default();
    ensure!(message.starts_with("Container right for pod "), "{message}");
    ensure!(
        message.ends_with("failed with exit code 7 matching FailJob rule at index 1"),
        "{message}"
    );
    Ok(())
}

/// What can't come up with its Pod ends it: under Kubernetes the others would run for ever.
pub(crate) async fn never_there(cluster: &Cluster) -> Result<()> {
    let mut missing = container("missing", "true");
    missing["image"] = json!("longshore.invalid/none:1");
    missing["imagePullPolicy"] = json!("Never");
    let job = several("half-there", &[], &[container("endless", "exec sleep 1000"), missing]);
    cluster.api().create(&job).await?;
    cluster.api().finished("half-there", "Failed", secs(60)).await?;
    let pod = only_pod(cluster, "half-there").await?;
    let missing = &pod["status"]["containerStatuses"][1]["state"]["terminated"];
    ensure!(missing["reason"] == "ErrImageNeverPull", "{}", pod["status"]);
    Ok(())
}

pub(crate) async fn suspend(cluster: &Cluster) -> Result<()> {
    let mut sidecar = container("side", "sleep 1000");
    sidecar["restartPolicy"] = json!("Always");
    let endless = "[ -e /v/go ] || exec sleep 1000";
    let job = several("stop-all", &[sidecar], &[container("a", endless), container("b", endless)]);
    cluster.api().create(&job).await?;
    let running = |status: &Value| status["ready"] == 1;
    cluster.api().job_until("stop-all", "running", secs(60), running).await?;
    cluster.api().patch("stop-all", &json!({"spec": {"suspend": true}})).await?;
    let stopped = |status: &Value| {
        condition(status, "Suspended").is_some() && status["terminating"].as_u64().unwrap_or(0) == 0
    };
    cluster.api().job_until("stop-all", "stopped", secs(60), stopped).await?;
    let pod = only_pod(cluster, "stop-all").await?;
    ensure!(pod["status"]["reason"] == "Stopped", "{}", pod["status"]);
    cluster.api().delete("stop-all").await?;
    cluster.api().gone("stop-all", secs(30)).await
}
