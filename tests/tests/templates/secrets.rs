//! ConfigMaps and Secrets in containers.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use longshore_tests::{Cluster, Job, Options, Registry, run, secs};
use serde_json::{Value, json};
use tokio::process::Command;

use super::fields::log_of;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Words that are nowhere else on this machine, and the forms in which they could be found.
const WORDS: &str = "correct-horse-battery-staple-7d1f";
const IN_BASE64: &str = "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZS03ZDFm";

/// A Secret as a variable, in a command, and as a file, used by a Job that succeeds and one that fails. Its
/// value is in no file of the cluster's or of Docker's, in no log, event, object or description, and in no
/// key of Redis.
pub(crate) async fn nowhere_in_the_clear() -> Result<()> {
    let cluster = Cluster::start(Options::workers(1, 2)).await?;
    let kubectl = cluster.kubectl();
    let literal = format!("--from-literal=key={WORDS}");
    kubectl.ok(&["create", "secret", "generic", "it", &literal]).await?;
    let using = |name: &str, code: u32| {
        let script = format!(
            "[ \"$KEY\" = \"$0\" ] && [ \"$(cat /v/key)\" = \"$KEY\" ] || exit 9; \
             while [ ! -e /go/go ]; do sleep 0.1; done; echo ${{#KEY}}; exit {code}"
        );
        Job::new(name, &script)
            .container("args", json!(["$(KEY)"]))
            .container(
                "env",
                json!([{"name": "KEY", "valueFrom":
                {"secretKeyRef": {"name": "it", "key": "key"}}}]),
            )
            .container("envFrom", json!([{"secretRef": {"name": "it"}, "prefix": "ALL_"}]))
            .container(
                "volumeMounts",
                json!([
                {"name": "v", "mountPath": "/v"}, {"name": "go", "mountPath": "/go"}]),
            )
            .pod(
                "volumes",
                json!([
                {"name": "v", "secret": {"secretName": "it"}}, {"name": "go", "emptyDir": {}}]),
            )
    };
    cluster.api().create(&using("good", 0)).await?;
    cluster.api().create(&using("bad", 3)).await?;
    for job in ["good", "bad"] {
        let ready = |status: &Value| status["ready"] == 1;
        cluster.api().job_until(job, "running", secs(60), ready).await?;
    }
    // While both run: this is when most of it is about.
    search(&cluster).await?;
    for volumes in folders(&cluster.dir().join("workers/worker-1/volumes"))? {
        std::fs::write(volumes.join("go/go"), "")?;
    }
    ensure!(log_of(&cluster, "good").await? == format!("{}\n", WORDS.len()));
    cluster.api().finished("bad", "Failed", secs(60)).await?;
    kubectl.ok(&["delete", "secret", "it"]).await?;
    search(&cluster).await
}

async fn search(cluster: &Cluster) -> Result<()> {
    let root = docker_root().await?;
    for place in [cluster.dir().to_owned(), root.join("containers"), PathBuf::from("/var/log")] {
        for words in [WORDS, IN_BASE64] {
            let mut grep = Command::new("grep");
            // Named pipes and devices would be read for ever.
            grep.args(["-rlaF", "--devices=skip", words]).arg(&place);
            let found = run(grep).await?;
            ensure!(found.stdout.is_empty(), "in {}: {}", place.display(), found.stdout);
        }
    }
    let kubectl = cluster.kubectl();
    for args in [
        &["get", "jobs,pods,events,nodes", "-o", "yaml"][..],
        &["describe", "jobs,pods"],
        &["describe", "secrets"],
        &["get", "secrets"],
    ] {
        hides(&kubectl.ok(args).await?).with_context(|| format!("kubectl {args:?}"))?;
    }
    let mut redis = cluster.redis().await?;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await?;
    ensure!(keys.len() > 5, "{keys:?}");
    for key in keys {
        let dump: Option<Vec<u8>> = redis::cmd("DUMP").arg(&key).query_async(&mut redis).await?;
        hides(&String::from_utf8_lossy(&dump.unwrap_or_default())).with_context(|| key.clone())?;
        // A dump may be compressed, so what is read counts too.
        hides(&read(&mut redis, &key).await?).with_context(|| key)?;
    }
    Ok(())
}

fn hides(text: &str) -> Result<()> {
    ensure!(!text.contains(WORDS) && !text.contains(IN_BASE64), "it is there: {text}");
    Ok(())
}

