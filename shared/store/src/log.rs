//! The change log: every change of a Job, Pod, Event, Node, ConfigMap or Secret in one order. Its position is Kubernetes'
//! resourceVersion. Scripts write changes into their shard's `out` stream; each shard's owner forwards
//! them here.

use std::time::Duration;

use longshore_job::Index;
use redis::streams::{StreamId as Entry, StreamRangeReply, StreamReadReply};
use redis::{FromRedisValue, ScriptInvocation, Value, from_redis_value_ref};

use crate::{
    AttemptKey, ConfigKind, ConfigRef, JobRef, ResourceVersion, Shard, Store, StoreError, StreamId,
};
use crate::{keys, scripts};

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    Job(JobRef),
    Pod(AttemptKey),
    /// A Kubernetes Event of that id.
    Event(JobRef, String),
    /// A worker; the change's `name` is its name.
    Node,
    Config(ConfigKind, ConfigRef),
    /// All of a shard: Redis may have lost changes of it that the log has told of, so nobody can go on from
    /// before.
    Shard(Shard),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Added,
    Modified,
    Deleted,
}

/// One change in the log. It names what changed; the state is read where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub rv: ResourceVersion,
    pub subject: Subject,
    pub verb: Verb,
    /// The namespace of the Job, ConfigMap or Secret; empty for a Node.
    pub namespace: String,
    /// Its name, or the Node's.
    pub name: String,
    /// The last state, where it can't be read any more: of a deleted Job, ConfigMap or Secret its object
    /// (see [`Store::open_config`]), of a deleted Pod its `Attempt`, as JSON. The purge of a Job begins with a Modified of the Job that carries its
    /// object, before its Pods are deleted.
    pub object: Option<String>,
}

/// A change in a shard's `out` stream, on its way to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutEntry {
    pub id: StreamId,
    fields: Vec<(String, String)>,
}

/// What the log still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogWindow {
    /// The oldest entry that is left.
    pub first: ResourceVersion,
    /// The newest position.
    pub last: ResourceVersion,
    /// Whether older entries have been dropped.
    pub trimmed: bool,
}

impl LogWindow {
    /// Whether a watch can go on from `rv` without a gap; if not, Kubernetes answers 410 Gone. False also
    /// for a position that the log never reached: Redis came back from an older file.
    pub fn covers(&self, rv: ResourceVersion) -> bool {
        rv <= self.last && (!self.trimmed || rv >= self.first)
    }
}

