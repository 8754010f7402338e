//! A container of a Pod as Docker is to create it. Pure, but for the volumes it is given.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount};
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use longshore_api::quantity;
use longshore_store::{AttemptKey, JobRef, Shard};

use super::env;
use super::volumes::bind;
use crate::assignment::Assignment;
use crate::folder::Folder;
use crate::runtime::Found;

/// What the containers of one worker have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    /// The cluster's id: several clusters may share a daemon.
    pub(super) cluster: String,
    pub(super) worker: String,
    /// The host's processors; Docker refuses a limit above them.
    pub(super) cpus: u32,
}

/// What an image says to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ImageCommand {
    pub(super) entrypoint: Vec<String>,
    pub(super) command: Vec<String>,
}

/// The container of an attempt. The error is fit for the user; Kubernetes' reason for it is
/// `CreateContainerConfigError`.
pub(super) fn container(
    common: &Common,
    assignment: &Assignment,
    restarts: u32,
    folder: &Folder,
    image: &ImageCommand,
    volumes: Vec<Mount>,
) -> Result<ContainerCreateBody, String> {
    let spec = assignment.container();
    let variables = env::variables(spec, assignment.completion_index(), &assignment.token);
    Ok(ContainerCreateBody {
        image: spec.image.clone(),
        hostname: Some(assignment.hostname()),
        entrypoint: Some(vec!["/.longshore/launcher".into(), "--".into()]),
        cmd: Some(command(spec, image, &variables)),
        working_dir: spec.working_dir.clone(),
        env: Some(variables.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(labels(common, assignment, restarts)),
        tty: Some(false),
        // Kubernetes knows no health checks of images, and one would run beside the launcher.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".into()]), ..Default::default() }),
        host_config: Some(host_config(common, spec, folder, volumes)?),
        ..Default::default()
    })
}

/// The label that tells a cluster's containers from all others.
pub(super) const CLUSTER: &str = "longshore.dev/cluster";

/// Reads back from a container's labels which attempt it belongs to.
pub(super) fn found(name: &str, labels: &HashMap<String, String>) -> Option<Found> {
    let get = |label: &str| labels.get(label).map(String::as_str);
    Some(Found {
        name: name.trim_start_matches('/').to_owned(),
        key: AttemptKey {
            job: JobRef::new(Shard(get(SHARD)?.parse().ok()?), get(UID)?),
            index: get(INDEX)?.parse().ok()?,
            attempt: get(ATTEMPT)?.parse().ok()?,
        },
        token: get(TOKEN)?.to_owned(),
        worker: get(WORKER)?.to_owned(),
        restarts: get(RESTARTS)?.parse().ok()?,
    })
}

const JOB: &str = "batch.kubernetes.io/job-name";
const UID: &str = "batch.kubernetes.io/controller-uid";
const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";
const WORKER: &str = "longshore.dev/worker";
const TOKEN: &str = "longshore.dev/token";
const SHARD: &str = "longshore.dev/shard";
const INDEX: &str = "longshore.dev/index";
const ATTEMPT: &str = "longshore.dev/attempt";
const RESTARTS: &str = "longshore.dev/restarts";
const NAMESPACE: &str = "longshore.dev/namespace";
const POD: &str = "longshore.dev/pod";
const LEASE: &str = "longshore.dev/lease";

fn labels(common: &Common, assignment: &Assignment, restarts: u32) -> HashMap<String, String> {
    let key = &assignment.key;
    let mut labels = HashMap::from([
        (CLUSTER, common.cluster.clone()),
        (WORKER, common.worker.clone()),
        (TOKEN, assignment.token.clone()),
        (SHARD, key.job.shard.to_string()),
        (UID, key.job.uid.clone()),
        (INDEX, key.index.to_string()),
        (ATTEMPT, key.attempt.to_string()),
        (RESTARTS, restarts.to_string()),
        (NAMESPACE, assignment.namespace.clone()),
        (JOB, assignment.job_name.clone()),
        (POD, assignment.pod.clone()),
        (LEASE, format!("{}ms", assignment.lease.as_millis())),
    ]);
    if let Some(index) = assignment.completion_index() {
        labels.insert(COMPLETION_INDEX, index.to_string());
    }
    labels.into_iter().map(|(label, value)| (label.to_owned(), value)).collect()
}

/// What to run, by Kubernetes' table: `command` replaces the image's entrypoint and its command,
/// `args` replace its command.
fn command(spec: &Container, image: &ImageCommand, variables: &[(String, String)]) -> Vec<String> {
    let expand = |words: &[String]| -> Vec<String> {
        words.iter().map(|word| env::expand(word, variables)).collect()
    };
    let command = spec.command.as_deref().unwrap_or_default();
    let args = spec.args.as_deref().unwrap_or_default();
    match (command.is_empty(), args.is_empty()) {
        (false, _) => [expand(command), expand(args)].concat(),
        (true, false) => [image.entrypoint.clone(), expand(args)].concat(),
        (true, true) => [image.entrypoint.clone(), image.command.clone()].concat(),
    }
}

fn host_config(
    common: &Common,
    spec: &Container,
    folder: &Folder,
    volumes: Vec<Mount>,
) -> Result<HostConfig, String> {
    let mut mounts = vec![
        bind(folder.mounted(), "/.longshore", true),
        bind(&folder.exit_file(), "/.longshore-exit", false),
    ];
    mounts.extend(volumes);
    let resources = spec.resources.clone().unwrap_or_default();
    let limit = |name: &str| resources.limits.as_ref().and_then(|limits| limits.get(name));
    let request = |name: &str| resources.requests.as_ref().and_then(|requests| requests.get(name));
    let memory = limit("memory").map(|limit| amount(limit, quantity::bytes)).transpose()?;
    let cpus = limit("cpu").map(|limit| amount(limit, quantity::nano_cpus)).transpose()?;
    let share = request("cpu").map(|share| amount(share, quantity::nano_cpus)).transpose()?;
    Ok(HostConfig {
        mounts: Some(mounts),
        memory,
        // Without swap, as under Kubernetes: a container that is over its limit is killed.
        memory_swap: memory,
        nano_cpus: cpus.map(|cpus| cpus.min(i64::from(common.cpus) * 1_000_000_000)),
        // A request is a share under pressure; 1024 stand for one processor.
        cpu_shares: share.map(|nano| (nano / 1_000 * 1024 / 1_000_000).clamp(2, 262_144)),
        // An adopting worker reads again what its predecessor missed; all else is kept elsewhere.
        log_config: Some(HostConfigLogConfig {
            typ: Some("local".into()),
            config: Some(HashMap::from([
                ("max-size".into(), "4m".into()),
                ("max-file".into(), "2".into()),
            ])),
        }),
        auto_remove: Some(false),
        ..Default::default()
    })
}

fn amount(quantity: &Quantity, read: impl Fn(&str) -> Option<i64>) -> Result<i64, String> {
    read(&quantity.0).ok_or_else(|| format!("{:?} is not a quantity", quantity.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assignment::tests::assignment;
    use crate::folder::Folders;

    fn create(pod_spec: serde_json::Value) -> ContainerCreateBody {
        let state = tempfile::tempdir().expect("a folder");
        let folder = Folders::prepare(state.path()).expect("prepared").attempt("77");
        let common = Common { cluster: "c".into(), worker: "w".into(), cpus: 2 };
        let image =
            ImageCommand { entrypoint: vec!["/entry".into()], command: vec!["default".into()] };
        container(&common, &assignment("77", pod_spec), 2, &folder, &image, Vec::new())
            .expect("a container")
    }

    #[test]
    fn command_and_args_replace_what_the_image_says() {
        let run = |fields: serde_json::Value| {
            let mut container = serde_json::json!({ "name": "main", "image": "i" });
            for (name, value) in fields.as_object().expect("fields") {
                container[name] = value.clone();
            }
            create(serde_json::json!({ "containers": [container] })).cmd.expect("a command")
        };
        assert_eq!(run(serde_json::json!({})), ["/entry", "default"]);
        assert_eq!(run(serde_json::json!({ "args": ["a"] })), ["/entry", "a"]);
        assert_eq!(run(serde_json::json!({ "command": ["c"] })), ["c"]);
        assert_eq!(
            run(serde_json::json!({ "command": ["c"], "args": ["$(JOB_COMPLETION_INDEX)"] })),
            ["c", "4"]
        );
    }

    #[test]
    fn limits_become_dockers() {
        let body = create(serde_json::json!({ "containers": [{
            "name": "main", "image": "i",
            "resources": {
                "limits": { "memory": "64Mi", "cpu": "64" }, "requests": { "cpu": "500m" }
            }
        }]}));
        let host = body.host_config.expect("set");
        assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(64 << 20)));
        assert_eq!(host.nano_cpus, Some(2_000_000_000));
        assert_eq!(host.cpu_shares, Some(512));
    }

    #[test]
    fn labels_name_the_attempt_and_read_back() {
        let body = create(serde_json::json!({ "containers": [{ "name": "main", "image": "i" }] }));
        let labels = body.labels.expect("set");
        assert_eq!(labels[COMPLETION_INDEX], "4");
        let found = found("/pi-4_main", &labels).expect("read");
        assert_eq!(found.key.to_string(), "03/uid-77/4.1");
        assert_eq!(
            (found.name.as_str(), found.token.as_str(), found.worker.as_str(), found.restarts),
            ("pi-4_main", "77", "w", 2)
        );
        assert_eq!(body.env.expect("set")[0], "LONGSHORE_FENCING_TOKEN=77");
        assert_eq!(body.hostname.as_deref(), Some("pi-4"));
    }
}
