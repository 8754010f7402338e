//! Images with a user, an entrypoint, or nothing but one program, and a root that can't be written to.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Images, Job, secs};
use serde_json::{Value, json};

/// The launcher runs in each of them, what it runs is what Kubernetes would, and exit codes are the
/// commands' own.
pub(crate) async fn run(cluster: &Cluster) -> Result<()> {
    let images = Images::make(None).await?;
    let sh = |script: &str| json!(["sh", "-c", script]);
    let container = |name: &str, image: &str, fields: Value| {
        let mut container = json!({"name": name, "image": image});
        for (field, value) in fields.as_object().into_iter().flatten() {
            container[field] = value.clone();
        }
        container
    };
    let read_only = |script: &str| {
        let context = json!({"readOnlyRootFilesystem": true});
        let fields = json!({"command": sh(script), "securityContext": context});
        container("read-only", "busybox:1.36", fields)
    };
    let entrypoint = |name: &str, fields| container(name, &images.entrypoint, fields);
    let bare = |script: &str| container("bare", &images.bare, json!({"command": ["/awk", script]}));
    let user = |script: &str| container("user", &images.user, json!({"command": sh(script)}));

    let all = [
        user("id -u"),
        read_only("touch /x 2>/dev/null || echo read-only"),
        entrypoint("neither", json!({})),
        entrypoint("args", json!({"args": sh("echo own $FROM")})),
        entrypoint("command", json!({"command": sh("echo own [$FROM]")})),
        entrypoint("both", json!({"command": ["echo", "own"], "args": ["too"]})),
        bare("BEGIN { print \"alone\" }"),
    ];
    let job = Job::new("images", "").pod("containers", json!(all));
    cluster.api().create(&job).await?;
    cluster.api().finished("images", "Complete", secs(60)).await?;
    let pods = cluster.api().pods("images").await?;
    let name = pods.first().context("a pod")?["metadata"]["name"].as_str().unwrap_or_default();
    for (container, expected) in [
        ("user", "1000\n"),
        ("read-only", "read-only\n"),
        ("neither", "default image\n"),
        ("args", "own image\n"),
        ("command", "own []\n"),
        ("both", "own too\n"),
        ("bare", "alone\n"),
    ] {
        let log = cluster.kubectl().ok(&["logs", name, "-c", container]).await?;
        ensure!(log == expected, "{container}: {log:?}");
    }

    let failing = [
        user("exit 3"),
        read_only("exit 4"),
        entrypoint("args", json!({"args": sh("exit 5")})),
        bare("BEGIN { exit 6 }"),
    ];
    let job = Job::new("images-fail", "").pod("containers", json!(failing));
    cluster.api().create(&job).await?;
    cluster.api().finished("images-fail", "Failed", secs(60)).await?;
    let pods = cluster.api().pods("images-fail").await?;
    let statuses = pods.first().context("a pod")?["status"]["containerStatuses"].as_array();
    let codes: BTreeMap<&str, i64> = statuses
        .context("statuses")?
        .iter()
        .filter_map(|status| {
            let code = status["state"]["terminated"]["exitCode"].as_i64()?;
            Some((status["name"].as_str()?, code))
        })
        .collect();
    let expected = BTreeMap::from([("user", 3), ("read-only", 4), ("args", 5), ("bare", 6)]);
    ensure!(codes == expected, "{codes:?}");
    Ok(())
}
