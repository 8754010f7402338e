//! A container of a Pod as Docker is to create it. Pure.

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount};
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use longshore_api::quantity;
use longshore_store::{AttemptKey, JobRef, Shard};

use super::env::{Variable, expand};
use super::security;
use super::volumes::bind;
use crate::assignment::Assignment;
use crate::own_folder::OwnFolder;
use crate::pod::NETWORK_HOLDER;
use crate::runtime::{Found, Network};

/// What the containers of one worker have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    /// The cluster's id: several clusters may share a daemon.
    pub(super) cluster: String,
    pub(super) worker: String,
    /// The host's processors; Docker refuses a limit above them.
    pub(super) cpus: u32,
}

/// What an image says to run, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ImageConfig {
    pub(super) entrypoint: Vec<String>,
    pub(super) command: Vec<String>,
    pub(super) user: String,
}

/// Why a container can't be made as its manifest has it. Kubernetes' reason for it is
/// `CreateContainerConfigError`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConfigError {
    /// It refers to what isn't there, and may come to be.
    #[error("{0}")]
    Missing(String),
    #[error("{0}")]
    Invalid(String),
    /// The host is to blame.
    #[error("{0}")]
    Host(String),
}

/// Everything that a container is made of.
pub(super) struct Parts<'a> {
    pub(super) common: &'a Common,
    pub(super) assignment: &'a Assignment,
    pub(super) container: &'a Container,
    pub(super) network: &'a Network,
    pub(super) folder: &'a OwnFolder,
    pub(super) image: &'a ImageConfig,
    pub(super) variables: &'a [Variable],
    /// The file with what [`secrets`] gives.
    pub(super) secrets: Option<PathBuf>,
    pub(super) mounts: Vec<Mount>,
}

/// The container as Docker is to create it.
pub(super) fn container(parts: Parts<'_>) -> Result<ContainerCreateBody, ConfigError> {
    let Parts { common, assignment, container, network, folder, .. } = parts;
    let mut mounts = parts.mounts;
    let mut entrypoint = vec!["/.longshore/launcher"];
    if let Some(file) = &parts.secrets {
        mounts.push(bind(file, SECRETS, true));
        entrypoint.extend(["--secrets", SECRETS]);
    }
    if container.name == NETWORK_HOLDER {
        entrypoint.push("--pause");
    }
    entrypoint.push("--");
    let words = command(container, parts.image, parts.variables);
    let mut host = host_config(common, container, folder, mounts)?;
    host.network_mode = match network {
        Network::Own => None,
        Network::Host => Some("host".into()),
        Network::Of(other) => Some(format!("container:{other}")),
    };
    let user = security::apply(&assignment.spec, container, &parts.image.user, &mut host);
    let own_name = *network == Network::Own;
    let variables = parts.variables.iter().filter(|variable| !variable.secret);
    let env = variables.map(|variable| format!("{}={}", variable.name, variable.value));
    Ok(ContainerCreateBody {
        image: container.image.clone(),
        hostname: own_name.then(|| assignment.hostname.clone()),
        user: user.map_err(ConfigError::Invalid)?,
        entrypoint: Some(entrypoint.into_iter().map(str::to_owned).collect()),
        cmd: Some(if words.secret { Vec::new() } else { words.words }),
        working_dir: container.working_dir.clone(),
        env: Some(env.collect()),
        labels: Some(labels(common, assignment)),
        tty: Some(false),
        // Kubernetes knows no health checks of images, and one would run beside the launcher.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".into()]), ..Default::default() }),
        host_config: Some(host),
        ..Default::default()
    })
}

/// What the launcher has to be told of variables and a command that hold Secrets, as its file has it;
/// `None` if none does.
pub(super) fn secrets(
    container: &Container,
    image: &ImageConfig,
    variables: &[Variable],
) -> Option<Vec<u8>> {
    let words = command(container, image, variables);
    let secret = variables.iter().filter(|variable| variable.secret);
    let secret: Vec<String> =
        secret.map(|variable| format!("{}={}", variable.name, variable.value)).collect();
    // A command can only hold one that a variable has.
    if secret.is_empty() {
        return None;
    }
    let command = if words.secret { words.words } else { Vec::new() };
    let strings = secret.into_iter().chain([String::new()]).chain(command);
    Some(strings.flat_map(|string| [string.into_bytes(), vec![0]].concat()).collect())
}

/// Where that file is in the container.
const SECRETS: &str = "/.longshore-secrets";

/// The label that tells a cluster's containers from all others.
pub(super) const CLUSTER: &str = "longshore.dev/cluster";

