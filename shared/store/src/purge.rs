//! Removing a Job and all that belongs to it.

use longshore_job::Index;

use crate::{AttemptKey, Epoch, JobRef, Store, StoreError, keys, scripts};

impl Store {
    /// Removes a Job: its attempts' output, its history bucket by bucket, then the rest, and frees its
    /// name. Each step is bounded; ended half way it can be done again. `false` if fenced.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn purge(&self, epoch: Epoch, job: &JobRef) -> Result<bool, StoreError> {
        for bucket in self.buckets(job).await? {
            let mut cmd = redis::cmd("HKEYS");
            cmd.arg(keys::hist(job, bucket));
            let fields: Vec<String> = self.ask("list attempts", &cmd).await?;
            self.delete_outputs(&attempts(job, &fields)).await?;
            if !self.purge_step(epoch, job, &bucket.to_string()).await? {
                return Ok(false);
            }
        }
        let live = self.live(job).await?;
        let keys: Vec<AttemptKey> =
            live.iter().map(|(index, live)| job.attempt(*index, live.attempt.number)).collect();
        self.delete_outputs(&keys).await?;
        self.purge_step(epoch, job, "rest").await
    }

    async fn purge_step(&self, epoch: Epoch, job: &JobRef, step: &str) -> Result<bool, StoreError> {
        let mut call = scripts::PURGE.prepare_invoke();
        call.key(keys::prefix(job.shard)).arg(epoch).arg(&job.uid).arg(step);
        self.call("remove a Job", &call).await
    }
}

/// The attempts that a history's fields name, `<index>.<attempt>` each.
fn attempts(job: &JobRef, fields: &[String]) -> Vec<AttemptKey> {
    let parse = |field: &String| {
        let (index, attempt) = field.split_once('.')?;
        let index: Index = index.parse().ok()?;
        Some(job.attempt(index, attempt.parse().ok()?))
    };
    fields.iter().filter_map(parse).collect()
}
