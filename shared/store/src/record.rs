//! A Job as it is stored.

use longshore_job::{Header, Millis};
use redis::Pipeline;

use crate::{JobRef, ResourceVersion, Store, StoreError, keys};

/// A Job's own record: what a client gave, and the header of its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredJob {
    pub job: JobRef,
    pub namespace: String,
    pub name: String,
    /// JSON of the Kubernetes Job: metadata and spec as stored, without status.
    pub object: String,
    /// Grows by one with each accepted write of a client.
    pub rev: u64,
    pub header: Header,
    /// The log's position of the last change of the Job that watchers have got; 0 before the first.
    pub rv: ResourceVersion,
    /// Whether the Job has changed since, so that `rv` isn't its state's yet.
    pub dirty: bool,
    /// Grows by one with each change of the Job object, status included.
    pub seq: u64,
    /// Whether workers may claim its attempts.
    pub active: bool,
    /// When it was deleted (`metadata.deletionTimestamp`).
    pub deleted: Option<Millis>,
    /// The lease that its attempts are given.
    pub lease_ms: u64,
}

/// The fields of a Job's hash, as [`add_read`] asks for them.
pub(crate) type Fields = Vec<Option<String>>;

const FIELDS: [&str; 11] =
    ["ns", "name", "object", "rev", "header", "rv", "seq", "fseq", "active", "deleted", "lease"];

pub(crate) fn add_read(pipe: &mut Pipeline, job: &JobRef) {
    pipe.cmd("HMGET").arg(keys::job(job)).arg(&FIELDS);
}

impl Store {
    /// The Job of the fields that [`add_read`] asked for; `None` if there is none.
    pub(crate) fn stored_job(
        &self,
        job: &JobRef,
        fields: Fields,
    ) -> Result<Option<StoredJob>, StoreError> {
        let fields: [Option<String>; FIELDS.len()] =
            fields.try_into().map_err(|fields| self.odd("read a Job", &fields))?;
        let [ns, name, object, rev, header, rv, seq, fseq, active, deleted, lease] = fields;
        let (Some(namespace), Some(name), Some(object)) = (ns, name, object) else {
            return Ok(None);
        };
        let number = |text: &Option<String>| match text {
            Some(text) => text.parse::<u64>().map_err(|_| self.odd("read a Job", text)),
            None => Ok(0),
        };
        Ok(Some(StoredJob {
            job: job.clone(),
            namespace,
            name,
            object,
            rev: number(&rev)?,
            header: decode(&header.unwrap_or_else(|| "{}".to_owned()), || keys::job(job))?,
            rv: ResourceVersion(number(&rv)?),
            dirty: seq != fseq,
            seq: number(&seq)?,
            active: active.as_deref() == Some("1"),
            deleted: deleted.is_some().then(|| number(&deleted)).transpose()?,
            lease_ms: number(&lease)?,
        }))
    }
}

/// Reads a stored record; `key` is what the error names.
pub(crate) fn decode<T: serde::de::DeserializeOwned>(
    json: &str,
    key: impl FnOnce() -> String,
) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|source| StoreError::Record { key: key(), source })
}

pub(crate) fn encode<T: serde::Serialize>(record: &T) -> Result<String, StoreError> {
    serde_json::to_string(record).map_err(StoreError::Encode)
}