/// Reads back from a container's labels which attempt it belongs to.
pub(super) fn found(name: &str, labels: &HashMap<String, String>, running: bool) -> Option<Found> {
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
        running,
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
const NAMESPACE: &str = "longshore.dev/namespace";
const POD: &str = "longshore.dev/pod";
const LEASE: &str = "longshore.dev/lease";

fn labels(common: &Common, assignment: &Assignment) -> HashMap<String, String> {
    let key = &assignment.key;
    let mut labels = HashMap::from([
        (CLUSTER, common.cluster.clone()),
        (WORKER, common.worker.clone()),
        (TOKEN, assignment.token.clone()),
        (SHARD, key.job.shard.to_string()),
        (UID, key.job.uid.clone()),
        (INDEX, key.index.to_string()),
        (ATTEMPT, key.attempt.to_string()),
        (NAMESPACE, assignment.namespace.clone()),
        (JOB, assignment.job_name.clone()),
        (POD, assignment.pod_name.clone()),
        (LEASE, format!("{}ms", assignment.lease.as_millis())),
    ]);
    if let Some(index) = assignment.completion_index() {
        labels.insert(COMPLETION_INDEX, index.to_string());
    }
    labels.into_iter().map(|(label, value)| (label.to_owned(), value)).collect()
}

/// What a container runs, and whether a Secret is in it.
struct Words {
    words: Vec<String>,
    secret: bool,
}

/// What to run, by Kubernetes' table: `command` replaces the image's entrypoint and its command,
/// `args` replace its command.
fn command(spec: &Container, image: &ImageConfig, variables: &[Variable]) -> Words {
    let mut secret = false;
    let mut expanded = |words: &Option<Vec<String>>| -> Vec<String> {
        let words = words.iter().flatten().map(|word| expand(word, variables));
        let words = words.inspect(|word| secret |= word.secret);
        words.map(|word| word.text).collect()
    };
    let (command, args) = (expanded(&spec.command), expanded(&spec.args));
    let words = match (command.is_empty(), args.is_empty()) {
        (false, _) => [command, args].concat(),
        (true, false) => [image.entrypoint.clone(), args].concat(),
        (true, true) => [image.entrypoint.clone(), image.command.clone()].concat(),
    };
    Words { words, secret }
}

fn host_config(
    common: &Common,
    spec: &Container,
    folder: &OwnFolder,
    volumes: Vec<Mount>,
) -> Result<HostConfig, ConfigError> {
    let mut mounts = vec![
        bind(folder.mounted(), "/.longshore", true),
        bind(&folder.exit_file(), "/.longshore-exit", false),
    ];
    if let Some(path) = spec.termination_message_path.as_deref().filter(|path| !path.is_empty()) {
        mounts.push(bind(&folder.message_file(), path, false));
    }
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

fn amount(quantity: &Quantity, read: impl Fn(&str) -> Option<i64>) -> Result<i64, ConfigError> {
    read(&quantity.0)
        .ok_or_else(|| ConfigError::Invalid(format!("{:?} is not a quantity", quantity.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assignment::tests::assignment;
    use crate::folder::tests::folders;

    fn create(pod_spec: serde_json::Value) -> ContainerCreateBody {
        let (_state, folders) = folders();
        let common = Common { cluster: "c".into(), worker: "w".into(), cpus: 2 };
        let image = ImageConfig {
            entrypoint: vec!["/entry".into()],
            command: vec!["default".into()],
            user: String::new(),
        };
        let assignment = assignment("77", pod_spec);
        let index = Variable { name: "INDEX".into(), value: "4".into(), secret: false };
        let made = container(Parts {
            common: &common,
            assignment: &assignment,
            container: &assignment.spec.containers[0],
            network: &Network::Own,
            folder: &folders.attempt("77").container("main"),
            image: &image,
            variables: &[index],
            secrets: None,
            mounts: Vec::new(),
        });
        made.expect("a container")
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
        assert_eq!(run(serde_json::json!({ "command": ["c"], "args": ["$(INDEX)"] })), ["c", "4"]);
    }

    #[test]
    fn what_holds_a_secret_is_for_the_launcher_alone() {
        let container: Container = serde_json::from_value(serde_json::json!({
            "name": "main", "command": ["run", "--key=$(KEY)"], "args": ["x"]
        }))
        .expect("a container");
        let variable =
            |name: &str, secret| Variable { name: name.into(), value: "v".into(), secret };
        let image = ImageConfig::default();
        let of = |variables: &[Variable]| {
            let content = secrets(&container, &image, variables)?;
            Some(String::from_utf8(content).expect("text").replace('\0', "|"))
        };
        assert_eq!(of(&[variable("KEY", false)]), None);
        assert_eq!(of(&[variable("OTHER", true)]).as_deref(), Some("OTHER=v||"));
        let all = of(&[variable("A", false), variable("KEY", true)]);
        assert_eq!(all.as_deref(), Some("KEY=v||run|--key=v|x|"));
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
        let found = found("/pi-4_main", &labels, true).expect("read");
        assert_eq!(found.key.to_string(), "03/uid-77/4.1");
        assert_eq!(
            (found.name.as_str(), found.token.as_str(), found.worker.as_str(), found.running),
            ("pi-4_main", "77", "w", true)
        );
        assert_eq!(body.env.expect("set"), ["INDEX=4"]);
        assert_eq!(body.hostname.as_deref(), Some("pi-4"));
    }
}
