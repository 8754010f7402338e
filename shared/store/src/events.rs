//! Kubernetes Events of a Job and its Pods, merged as Kubernetes merges them and bounded per Job.

use longshore_job::{Index, Millis};
use serde::{Deserialize, Serialize};

use crate::record::{decode, encode};
use crate::{JobRef, Store, StoreError, keys, scripts};

/// Something to tell the user about a Job or one of its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Kubernetes' type `Warning` rather than `Normal`.
    #[serde(rename = "w", default, skip_serializing_if = "std::ops::Not::not")]
    pub warning: bool,
    /// CamelCase, such as `SuccessfulCreate`.
    #[serde(rename = "r")]
    pub reason: String,
    #[serde(rename = "m")]
    pub message: String,
    /// The index and attempt whose Pod it is about; `None` for the Job.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub about: Option<(Index, u32)>,
}

impl EventRecord {
    /// Equal events have equal ids: they are counted rather than stored again.
    pub fn id(&self) -> String {
        let (index, attempt) = self.about.unwrap_or_default();
        let whole = format!(
            "{}\0{}\0{}\0{index}\0{attempt}\0{}",
            self.warning,
            self.reason,
            self.message,
            self.about.is_some()
        );
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in whole.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        format!("{hash:016x}")
    }
}

/// An event as it is stored: how often it happened, and when.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StoredEvent {
    /// Unique within the Job.
    #[serde(skip)]
    pub id: String,
    #[serde(flatten)]
    pub event: EventRecord,
    #[serde(rename = "c")]
    pub count: u32,
    #[serde(rename = "f")]
    pub first: Millis,
    #[serde(rename = "l")]
    pub last: Millis,
}

impl Store {
    /// Adds an event to a Job, or counts one more of an equal one. None is kept for a Job that is gone.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn add_event(&self, job: &JobRef, event: &EventRecord) -> Result<(), StoreError> {
        let mut call = scripts::EVENT.prepare_invoke();
        call.key(keys::prefix(job.shard)).arg(&job.uid).arg(event.id()).arg(encode(event)?);
        call.arg(self.settings().events_per_job).arg(uuid::Uuid::new_v4().to_string());
        self.call("add an event", &call).await
    }

    /// A Job's events, the latest last.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn events(&self, job: &JobRef) -> Result<Vec<StoredEvent>, StoreError> {
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(keys::events(job));
        let rows: Vec<(String, String)> = self.ask("read the events", &cmd).await?;
        let mut events = Vec::with_capacity(rows.len());
        for (id, json) in rows {
            let event: StoredEvent = decode(&json, || keys::events(job))?;
            events.push(StoredEvent { id, ..event });
        }
        events.sort_by(|a, b| (a.last, &a.id).cmp(&(b.last, &b.id)));
        Ok(events)
    }

    /// One event of a Job.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn event(&self, job: &JobRef, id: &str) -> Result<Option<StoredEvent>, StoreError> {
        let mut cmd = redis::cmd("HGET");
        cmd.arg(keys::events(job)).arg(id);
        let json: Option<String> = self.ask("read an event", &cmd).await?;
        let event = json.map(|json| decode::<StoredEvent>(&json, || keys::events(job)));
        Ok(event.transpose()?.map(|event| StoredEvent { id: id.to_owned(), ..event }))
    }
}
