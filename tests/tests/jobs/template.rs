//! What a container gets from its template.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, secs};
use serde_json::{Value, json};

/// The folder below which the cluster's settings allow `hostPath`.
pub(crate) fn host_paths() -> Result<PathBuf> {
    let path = PathBuf::from("/tmp/longshore-tests");
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

/// A `volumes` list of one folder of the host.
pub(crate) fn host_path(name: &str, path: &Path) -> Value {
    json!([{"name": name, "hostPath": {"path": path}}])
}

/// command and args, workingDir, env, limits, hostname, `JOB_COMPLETION_INDEX`, labels.
pub(crate) async fn container_fields(cluster: &Cluster) -> Result<()> {
    let script = r#"
        echo "args $0 $1"
        echo "folder $(pwd)"
        echo "env $PLAIN $COMBINED"
        echo "host $(hostname) index $JOB_COMPLETION_INDEX"
        echo "token ${LONGSHORE_FENCING_TOKEN:+given}"
        for f in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
            if [ -e $f ]; then echo "memory $(cat $f)"; fi
        done
        echo "to stderr" >&2
        printf 'no newline at the end'"#;
    let job = Job::new("fields", script)
        .indexed(2, 2)
        .container("args", json!(["zero", "one"]))
        .container("workingDir", json!("/var/tmp"))
        .container(
            "env",
            json!([{"name": "PLAIN", "value": "a b"}, {"name": "COMBINED", "value": "$(PLAIN)!"}]),
        )
        .container("resources", json!({"limits": {"cpu": "500m", "memory": "64Mi"}}))
        .set("/spec/template/metadata/labels", json!({"team": "harbour"}));
    cluster.api().create(&job).await?;
    cluster.api().finished("fields", "Complete", secs(60)).await?;

    let pods = cluster.api().pods("fields").await?;
    let key = "batch.kubernetes.io/job-completion-index";
    let pod = pods.iter().find(|pod| pod["metadata"]["annotations"][key] == "1");
    let pod = pod.context("a pod of index 1")?;
    let labels = &pod["metadata"]["labels"];
    ensure!(labels["team"] == "harbour" && labels[key] == "1", "{labels}");
    ensure!(labels["batch.kubernetes.io/job-name"] == "fields", "{labels}");
    ensure!(pod["spec"]["hostname"] == "fields-1", "{}", pod["spec"]);
    ensure!(pod["status"]["qosClass"].is_string() || pod["status"]["phase"] == "Succeeded");

    let log = cluster.api().log(pod["metadata"]["name"].as_str().context("name")?).await?;
    for line in [
        "args zero one",
        "folder /var/tmp",
        "env a b a b!",
        "host fields-1 index 1",
        "token given",
        "memory 67108864",
        "to stderr",
        "no newline at the end",
    ] {
        ensure!(log.lines().any(|l| l == line), "no line {line:?} in:\n{log}");
    }
    Ok(())
}

/// `emptyDir` starts empty and ends with its attempt; `hostPath` is the host's, below allowed folders.
pub(crate) async fn volumes(cluster: &Cluster) -> Result<()> {
    let folder = tempfile::Builder::new().tempdir_in(host_paths()?)?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    std::fs::write(folder.path().join("in"), "from the host\n")?;
    let script = r#"ls /empty; echo x > /empty/x; cat /host/in; echo done > /host/out
        ! echo x 2>/dev/null > /fixed/x"#;
    let job = Job::new("volumes", script)
        .pod(
            "volumes",
            json!([
                {"name": "empty", "emptyDir": {}},
                {"name": "host", "hostPath": {"path": folder.path(), "type": "Directory"}},
            ]),
        )
        .container(
            "volumeMounts",
            json!([
                {"name": "empty", "mountPath": "/empty"},
                {"name": "host", "mountPath": "/host"},
                {"name": "host", "mountPath": "/fixed", "readOnly": true},
            ]),
        );
    cluster.api().create(&job).await?;
    cluster.api().finished("volumes", "Complete", secs(60)).await?;
    let pods = cluster.api().pods("volumes").await?;
    let log = cluster.api().log(pods[0]["metadata"]["name"].as_str().context("name")?).await?;
    ensure!(log == "from the host\n", "{log:?}");
    ensure!(std::fs::read_to_string(folder.path().join("out"))? == "done\n");

    // A folder that the settings don't allow, and one that leads there by a symbolic link.
    std::os::unix::fs::symlink("/etc", folder.path().join("link"))?;
    for (name, path) in
        [("outside", PathBuf::from("/etc")), ("by-link", folder.path().join("link"))]
    {
        let job = Job::new(name, "cat /host/passwd")
            .pod("volumes", host_path("host", &path))
            .container("volumeMounts", json!([{"name": "host", "mountPath": "/host"}]));
        cluster.api().create(&job).await?;
        cluster.api().finished(name, "Failed", secs(60)).await?;
        let pods = cluster.api().pods(name).await?;
        let ended = &pods[0]["status"]["containerStatuses"][0]["state"]["terminated"];
        ensure!(ended["reason"] == "CreateContainerConfigError", "{ended}");
        ensure!(ended["message"].to_string().contains("worker.host_paths"), "{ended}");
    }
    Ok(())
}
