//! Loading a shard: what its new owner starts from.

use longshore_job::{ConditionType, Header, Index, IndexSet, Live};

use crate::attempts::live_records;
use crate::{JobRef, Shard, Store, StoreError, StoredJob, keys};

/// Jobs read in one round trip.
const PAGE: usize = 64;

/// A Job with all that its state machine needs.
#[derive(Clone, Debug)]
pub struct LoadedJob {
    pub job: StoredJob,
    /// The completed indexes; empty for a finished Job, whose header says all that is still needed.
    pub completed: IndexSet,
    /// The indexes that have failed for good; empty for a finished Job.
    pub failed: IndexSet,
    /// The indexes in flight, sorted.
    pub live: Vec<(Index, Live)>,
}

/// What one round trip gives per Job: the two bitmaps, and the records by index.
type Row = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Index, String)>);

impl Store {
    /// All Jobs of a shard, read in bounded pages.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn load_shard(&self, shard: Shard) -> Result<Vec<LoadedJob>, StoreError> {
        let mut cmd = redis::cmd("HVALS");
        cmd.arg(keys::names(shard));
        let uids: Vec<String> = self.ask("list a shard's Jobs", &cmd).await?;
        let refs: Vec<JobRef> = uids.into_iter().map(|uid| JobRef::new(shard, uid)).collect();
        let mut loaded = Vec::with_capacity(refs.len());
        for page in refs.chunks(PAGE) {
            loaded.extend(self.load_page(page).await?);
        }
        Ok(loaded)
    }

    /// One Job as its owner needs it, such as after [`Committed::Stale`](crate::Committed::Stale);
    /// `None` if it is gone.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn load_job(&self, job: &JobRef) -> Result<Option<LoadedJob>, StoreError> {
        Ok(self.load_page(std::slice::from_ref(job)).await?.pop())
    }

    async fn load_page(&self, page: &[JobRef]) -> Result<Vec<LoadedJob>, StoreError> {
        let jobs = self.load_jobs(page).await?;
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for job in &jobs {
            for bitmap in [keys::done(&job.job), keys::failed(&job.job)] {
                match is_finished(&job.header) {
                    // Keeps the reply's shape without the bitmap.
                    true => pipe.cmd("HGET").arg(keys::job(&job.job)).arg("none"),
                    false => pipe.cmd("GET").arg(bitmap),
                };
            }
            pipe.cmd("HGETALL").arg(keys::live(&job.job));
        }
        let rows: Vec<redis::Value> = self.pipe("load Jobs", &pipe).await?;
        let mut loaded = Vec::with_capacity(jobs.len());
        for (job, row) in jobs.into_iter().zip(rows.chunks(3)) {
            let row = redis::Value::Array(row.to_vec());
            let (done, failed, records): Row = redis::from_redis_value(row)
                .map_err(|error| self.odd("load Jobs", &error.to_string()))?;
            let completed = IndexSet::from_bytes(&done.unwrap_or_default());
            let failed = IndexSet::from_bytes(&failed.unwrap_or_default());
            let live = live_records(&job.job, records)?;
            loaded.push(LoadedJob { job, completed, failed, live });
        }
        Ok(loaded)
    }
}

fn is_finished(header: &Header) -> bool {
    let terminal = |kind| matches!(kind, ConditionType::Complete | ConditionType::Failed);
    header.conditions.iter().any(|condition| condition.status && terminal(condition.kind))
}
