//! The sections and their defaults.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::values::{ByteSize, Secret, SecretUrl, duration, folders, split_urls, words};

/// Every setting of the coordinator and the worker.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    pub redis: RedisSettings,
    pub rabbitmq: RabbitmqSettings,
    pub coordinator: CoordinatorSettings,
    pub worker: WorkerSettings,
    pub lease: LeaseSettings,
    pub backoff: BackoffSettings,
    pub policy: PolicySettings,
    pub secrets: SecretsSettings,
    pub archive: ArchiveSettings,
    pub log: LogSettings,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RedisSettings {
    pub url: SecretUrl,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RabbitmqSettings {
    /// Its URL, or the URLs of a cluster's nodes, separated by commas.
    pub url: SecretUrl,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CoordinatorSettings {
    /// Its name among the coordinators; the host's name by default.
    pub name: Option<String>,
    /// Where the API server listens, `host:port`.
    pub listen: String,
    /// Partitions of all Jobs; fixed when the first coordinator starts.
    pub shards: u16,
    /// How long a finished Job without ttlSecondsAfterFinished is kept; zero is
    /// for ever.
    #[serde(with = "duration")]
    pub retention: Duration,
    /// Events kept for each Job, the newest.
    pub events_per_job: u32,
}

/// What runs the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    Docker,
    /// Runs nothing; for measuring everything else.
    Null,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerSettings {
    /// Its name among the workers, the Node's name; the host's name by default.
    pub name: Option<String>,
    /// Attempts that may run here at once.
    pub slots: u32,
    /// The folder of its own files: launcher, deadlines, the lock on its name.
    pub state_dir: PathBuf,
    /// A folder in memory (on a tmpfs), for what must not reach a disk.
    pub memory_dir: PathBuf,
    /// Folders below which a `hostPath` volume is allowed; none by default.
    #[serde(deserialize_with = "folders::deserialize")]
    pub host_paths: Vec<PathBuf>,
    /// Where the Docker daemon listens.
    pub docker_host: String,
    pub runtime: Runtime,
    /// Must be true for `runtime = "null"`, so that nobody picks it by accident.
    pub allow_null: bool,
    /// How long an image may fail to be pulled, or a ConfigMap or Secret be missing, before the attempt
    /// fails.
    #[serde(with = "duration")]
    pub pull_timeout: Duration,
    /// How long running attempts may go on after SIGTERM.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
    /// Output kept for each attempt, the newest.
    pub log_bytes: ByteSize,
    /// An attempt that runs longer has its ticket acknowledged early, well
    /// before RabbitMQ's delivery timeout of 30 minutes.
    #[serde(with = "duration")]
    pub ack_after: Duration,
    pub null: NullSettings,
}

/// What an attempt of the null runtime does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NullSettings {
    /// How long it "runs".
    #[serde(with = "duration")]
    pub duration: Duration,
    /// The share of attempts that fail, 0 to 1.
    pub fail_rate: f64,
    /// Of so many indexes one fails at its first attempt, whatever the rate: the last of each row; 0 is
    /// none.
    pub fail_once_in: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaseSettings {
    /// How long a worker that is cut off keeps the right to its attempts. It
    /// renews at a third of this. A Job's annotation may say otherwise.
    #[serde(with = "duration")]
    pub length: Duration,
    /// How much earlier than that the launcher ends a container.
    #[serde(with = "duration")]
    pub margin: Duration,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackoffSettings {
    /// The wait before the first retry of an index; doubled each time.
    #[serde(with = "duration")]
    pub base: Duration,
    /// The longest wait.
    #[serde(with = "duration")]
    pub cap: Duration,
    /// Disruptions of one index after which the Job fails.
    pub max_disruptions: u32,
}

/// What Jobs may ask for beyond the harmless.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicySettings {
    /// Whether Pods may use the host's network.
    pub host_network: bool,
    /// Whether containers may be privileged.
    pub privileged: bool,
    /// Capabilities that containers may add beyond Docker's default set; `ALL` stands for all.
    #[serde(deserialize_with = "words::deserialize")]
    pub capabilities: Vec<String>,
    /// What is behind the names of PersistentVolumeClaims: a folder that each host has, or an NFS share,
    /// `nfs://server/path`.
    pub claims: BTreeMap<String, String>,
}

/// The key that Secrets are sealed with: 32 bytes in base64. Without one there are no Secrets.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretsSettings {
    pub key: Secret,
    /// A file that holds the key; empty is none.
    pub key_file: PathBuf,
}

/// Where the output of finished attempts is kept beyond their Jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArchiveSettings {
    /// `file:///folder` or `s3://bucket/prefix`; empty is nowhere.
    pub url: String,
    /// How long it is kept there; zero is for ever.
    #[serde(with = "duration")]
    pub retention: Duration,
    /// An S3-compatible server, `http(s)://host:port`; AWS if empty.
    pub endpoint: String,
    /// The bucket's region; from the environment if empty.
    pub region: String,
    /// From the environment (`AWS_ACCESS_KEY_ID` and so on) if empty.
    pub access_key_id: String,
    pub secret_access_key: Secret,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogSettings {
    pub format: LogFormat,
    /// A level, or `target=level` pairs, comma-separated.
    pub filter: String,
}

impl RabbitmqSettings {
    /// Whether each URL names one node: no comma is left in the part that says which.
    pub(super) fn names_single_nodes(&self) -> bool {
        split_urls(self.url.expose()).all(|url| {
            let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
            let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
            !place.split(['/', '?']).next().unwrap_or_default().contains(',')
        })
    }
}

impl CoordinatorSettings {
    /// Its name, or the host's.
    pub fn name_or_host(&self) -> String {
        self.name.clone().unwrap_or_else(crate::host_name)
    }
}

impl SecretsSettings {
    pub fn has_key(&self) -> bool {
        !self.key.is_empty() || !self.key_file.as_os_str().is_empty()
    }

    /// The key, if there is one.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn key(&self) -> io::Result<Option<String>> {
        if !self.key.is_empty() {
            return Ok(Some(self.key.expose().to_owned()));
        }
        if self.key_file.as_os_str().is_empty() {
            return Ok(None);
        }
        std::fs::read_to_string(&self.key_file).map(Some)
    }
}

