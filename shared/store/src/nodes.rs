//! Workers and coordinators as the cluster sees them.

use longshore_job::Millis;
use longshore_support::format::Format;
use serde::{Deserialize, Serialize};

use crate::record::{decode, encode};
use crate::{Store, StoreError, keys, scripts};

/// A worker, as a Kubernetes client sees a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeRecord {
    pub name: String,
    /// Random at each start of the worker.
    pub session: String,
    /// How many attempts it can run at once.
    pub slots: u32,
    /// How many it runs.
    pub running: u32,
    /// `docker` or `null`.
    pub runtime: String,
    pub host: String,
    /// The worker's own version.
    pub version: String,
    /// The newest format that it reads.
    pub format: Format,
    /// The container engine's version.
    pub engine_version: String,
    pub kernel: String,
    pub os: String,
    pub arch: String,
    pub cpus: u32,
    /// Bytes.
    pub memory: u64,
    /// When the worker started, by its host's clock.
    pub started: Millis,
    /// Redis' time of the last heartbeat; set by [`Store::heartbeat`].
    pub beat: Millis,
    /// Cordoned by a user; kept by [`Store::heartbeat`].
    pub unschedulable: bool,
    /// Whether it takes attempts.
    pub ready: bool,
    /// Why it is not ready (CamelCase), and in words.
    pub reason: String,
    pub message: String,
}

/// A coordinator of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CoordinatorRecord {
    pub name: String,
    /// The address that its API server listens on.
    pub listen: String,
    /// Redis' time of the last heartbeat; set by [`Store::coordinator_beat`].
    pub beat: Millis,
    /// The newest format that it reads.
    pub format: Format,
}

impl Store {
    /// Stores a worker's record with Redis' time; `true` if a user has cordoned it, so that it takes no
    /// new attempts.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn heartbeat(&self, node: &NodeRecord) -> Result<bool, StoreError> {
        let doing = "send a heartbeat";
        let mut call = scripts::HEARTBEAT.prepare_invoke();
        call.key(keys::NODES).arg(&node.name).arg(encode(node)?);
        let (verb, cordoned): (String, bool) = self.call(doing, &call).await?;
        if !verb.is_empty() {
            self.log_node(&node.name, &verb).await?;
        }
        Ok(cordoned)
    }

    /// Sets whether a worker takes new attempts; `false` if there is no worker of that name.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn cordon(&self, name: &str, unschedulable: bool) -> Result<bool, StoreError> {
        let mut call = scripts::CORDON.prepare_invoke();
        call.key(keys::NODES).arg(name).arg(u8::from(unschedulable));
        let known: bool = self.call("cordon a Node", &call).await?;
        if known {
            self.log_node(name, "MODIFIED").await?;
        }
        Ok(known)
    }

    /// All workers that were ever seen and not removed, sorted by name.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(keys::NODES);
        let rows: Vec<(String, String)> = self.ask("read the Nodes", &cmd).await?;
        let mut nodes = rows
            .iter()
            .map(|(_, json)| decode(json, || keys::NODES.to_owned()))
            .collect::<Result<Vec<NodeRecord>, _>>()?;
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(nodes)
    }

    /// The worker of that name.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn node(&self, name: &str) -> Result<Option<NodeRecord>, StoreError> {
        let mut cmd = redis::cmd("HGET");
        cmd.arg(keys::NODES).arg(name);
        let json: Option<String> = self.ask("read a Node", &cmd).await?;
        json.map(|json| decode(&json, || keys::NODES.to_owned())).transpose()
    }

    /// Removes a worker's record; its attempts are judged by their lease as ever.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn remove_node(&self, name: &str) -> Result<bool, StoreError> {
        let mut cmd = redis::cmd("HDEL");
        cmd.arg(keys::NODES).arg(name);
        let known: bool = self.ask("remove a Node", &cmd).await?;
        if known {
            self.log_node(name, "DELETED").await?;
        }
        Ok(known)
    }

    /// Stores a coordinator's record with Redis' time.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn coordinator_beat(&self, name: &str, listen: &str) -> Result<(), StoreError> {
        let record = CoordinatorRecord {
            name: name.to_owned(),
            listen: listen.to_owned(),
            beat: 0,
            format: Format::newest(),
        };
        let mut call = scripts::COORDINATOR_BEAT.prepare_invoke();
        call.key(keys::COORDINATORS).arg(name).arg(encode(&record)?);
        self.call("send a heartbeat", &call).await
    }

    /// All coordinators that were ever seen, sorted by name.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn coordinators(&self) -> Result<Vec<CoordinatorRecord>, StoreError> {
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(keys::COORDINATORS);
        let rows: Vec<(String, String)> = self.ask("read the coordinators", &cmd).await?;
        let mut all = rows
            .iter()
            .map(|(_, json)| decode(json, || keys::COORDINATORS.to_owned()))
            .collect::<Result<Vec<CoordinatorRecord>, _>>()?;
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }
}
