//! The owner's write: what follows from a batch of events, in one script.

use longshore_job::{Header, Index, Live, Millis};

use crate::record::encode;
use crate::{Epoch, EventRecord, Shard, Store, StoreError, StreamId, Verb, keys, scripts};

/// Changes of Jobs of one shard that are stored as a whole or not at all.
///
/// Every Job that is touched must be named in [`Commit::expect_rev`], or nothing of it is stored.
#[derive(Clone, Debug)]
pub struct Commit {
    request: String,
    expected: Vec<(String, u64)>,
    acked: Vec<StreamId>,
    ops: Vec<Vec<String>>,
}

impl Default for Commit {
    fn default() -> Self {
        Self::new()
    }
}

/// What became of a [`Commit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Stored, at that time of Redis'.
    Stored { at: Millis },
    /// Nothing was stored: clients have changed or deleted these Jobs (uids) meanwhile. Their entry in
    /// the shard's stream comes next.
    Stale(Vec<String>),
    /// Nothing was stored: another owner has the shard, or Redis was restarted.
    Fenced,
}

impl Commit {
    pub fn new() -> Self {
        Self {
            request: uuid::Uuid::new_v4().to_string(),
            expected: Vec::new(),
            acked: Vec::new(),
            ops: Vec::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.acked.is_empty()
    }

    /// How many changes it holds.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// The revision of the Job that the changes were worked out from.
    pub fn expect_rev(&mut self, uid: &str, rev: u64) -> &mut Self {
        self.expected.push((uid.to_owned(), rev));
        self
    }

    /// Entries of the shard's stream that are accounted for with this.
    pub fn ack(&mut self, ids: impl IntoIterator<Item = StreamId>) -> &mut Self {
        self.acked.extend(ids);
        self
    }

    /// Stores the header; `active` is whether workers may claim the Job's attempts.
    ///
    /// # Errors
    /// [`StoreError::Encode`].
    pub fn header(
        &mut self,
        uid: &str,
        header: &Header,
        active: bool,
    ) -> Result<&mut Self, StoreError> {
        let active = if active { "1" } else { "0" };
        Ok(self.op(["H", uid, &encode(header)?, active]))
    }

    /// Marks an index as completed.
    pub fn completed(&mut self, uid: &str, index: Index) -> &mut Self {
        self.op(["D", uid, &index.to_string()])
    }

    /// Marks an index as failed for good.
    pub fn failed(&mut self, uid: &str, index: Index) -> &mut Self {
        self.op(["X", uid, &index.to_string()])
    }

    /// Forgets the completed and failed indexes from `from` on. What follows in the commit stays.
    pub fn forget(&mut self, uid: &str, from: Index) -> &mut Self {
        self.op(["T", uid, &from.to_string()])
    }

    /// Stores (`Some`) or removes (`None`) the record of an index in flight. What workers have reported
    /// of the same attempt meanwhile is kept: of a claimed or finished attempt only the owner's own
    /// fields are taken: the counts of failures, disruptions, losses and accounted restarts, and `due`.
    ///
    /// # Errors
    /// [`StoreError::Encode`].
    pub fn live(
        &mut self,
        uid: &str,
        index: Index,
        live: Option<&Live>,
    ) -> Result<&mut Self, StoreError> {
        let json = live.map(encode).transpose()?.unwrap_or_default();
        Ok(self.op(["L", uid, &index.to_string(), &json]))
    }

    /// Tells watchers that the Job has changed.
    pub fn job_changed(&mut self, uid: &str) -> &mut Self {
        self.op(["J", uid])
    }

    /// Tells watchers that an attempt's Pod has changed. Claims, progress and ends are told by the
    /// scripts that store them.
    pub fn pod_changed(&mut self, uid: &str, index: Index, attempt: u32, verb: Verb) -> &mut Self {
        self.op(["P", uid, &index.to_string(), &attempt.to_string(), verb.as_str()])
    }

    /// Adds an event to the Job, or counts one more of an equal one.
    ///
    /// # Errors
    /// [`StoreError::Encode`].
    pub fn event(&mut self, uid: &str, event: &EventRecord) -> Result<&mut Self, StoreError> {
        Ok(self.op(["E", uid, &event.id(), &encode(event)?]))
    }

    fn op<const N: usize>(&mut self, op: [&str; N]) -> &mut Self {
        self.ops.push(op.into_iter().map(str::to_owned).collect());
        self
    }
}

impl Store {
    /// Stores a commit, and the position up to which the shard's stream is accounted for.
    ///
    /// # Errors
    /// [`StoreError`], as every call; after [`StoreError::Unreachable`] it may have been stored, and the
    /// same `commit` can be given again.
    pub async fn commit(
        &self,
        shard: Shard,
        epoch: Epoch,
        pos: StreamId,
        commit: &Commit,
    ) -> Result<Committed, StoreError> {
        let mut call = scripts::COMMIT.prepare_invoke();
        call.key(keys::prefix(shard)).arg(epoch).arg(&commit.request).arg(pos.to_string());
        call.arg(self.settings().events_per_job).arg(commit.expected.len());
        for (uid, rev) in &commit.expected {
            call.arg(uid).arg(rev);
        }
        call.arg(commit.acked.len());
        for id in &commit.acked {
            call.arg(id.to_string());
        }
        for op in &commit.ops {
            call.arg(op);
        }
        let doing = "commit";
        let reply: Vec<String> = self.call(doing, &call).await?;
        match reply.split_first() {
            Some((what, [at])) if what == "ok" => match at.parse() {
                Ok(at) => Ok(Committed::Stored { at }),
                Err(_) => Err(self.odd(doing, &reply)),
            },
            Some((what, uids)) if what == "stale" => Ok(Committed::Stale(uids.to_vec())),
            Some((what, [])) if what == "fenced" => Ok(Committed::Fenced),
            _ => Err(self.odd(doing, &reply)),
        }
    }
}

impl Verb {
    /// As Kubernetes writes it in a watch.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}