impl WorkerSettings {
    /// Its name, or the host's.
    pub fn name_or_host(&self) -> String {
        self.name.clone().unwrap_or_else(crate::host_name)
    }
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self { url: SecretUrl::new("redis://127.0.0.1:6379/0") }
    }
}

impl Default for RabbitmqSettings {
    fn default() -> Self {
        Self { url: SecretUrl::new("amqp://guest:guest@127.0.0.1:5672/%2f") }
    }
}

impl Default for CoordinatorSettings {
    fn default() -> Self {
        Self {
            name: None,
            listen: "127.0.0.1:8878".to_owned(),
            shards: 16,
            retention: Duration::from_secs(7 * 24 * 3600),
            events_per_job: 200,
        }
    }
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            name: None,
            slots: 2,
            state_dir: PathBuf::from("/var/lib/longshore"),
            memory_dir: PathBuf::from("/dev/shm/longshore"),
            host_paths: Vec::new(),
            docker_host: "unix:///var/run/docker.sock".to_owned(),
            runtime: Runtime::Docker,
            allow_null: false,
            pull_timeout: Duration::from_secs(5 * 60),
            drain_timeout: Duration::from_secs(30),
            log_bytes: ByteSize::mebibytes(4),
            ack_after: Duration::from_secs(10 * 60),
            null: NullSettings::default(),
        }
    }
}

impl Default for NullSettings {
    fn default() -> Self {
        Self { duration: Duration::ZERO, fail_rate: 0.0, fail_once_in: 0 }
    }
}

impl Default for LeaseSettings {
    fn default() -> Self {
        Self { length: Duration::from_secs(15), margin: Duration::from_secs(2) }
    }
}

impl Default for BackoffSettings {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(10),
            cap: Duration::from_secs(10 * 60),
            max_disruptions: 10,
        }
    }
}

impl Default for ArchiveSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            retention: Duration::from_secs(30 * 24 * 3600),
            endpoint: String::new(),
            region: String::new(),
            access_key_id: String::new(),
            secret_access_key: Secret::default(),
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}
