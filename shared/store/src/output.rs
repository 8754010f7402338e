//! The output of attempts, kept apart from the hosts that they ran on: a stream of chunks per attempt,
//! bounded in bytes, the newest kept.
//!
//! A chunk holds whole lines, in the form of [`StoredLine`](crate::StoredLine).

use std::time::Duration;

use redis::streams::StreamRangeReply;

use crate::log::field;
use crate::{AttemptKey, Store, StoreError, StreamId, keys, scripts};

/// Chunks read at once: at most 4 MiB, as a chunk has at most 64 KiB.
const CHUNKS: usize = 64;

/// What is known of an attempt's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputInfo {
    /// Bytes stored.
    pub bytes: u64,
    /// Bytes of earlier output that were dropped.
    pub dropped: u64,
    /// Whether the end has been written.
    pub ended: bool,
}

impl OutputInfo {
    /// The line that a reader gets first when earlier output is missing.
    pub fn notice(&self) -> Option<String> {
        (self.dropped > 0)
            .then(|| format!("[longshore: {} bytes of earlier output were dropped]", self.dropped))
    }
}

/// A part of an attempt's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputBatch {
    /// Where to read on.
    pub next: StreamId,
    /// Set in the first batch when earlier output is missing: to be shown, without a line's end, before
    /// all else.
    pub notice: Option<String>,
    /// The chunks, in order.
    pub chunks: Vec<Vec<u8>>,
    /// Whether the end was reached.
    pub ended: bool,
}

impl Store {
    /// Appends a chunk of whole lines to an attempt's output. Of more than `cap` bytes the oldest chunks
    /// are dropped and counted, with the `dropped` bytes that the worker had to drop before this chunk.
    /// After the end nothing is added.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn append_output(
        &self,
        key: &AttemptKey,
        chunk: &[u8],
        dropped: u64,
        cap: u64,
    ) -> Result<(), StoreError> {
        let mut call = scripts::LOG_APPEND.prepare_invoke();
        call.key(keys::output(key)).key(keys::output_meta(key));
        call.arg(cap).arg(chunk).arg(dropped).arg(uuid::Uuid::new_v4().to_string());
        self.call("store output", &call).await
    }

    /// Marks an attempt's output as complete.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn end_output(&self, key: &AttemptKey) -> Result<(), StoreError> {
        let mut call = scripts::LOG_END.prepare_invoke();
        call.key(keys::output(key)).key(keys::output_meta(key));
        self.call("end an output", &call).await
    }

    /// Reads on after `after` ([`StreamId::START`] for the beginning), up to 4 MiB, waiting up to `block`
    /// for more. An empty batch that isn't the end means that nothing came.
    ///
    /// # Errors
    /// [`StoreError`]; with `block` an unreachable Redis is told at once, as the caller loops.
    pub async fn read_output(
        &self,
        key: &AttemptKey,
        after: StreamId,
        block: Duration,
    ) -> Result<OutputBatch, StoreError> {
        let doing = "read output";
        let mut batch = OutputBatch { next: after, ..OutputBatch::default() };
        let entries = if after == StreamId::START {
            // The count of what was dropped and the oldest chunk must be of one moment.
            let mut pipe = redis::pipe();
            pipe.atomic().cmd("HGET").arg(keys::output_meta(key)).arg("dropped");
            pipe.cmd("XRANGE").arg(keys::output(key)).arg("-").arg("+").arg("COUNT").arg(CHUNKS);
            let (dropped, range): (Option<u64>, StreamRangeReply) = self.pipe(doing, &pipe).await?;
            let info = OutputInfo { dropped: dropped.unwrap_or(0), ..OutputInfo::default() };
            batch.notice = info.notice();
            self.range_entries(doing, range)?
        } else {
            Vec::new()
        };
        let entries = match entries.is_empty() {
            true => self.read_stream(doing, &keys::output(key), after, block, CHUNKS).await?,
            false => entries,
        };
        for (id, entry) in entries {
            batch.next = id;
            batch.ended |= entry.map.contains_key("end");
            batch.chunks.extend(field::<Vec<u8>>(&entry, "d"));
        }
        Ok(batch)
    }

    /// What is known of an attempt's output.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn output_info(&self, key: &AttemptKey) -> Result<OutputInfo, StoreError> {
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(keys::output_meta(key)).arg(&["bytes", "dropped", "end"]);
        let (bytes, dropped, end): (Option<u64>, Option<u64>, Option<String>) =
            self.ask("read output", &cmd).await?;
        Ok(OutputInfo {
            bytes: bytes.unwrap_or(0),
            dropped: dropped.unwrap_or(0),
            ended: end.is_some(),
        })
    }

    /// Deletes the output of attempts.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn delete_outputs(&self, attempts: &[AttemptKey]) -> Result<(), StoreError> {
        for page in attempts.chunks(500) {
            let mut pipe = redis::pipe();
            for key in page {
                pipe.cmd("UNLINK").arg(keys::output(key)).arg(keys::output_meta(key)).ignore();
            }
            let () = self.pipe("delete output", &pipe).await?;
        }
        Ok(())
    }
}
