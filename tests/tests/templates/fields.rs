//! What one container and its Pod can be asked to be.

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, secs};
use serde_json::{Value, json};

/// The folder behind the claim `data`, which lasts for this program's run.
pub(crate) fn claim_folder() -> String {
    let folder = format!("/tmp/longshore-claim-{}", std::process::id());
    // What can't be made is missed by the scenario that needs it.
    let _ = std::fs::create_dir_all(&folder);
    folder
}

pub(crate) async fn limits(cluster: &Cluster) -> Result<()> {
    let late = Job::new("pod-deadline", "exec sleep 1000")
        .pod("activeDeadlineSeconds", json!(1))
        .pod("terminationGracePeriodSeconds", json!(1));
    let full = Job::new("volume-limit", "head -c 3000000 /dev/zero >/v/file; exec sleep 1000")
        .pod("volumes", json!([{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]))
        .container("volumeMounts", json!([{"name": "v", "mountPath": "/v"}]));
    for (job, reason, message) in [
        (late, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"),
        (full, "Evicted", "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". "),
    ] {
        let name = job.value()["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        cluster.api().create(&job).await?;
        cluster.api().finished(&name, "Failed", secs(60)).await?;
        let pods = cluster.api().pods(&name).await?;
        let status = &pods.first().context("a pod")?["status"];
        ensure!(status["phase"] == "Failed" && status["reason"] == reason, "{status}");
        ensure!(status["message"] == message, "{status}");
    }
    Ok(())
}

pub(crate) async fn carried_out(cluster: &Cluster) -> Result<()> {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let script = "id -u; echo $NODE; cat /about/name; : >/data/kept; df /cache | grep -c tmpfs; \
                  printf 'all is well' >/dev/termination-log";
    let job = Job::new("template", script)
        .pod("securityContext", json!({"runAsUser": 1000, "runAsNonRoot": true, "fsGroup": 1000}))
        .pod(
            "volumes",
            json!([
                {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "cache", "emptyDir": {"medium": "Memory", "sizeLimit": "10Mi"}},
                {"name": "about", "downwardAPI": {"items": [
                    {"path": "name", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
            ]),
        )
        .container(
            "volumeMounts",
            json!([
                {"name": "data", "mountPath": "/data"},
                {"name": "cache", "mountPath": "/cache", "subPath": "part"},
                {"name": "about", "mountPath": "/about"},
            ]),
        )
        .container("env", json!([field("NODE", "spec.nodeName")]))
        .container("securityContext", json!({"allowPrivilegeEscalation": false}));
    let folder = claim_folder();
    // The container's user is nobody on the host.
    std::os::unix::fs::chown(&folder, Some(1000), None)?;
    cluster.api().create(&job).await?;
    cluster.api().finished("template", "Complete", secs(60)).await?;
    let pods = cluster.api().pods("template").await?;
    let pod = pods.first().context("a pod")?;
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    let log = cluster.api().log(name).await?;
    ensure!(log == format!("1000\n{node}\ndefault1\n"), "{log}");
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    ensure!(ended["message"] == "all is well", "{ended}");
    ensure!(std::fs::exists(format!("{folder}/kept"))?);
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

pub(crate) async fn refused(cluster: &Cluster) -> Result<()> {
    let job = Job::new("too-much", "true")
        .pod("hostNetwork", json!(true))
        .pod("volumes", json!([{"name": "v", "persistentVolumeClaim": {"claimName": "other"}}]))
        .container(
            "securityContext",
            json!({"privileged": true, "capabilities": {"add": ["SYS_ADMIN"]}}),
        );
    let reply = cluster.kubectl().run_with_input(&["create", "-f", "-"], &job.yaml()).await?;
    let text = reply.failed(1)?;
    let path = "spec.template.spec";
    for (field, setting) in [
        ("hostNetwork", "set policy.host_network"),
        ("containers[0].securityContext.privileged", "set policy.privileged"),
        (
            "containers[0].securityContext.capabilities.add[0]",
            "add SYS_ADMIN to policy.capabilities",
        ),
        (
            "volumes[0].persistentVolumeClaim.claimName",
            "map other to a folder or a share in policy.claims",
        ),
    ] {
        let line = format!("{path}.{field}: Forbidden: not allowed in this cluster: {setting}");
        ensure!(text.contains(&line), "{line}\nis not in\n{text}");
    }
    let names = cluster.api().job_names().await?;
    ensure!(!names.contains(&"too-much".to_owned()), "{names:?}");
    Ok(())
}

/// A Job's only Pod's log, once it is complete.
pub(crate) async fn log_of(cluster: &Cluster, job: &str) -> Result<String> {
    cluster.api().finished(job, "Complete", secs(60)).await?;
    let pods: Vec<Value> = cluster.api().pods(job).await?;
    let name = pods.first().context("a pod")?["metadata"]["name"].as_str().unwrap_or_default();
    cluster.api().log(name).await
}