impl Store {
    /// The log's newest position. A list takes it first and then reads.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn log_tail(&self) -> Result<ResourceVersion, StoreError> {
        Ok(self.log_window().await?.last)
    }

    /// The positions between which the log can be read.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn log_window(&self) -> Result<LogWindow, StoreError> {
        let doing = "read the change log's position";
        let mut cmd = redis::cmd("XINFO");
        cmd.arg("STREAM").arg(keys::LOG);
        let info: Vec<(String, Value)> = match self.ask(doing, &cmd).await {
            Ok(info) => info,
            // Redis lost its data under us: an empty log.
            Err(StoreError::Refused { source, .. }) if source.detail() == Some("no such key") => {
                let start = ResourceVersion::default();
                return Ok(LogWindow { first: start, last: start, trimmed: false });
            }
            Err(error) => return Err(error),
        };
        let field = |name: &str| {
            let value = info.iter().find(|(key, _)| key == name).map(|(_, value)| value);
            value.ok_or_else(|| self.odd(doing, &info))
        };
        let number = |name: &str| {
            let value = field(name)?;
            from_redis_value_ref::<u64>(value).map_err(|_| self.odd(doing, value))
        };
        let position = |name: &str| {
            let value = field(name)?;
            let id: Option<String> = from_redis_value_ref(value).ok();
            let id: Option<StreamId> = id.and_then(|id| id.parse().ok());
            id.map(ResourceVersion::from).ok_or_else(|| self.odd(doing, value))
        };
        Ok(LogWindow {
            first: position("recorded-first-entry-id")?,
            last: position("last-generated-id")?,
            trimmed: number("entries-added")? > number("length")?,
        })
    }

    /// Up to `count` changes after `after`, waiting up to `block` for the first.
    ///
    /// # Errors
    /// [`StoreError`]; an unreachable Redis is told at once, as the caller reads on in a loop.
    pub async fn log_read(
        &self,
        after: ResourceVersion,
        block: Duration,
        count: usize,
    ) -> Result<Vec<Change>, StoreError> {
        let doing = "read the change log";
        let entries = self.read_stream(doing, keys::LOG, after.stream_id(), block, count).await?;
        Ok(entries.into_iter().filter_map(|(id, entry)| change(id, &entry)).collect())
    }

    /// Up to `count` changes of a shard that wait to be forwarded, waiting up to `block` for the first.
    ///
    /// # Errors
    /// [`StoreError`]; an unreachable Redis is told at once, as the caller reads on in a loop.
    pub async fn read_out(
        &self,
        shard: Shard,
        block: Duration,
        count: usize,
    ) -> Result<Vec<OutEntry>, StoreError> {
        let key = keys::out(shard);
        let doing = "read the changes to forward";
        let entries = self.read_stream(doing, &key, StreamId::START, block, count).await?;
        let row = |(id, entry): (StreamId, Entry)| {
            let mut fields: Vec<(String, String)> = entry
                .map
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), from_redis_value_ref(value).ok()?)))
                .collect();
            fields.sort_unstable();
            OutEntry { id, fields }
        };
        Ok(entries.into_iter().map(row).collect())
    }

    /// Appends changes to the log and takes them out of the shard's `out` stream. Done twice, after a
    /// lost reply or by an owner that was replaced, it only tells watchers twice.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn forward(&self, shard: Shard, entries: &[OutEntry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let doing = "forward changes";
        let mut add = self.add_to_log();
        for entry in entries {
            add.arg(2 + 2 * entry.fields.len()).arg("s").arg(shard.0);
            for (key, value) in &entry.fields {
                add.arg(key).arg(value);
            }
        }
        let ids: Vec<String> = self.call(doing, &add).await?;
        let mut call = scripts::FORWARDED.prepare_invoke();
        call.key(keys::prefix(shard)).arg(entries.len());
        for entry in entries {
            call.arg(entry.id.to_string());
        }
        for (entry, id) in entries.iter().zip(ids) {
            if let (Some(uid), Some(seq)) = (entry.field("u"), entry.field("q")) {
                let id: StreamId = id.parse().map_err(|_| self.odd(doing, &id))?;
                let key = if entry.field("k") == Some("Job") { "job" } else { "config" };
                call.arg(format!("{key}:{uid}")).arg(seq);
                call.arg(ResourceVersion::from(id).to_string());
            }
        }
        self.call(doing, &call).await
    }

    /// Appends a change of a Node to the log.
    pub(crate) async fn log_node(&self, name: &str, verb: &str) -> Result<(), StoreError> {
        let mut add = self.add_to_log();
        add.arg(6).arg(&["k", "Node", "v", verb, "name", name]);
        let _: Vec<String> = self.call("log a change of a Node", &add).await?;
        Ok(())
    }

    /// Tells watchers that a shard may have gone back behind what the log has told of it. A single server's log
    /// goes back with its shards, which [`LogWindow::covers`] shows; of a cluster the log may be on a node that
    /// has lost nothing.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn log_setback(&self, shard: Shard) -> Result<(), StoreError> {
        if !self.is_on_a_cluster() {
            return Ok(());
        }
        let mut add = self.add_to_log();
        add.arg(6).arg(&["k", "Shard", "v", "MODIFIED", "s"]).arg(shard.0);
        let _: Vec<String> = self.call("log that a shard went back", &add).await?;
        Ok(())
    }

    /// Gives a new log its first entry, so that no resourceVersion is ever 0, which means `any`.
    pub(crate) async fn found_log(&self) -> Result<(), StoreError> {
        let doing = "begin the change log";
        let mut exists = redis::cmd("EXISTS");
        exists.arg(keys::LOG);
        if self.ask::<bool>(doing, &exists).await? {
            return Ok(());
        }
        let mut add = self.add_to_log();
        add.arg(2).arg(&["k", "Start"]);
        let _: Vec<String> = self.call(doing, &add).await?;
        Ok(())
    }

    /// A call that appends entries to the log, each to be added as the number of its fields and values, and
    /// these.
    fn add_to_log(&self) -> ScriptInvocation<'static> {
        let mut call = scripts::LOG_CHANGES.prepare_invoke();
        call.key(keys::LOG).arg(self.settings().log_length);
        call
    }

    /// The entries of a stream after `after`, up to `count`, waiting up to `block` for the first.
    pub(crate) async fn read_stream(
        &self,
        doing: &'static str,
        key: &str,
        after: StreamId,
        block: Duration,
        count: usize,
    ) -> Result<Vec<(StreamId, Entry)>, StoreError> {
        let mut cmd = redis::cmd("XREAD");
        cmd.arg("COUNT").arg(count);
        let reply: Option<StreamReadReply> = if block.is_zero() {
            cmd.arg("STREAMS").arg(key).arg(after.to_string());
            self.ask(doing, &cmd).await?
        } else {
            // BLOCK 0 would be for ever.
            cmd.arg("BLOCK").arg(block.as_millis().max(1) as u64);
            cmd.arg("STREAMS").arg(key).arg(after.to_string());
            self.wait(doing, &cmd, block).await?
        };
        let entries = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        entries.map(|entry| self.with_id(doing, entry)).collect()
    }

    /// The entries of a stream after `after`, as [`Store::read_stream`], out of an XRANGE.
    pub(crate) fn range_entries(
        &self,
        doing: &'static str,
        reply: StreamRangeReply,
    ) -> Result<Vec<(StreamId, Entry)>, StoreError> {
        reply.ids.into_iter().map(|entry| self.with_id(doing, entry)).collect()
    }

    fn with_id(&self, doing: &'static str, entry: Entry) -> Result<(StreamId, Entry), StoreError> {
        let id = entry.id.parse().map_err(|_| self.odd(doing, &entry.id))?;
        Ok((id, entry))
    }
}