/// All that a key holds, as text.
async fn read(redis: &mut redis::aio::MultiplexedConnection, key: &str) -> Result<String> {
    let kind: String = redis::cmd("TYPE").arg(key).query_async(redis).await?;
    let (command, rest): (&str, &[&str]) = match kind.as_str() {
        "string" => ("GET", &[]),
        "hash" => ("HGETALL", &[]),
        "stream" => ("XRANGE", &["-", "+"]),
        "set" => ("SMEMBERS", &[]),
        "zset" | "list" => (if kind == "list" { "LRANGE" } else { "ZRANGE" }, &["0", "-1"]),
        _ => return Ok(String::new()),
    };
    let value: redis::Value = redis::cmd(command).arg(key).arg(rest).query_async(redis).await?;
    Ok(texts(&value))
}

fn texts(value: &redis::Value) -> String {
    match value {
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned() + "\n",
        redis::Value::SimpleString(text) => text.clone() + "\n",
        redis::Value::Array(all) | redis::Value::Set(all) => all.iter().map(texts).collect(),
        redis::Value::Map(pairs) => {
            pairs.iter().map(|(key, value)| texts(key) + &texts(value)).collect()
        }
        _ => String::new(),
    }
}

async fn docker_root() -> Result<PathBuf> {
    let mut docker = Command::new("docker");
    docker.args(["info", "--format", "{{.DockerRootDir}}"]);
    Ok(PathBuf::from(run(docker).await?.ok()?.trim()))
}

fn folders(parent: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(parent).with_context(|| format!("{}", parent.display()))?;
    Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

pub(crate) async fn registry(cluster: &Cluster) -> Result<()> {
    let registry = Registry::private("someone", "let-me-in").await?;
    registry.push("busybox:1.36", "app:1").await?;
    let image = registry.image("app:1");
    let job = |name: &str| {
        Job::new(name, "echo pulled")
            .container("image", json!(image))
            .container("imagePullPolicy", json!("Always"))
    };
    let kubectl = cluster.kubectl();
    let server = format!("--docker-server={}", registry.address());
    let create = ["create", "secret", "docker-registry", "key", &server];
    let key = ["--docker-username=someone", "--docker-password=let-me-in"];
    kubectl.ok(&[&create[..], &key].concat()).await?;
    let refs = json!([{"name": "key"}]);
    cluster.api().create(&job("private").pod("imagePullSecrets", refs)).await?;
    ensure!(log_of(cluster, "private").await? == "pulled\n");
    cluster.api().create(&job("not-shown")).await?;
    let waits = |pods: &[Value]| {
        let waiting =
            &pods.first().map(|pod| pod["status"]["containerStatuses"][0]["state"].clone());
        let reason = waiting.as_ref().map(|state| state["waiting"]["reason"].clone());
        matches!(reason.as_ref().and_then(Value::as_str), Some("ErrImagePull" | "ImagePullBackOff"))
    };
    cluster.api().pods_until("not-shown", "can't be pulled", secs(60), waits).await?;
    cluster.api().delete("not-shown").await?;
    cluster.api().gone("not-shown", secs(30)).await?;
    registry.forget("app:1").await
}

pub(crate) async fn config_map(cluster: &Cluster) -> Result<()> {
    let job = Job::new("configured", "echo $A; cat /v/deep/file; ls /v")
        .container("envFrom", json!([{"configMapRef": {"name": "settings"}}]))
        .container("volumeMounts", json!([{"name": "v", "mountPath": "/v"}]))
        .pod(
            "volumes",
            json!([{"name": "v", "configMap":
            {"name": "settings", "items": [{"key": "b", "path": "deep/file"}]}}]),
        );
    cluster.api().create(&job).await?;
    let waits = |pods: &[Value]| {
        let waiting =
            pods.first().map(|pod| &pod["status"]["containerStatuses"][0]["state"]["waiting"]);
        waiting.is_some_and(|waiting| {
            waiting["reason"] == "CreateContainerConfigError"
                && waiting["message"] == "configmap \"settings\" not found"
        })
    };
    cluster.api().pods_until("configured", "waits for its ConfigMap", secs(60), waits).await?;
    let map = json!({"metadata": {"name": "settings"}, "data": {"A": "1", "b": "two\n"}});
    cluster.api().post(CONFIG_MAPS, &map).await?.ok()?;
    ensure!(log_of(cluster, "configured").await? == "1\ntwo\ndeep\n");
    Ok(())
}
