//! ConfigMaps and Secrets: written and found as Jobs are. A Secret is sealed wherever it is stored, also
//! in the change log.

use std::fmt;

use futures::future;

use crate::seal::{Seal, SealError};
use crate::{ResourceVersion, Shard, Store, StoreError, keys, scripts};

/// Objects read in one round trip.
const PAGE: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConfigKind {
    ConfigMap,
    Secret,
}

/// Names a ConfigMap or a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConfigRef {
    pub shard: Shard,
    pub uid: String,
}

/// A ConfigMap or a Secret as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredConfig {
    pub config: ConfigRef,
    pub kind: ConfigKind,
    pub namespace: String,
    pub name: String,
    /// JSON of the Kubernetes object, opened.
    pub object: String,
    /// Grows by one with each write.
    pub rev: u64,
    /// The log's position of the last change that watchers have got; 0 before the first.
    pub rv: ResourceVersion,
    /// Whether it has changed since.
    pub dirty: bool,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigWritten {
    Ok,
    /// It changed since the given revision or resourceVersion.
    Conflict,
    Gone,
}

impl ConfigKind {
    /// Kubernetes' name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::ConfigMap, Self::Secret].into_iter().find(|kind| kind.name() == name)
    }
}

/// Without the object.
impl fmt::Debug for StoredConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{} at {}", self.kind.name(), self.namespace, self.name, self.rev)
    }
}

impl Store {
    /// Creates an object, given as JSON, and claims its name; `None` if another has the name. A repeat
    /// with the same uid, chosen before the first send, is the same creation.
    ///
    /// # Errors
    /// [`StoreError`], as every call; [`StoreError::Seal`] for a Secret without a key.
    pub async fn create_config(
        &self,
        kind: ConfigKind,
        namespace: &str,
        name: &str,
        uid: &str,
        object: &str,
    ) -> Result<Option<ConfigRef>, StoreError> {
        let config = ConfigRef { shard: self.shard_of(namespace, name), uid: uid.to_owned() };
        let sealed = self.sealed(kind, namespace, name, object)?;
        let mut call = scripts::CREATE_CONFIG.prepare_invoke();
        call.key(keys::prefix(config.shard)).arg(uid).arg(kind.name()).arg(namespace).arg(name);
        call.arg(sealed);
        let doing = "create a ConfigMap or Secret";
        let reply: Vec<String> = self.call(doing, &call).await?;
        match reply.first().map(String::as_str) {
            Some("created") => Ok(Some(config)),
            Some("exists") => Ok(None),
            _ => Err(self.odd(doing, &reply)),
        }
    }

