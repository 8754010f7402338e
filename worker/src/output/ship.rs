//! Writing an attempt's output into the store, in chunks of whole lines.

use std::sync::Arc;
use std::time::Duration;

use longshore_store::{AttemptKey, Store};
use longshore_support::clock::log_stamp;
use longshore_support::retry::Policy;
use tokio::time::sleep;
use tracing::warn;

use super::lines::Lines;
use super::queue::{Batch, Queue};

/// The largest chunk of lines that is stored as one entry, in bytes.
const CHUNK: usize = 64 * 1024;
/// Tries of the last chunks of an attempt that has ended; before that there is no end to them, as
/// the queue stays bounded.
const LAST_TRIES: u32 = 5;

/// Stores what comes into the queue until it is closed and empty.
pub(super) async fn ship(queue: Arc<Queue>, store: Store, key: AttemptKey, cap: u64) {
    let mut shipping = Shipping { store, key, cap, dropped: 0 };
    let mut lines = Lines::default();
    while let Some(batch) = queue.take().await {
        let (chunks, dropped) = cut(&mut lines, &batch);
        shipping.dropped += dropped;
        for chunk in &chunks {
            shipping.append(chunk, &queue).await;
        }
        queue.done(chunks.last().map_or(&[], Vec::as_slice));
    }
    let mut rest = Vec::new();
    lines.finish(&log_stamp(std::time::SystemTime::now()), |line| rest.extend_from_slice(line));
    if !rest.is_empty() || shipping.dropped > 0 {
        shipping.append(&rest, &queue).await;
    }
    shipping.end().await;
}

struct Shipping {
    store: Store,
    key: AttemptKey,
    cap: u64,
    /// Bytes dropped that the store doesn't know of yet.
    dropped: u64,
}

impl Shipping {
    async fn append(&mut self, chunk: &[u8], queue: &Queue) {
        let mut delays = Policy::SERVER.delays();
        let mut last_tries = 0;
        loop {
            match self.store.append_output(&self.key, chunk, self.dropped, self.cap).await {
                Ok(()) => {
                    self.dropped = 0;
                    return;
                }
                Err(error) => {
                    last_tries += u32::from(queue.is_closed());
                    if !error.is_transient() || last_tries >= LAST_TRIES {
                        warn!(attempt = %self.key, %error, "output is lost");
                        self.dropped += chunk.len() as u64;
                        return;
                    }
                    sleep(delays.next().unwrap_or(Duration::from_secs(2))).await;
                }
            }
        }
    }

    async fn end(&self) {
        if let Err(error) = self.store.end_output(&self.key).await {
            warn!(attempt = %self.key, %error, "the end of the output is not marked");
        }
    }
}

/// The stored lines of a batch in chunks, and how many bytes were dropped before or within it.
fn cut(lines: &mut Lines, batch: &Batch) -> (Vec<Vec<u8>>, u64) {
    let mut dropped = batch.dropped;
    for source in &batch.lost {
        dropped += lines.lost(*source);
    }
    let mut chunks: Vec<Vec<u8>> = Vec::new();
    for frame in &batch.frames {
        dropped += lines.push(frame.source, &frame.data, &frame.at.stamp(), |line| {
            match chunks.last_mut() {
                Some(chunk) if chunk.len() + line.len() <= CHUNK => chunk.extend_from_slice(line),
                _ => chunks.push(line.to_vec()),
            }
        });
    }
    (chunks, dropped)
}