impl OutEntry {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A field of a stream's entry; `None` if it isn't there or can't be read as a `T`.
pub(crate) fn field<T: FromRedisValue>(entry: &Entry, name: &str) -> Option<T> {
    entry.map.get(name).and_then(|value| from_redis_value_ref(value).ok())
}

/// An entry of the log; `None` for those that only move its position.
fn change(id: StreamId, entry: &Entry) -> Option<Change> {
    let shard = || Some(Shard(field(entry, "s")?));
    let job = || Some(JobRef::new(shard()?, field::<String>(entry, "u")?));
    let config = || {
        let JobRef { shard, uid } = job()?;
        Some(ConfigRef { shard, uid })
    };
    let subject = match field::<String>(entry, "k")?.as_str() {
        "Job" => Subject::Job(job()?),
        "Pod" => {
            let index: Index = field(entry, "i")?;
            Subject::Pod(job()?.attempt(index, field(entry, "n")?))
        }
        "Event" => Subject::Event(job()?, field(entry, "id")?),
        "Node" => Subject::Node,
        "Shard" => Subject::Shard(shard()?),
        "ConfigMap" => Subject::Config(ConfigKind::ConfigMap, config()?),
        "Secret" => Subject::Config(ConfigKind::Secret, config()?),
        _ => return None,
    };
    let verb = match field::<String>(entry, "v")?.as_str() {
        "ADDED" => Verb::Added,
        "MODIFIED" => Verb::Modified,
        "DELETED" => Verb::Deleted,
        _ => return None,
    };
    Some(Change {
        rv: id.into(),
        subject,
        verb,
        namespace: field(entry, "ns").unwrap_or_default(),
        name: field(entry, "name").unwrap_or_default(),
        object: field(entry, "o"),
    })
}