    /// Stores a changed object if it is still as `old` has it, and at the resourceVersion `rv`, if any.
    /// `request` names this change, chosen before the first send.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn update_config(
        &self,
        old: &StoredConfig,
        request: &str,
        rv: Option<ResourceVersion>,
        object: &str,
    ) -> Result<ConfigWritten, StoreError> {
        let sealed = self.sealed(old.kind, &old.namespace, &old.name, object)?;
        let mut call = scripts::UPDATE_CONFIG.prepare_invoke();
        call.key(keys::prefix(old.config.shard)).arg(&old.config.uid).arg(request).arg(old.rev);
        call.arg(rv.map(|rv| rv.to_string()).unwrap_or_default()).arg(sealed);
        self.config_written("update a ConfigMap or Secret", &call).await
    }

    /// Removes an object if it is still as `old` has it.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn delete_config(&self, old: &StoredConfig) -> Result<ConfigWritten, StoreError> {
        let mut call = scripts::DELETE_CONFIG.prepare_invoke();
        call.key(keys::prefix(old.config.shard)).arg(&old.config.uid).arg(old.rev);
        self.config_written("delete a ConfigMap or Secret", &call).await
    }

    /// The object of that name.
    ///
    /// # Errors
    /// [`StoreError`], as every call; [`StoreError::Seal`] for a Secret that can't be opened.
    pub async fn get_config(
        &self,
        kind: ConfigKind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<StoredConfig>, StoreError> {
        let shard = self.shard_of(namespace, name);
        let mut cmd = redis::cmd("HGET");
        cmd.arg(keys::configs(shard)).arg(format!("{}/{namespace}/{name}", kind.name()));
        let uid: Option<String> = self.ask("find a ConfigMap or Secret", &cmd).await?;
        match uid {
            Some(uid) => Ok(self.load_configs(&[ConfigRef { shard, uid }]).await?.pop()),
            None => Ok(None),
        }
    }

    /// All objects' namespaces and names, sorted; of one namespace, if given.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn list_configs(
        &self,
        kind: ConfigKind,
        namespace: Option<&str>,
    ) -> Result<Vec<(String, String, ConfigRef)>, StoreError> {
        let shards = future::try_join_all(self.all_shards().map(|shard| async move {
            let mut cmd = redis::cmd("HGETALL");
            cmd.arg(keys::configs(shard));
            let names: Vec<(String, String)> =
                self.ask("list the ConfigMaps and Secrets", &cmd).await?;
            Ok::<_, StoreError>((shard, names))
        }))
        .await?;
        let mut list = Vec::new();
        for (shard, names) in shards {
            for (full, uid) in names {
                let mut parts = full.splitn(3, '/');
                let (of, ns, name) = (parts.next(), parts.next(), parts.next());
                let (Some(ns), Some(name)) = (ns, name) else { continue };
                if of == Some(kind.name()) && namespace.is_none_or(|wanted| wanted == ns) {
                    list.push((ns.to_owned(), name.to_owned(), ConfigRef { shard, uid }));
                }
            }
        }
        list.sort_unstable_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        Ok(list)
    }

    /// The objects that are still there, in the given order, read in bounded pages.
    ///
    /// # Errors
    /// [`StoreError`], as every call; [`StoreError::Seal`] for a Secret that can't be opened.
    pub async fn load_configs(
        &self,
        configs: &[ConfigRef],
    ) -> Result<Vec<StoredConfig>, StoreError> {
        let doing = "read ConfigMaps and Secrets";
        let mut loaded = Vec::with_capacity(configs.len());
        for page in configs.chunks(PAGE) {
            let mut pipe = redis::pipe();
            for config in page {
                pipe.cmd("HMGET").arg(keys::config(config.shard, &config.uid)).arg(&FIELDS);
            }
            let rows: Vec<Vec<Option<String>>> = self.pipe(doing, &pipe).await?;
            for (config, fields) in page.iter().zip(rows) {
                loaded.extend(self.stored_config(config, fields)?);
            }
        }
        Ok(loaded)
    }

    /// The JSON of an object as the change log has it.
    ///
    /// # Errors
    /// [`StoreError::Seal`] for a Secret that can't be opened.
    pub fn open_config(
        &self,
        kind: ConfigKind,
        namespace: &str,
        name: &str,
        object: &str,
    ) -> Result<String, StoreError> {
        self.through_seal(kind, namespace, name, object, Seal::open)
    }

    fn sealed(
        &self,
        kind: ConfigKind,
        namespace: &str,
        name: &str,
        object: &str,
    ) -> Result<String, StoreError> {
        self.through_seal(kind, namespace, name, object, Seal::seal)
    }

    /// Seals or opens a Secret, bound to its name; a ConfigMap stays as it is.
    fn through_seal(
        &self,
        kind: ConfigKind,
        namespace: &str,
        name: &str,
        object: &str,
        work: impl FnOnce(&Seal, &str, &str) -> Result<String, SealError>,
    ) -> Result<String, StoreError> {
        if kind == ConfigKind::ConfigMap {
            return Ok(object.to_owned());
        }
        let place = format!("{namespace}/{name}");
        let seal = self.settings().seal.as_deref().ok_or(SealError::NoKey);
        seal.and_then(|seal| work(seal, &place, object))
            .map_err(|source| StoreError::Seal { secret: place, source })
    }

    fn stored_config(
        &self,
        config: &ConfigRef,
        fields: Vec<Option<String>>,
    ) -> Result<Option<StoredConfig>, StoreError> {
        let odd = || self.odd("read ConfigMaps and Secrets", &config.uid);
        let fields: [Option<String>; FIELDS.len()] = fields.try_into().map_err(|_| odd())?;
        let [Some(kind), Some(namespace), Some(name), Some(object), rev, rv, seq, fseq] = fields
        else {
            return Ok(None);
        };
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok()).ok_or_else(odd);
        let kind = ConfigKind::of(&kind).ok_or_else(odd)?;
        Ok(Some(StoredConfig {
            config: config.clone(),
            kind,
            object: self.open_config(kind, &namespace, &name, &object)?,
            namespace,
            name,
            rev: number(rev)?,
            rv: ResourceVersion(number(rv)?),
            dirty: seq != fseq,
        }))
    }

    async fn config_written(
        &self,
        doing: &'static str,
        call: &redis::ScriptInvocation<'_>,
    ) -> Result<ConfigWritten, StoreError> {
        let reply: String = self.call(doing, call).await?;
        match reply.as_str() {
            "ok" => Ok(ConfigWritten::Ok),
            "conflict" => Ok(ConfigWritten::Conflict),
            "gone" => Ok(ConfigWritten::Gone),
            _ => Err(self.odd(doing, &reply)),
        }
    }
}

const FIELDS: [&str; 8] = ["kind", "ns", "name", "object", "rev", "rv", "seq", "fseq"];
