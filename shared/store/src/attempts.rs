//! Reading a Job's indexes and attempts: what the API server makes Pods and `completedIndexes` of.

use longshore_job::{Attempt, Index, IndexSet, Live};

use crate::record::decode;
use crate::{AttemptKey, JobRef, Store, StoreError, keys};

impl Store {
    /// The completed indexes.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn completed(&self, job: &JobRef) -> Result<IndexSet, StoreError> {
        self.indexes("read the completed indexes", keys::done(job)).await
    }

    /// The indexes that have failed for good (`backoffLimitPerIndex`).
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn failed(&self, job: &JobRef) -> Result<IndexSet, StoreError> {
        self.indexes("read the failed indexes", keys::failed(job)).await
    }

    /// The indexes in flight, sorted. One in phase Finished is in the history as well.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn live(&self, job: &JobRef) -> Result<Vec<(Index, Live)>, StoreError> {
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(keys::live(job));
        let rows: Vec<(Index, String)> = self.ask("read the attempts", &cmd).await?;
        live_records(job, rows)
    }

    /// The record of one index in flight.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn live_one(&self, job: &JobRef, index: Index) -> Result<Option<Live>, StoreError> {
        let mut cmd = redis::cmd("HGET");
        cmd.arg(keys::live(job)).arg(index);
        let json: Option<String> = self.ask("read an attempt", &cmd).await?;
        json.map(|json| decode(&json, || keys::live(job))).transpose()
    }

    /// The buckets of history that exist, in order. Bucket `b` holds indexes `256 b` to `256 b + 255`.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn buckets(&self, job: &JobRef) -> Result<Vec<u32>, StoreError> {
        Ok(self.indexes("read the history", keys::buckets(job)).await?.iter().collect())
    }

    async fn indexes(&self, doing: &'static str, bitmap: String) -> Result<IndexSet, StoreError> {
        let mut cmd = redis::cmd("GET");
        cmd.arg(bitmap);
        let bits: Option<Vec<u8>> = self.ask(doing, &cmd).await?;
        Ok(IndexSet::from_bytes(&bits.unwrap_or_default()))
    }

    /// The finished attempts of one bucket's indexes, sorted by index and number.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn history(
        &self,
        job: &JobRef,
        bucket: u32,
    ) -> Result<Vec<(Index, Attempt)>, StoreError> {
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(keys::hist(job, bucket));
        let rows: Vec<(String, String)> = self.ask("read the history", &cmd).await?;
        let mut attempts = Vec::with_capacity(rows.len());
        for (field, json) in rows {
            let index = field.split_once('.').and_then(|(index, _)| index.parse().ok());
            let index: Index = index.ok_or_else(|| self.odd("read the history", &field))?;
            attempts.push((index, decode::<Attempt>(&json, || keys::hist(job, bucket))?));
        }
        attempts.sort_unstable_by_key(|(index, attempt)| (*index, attempt.number));
        Ok(attempts)
    }

    /// One finished attempt.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn history_one(&self, key: &AttemptKey) -> Result<Option<Attempt>, StoreError> {
        let hist = keys::hist(&key.job, key.index / keys::BUCKET);
        let mut cmd = redis::cmd("HGET");
        cmd.arg(&hist).arg(format!("{}.{}", key.index, key.attempt));
        let json: Option<String> = self.ask("read an attempt", &cmd).await?;
        json.map(|json| decode(&json, || hist)).transpose()
    }
}

pub(crate) fn live_records(
    job: &JobRef,
    rows: Vec<(Index, String)>,
) -> Result<Vec<(Index, Live)>, StoreError> {
    let mut records = rows
        .into_iter()
        .map(|(index, json)| Ok((index, decode(&json, || keys::live(job))?)))
        .collect::<Result<Vec<(Index, Live)>, StoreError>>()?;
    records.sort_unstable_by_key(|(index, _)| *index);
    Ok(records)
}
