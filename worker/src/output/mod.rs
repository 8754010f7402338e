//! An attempt's output on its way from the container to the store.
//!
//! The container is never held up: what comes in is queued up to a bound, and when the store is
//! slower than the container the oldest of the queue is dropped and counted.

mod lines;
mod queue;
mod recent;
mod ship;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use longshore_store::{AttemptKey, Store, StoreError};
use longshore_support::retry::Policy;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::warn;

pub(crate) use lines::Stream;
pub(crate) use recent::Recent;

use lines::Source;
use queue::Queue;

/// How long an attempt's end waits for its last output. What is left then is still written, but may
/// come after the outcome.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The output of one attempt, over all its containers.
pub(crate) struct Output {
    queue: Arc<Queue>,
    shipping: JoinHandle<()>,
}

/// Where a container's output goes; cheap to clone.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: Arc<Queue>,
    container: u32,
}

impl Output {
    /// Starts to write an attempt's output, of which the last lines may be stored already; `cap` is
    /// how much of it is kept, in bytes.
    pub(crate) fn start(store: Store, key: AttemptKey, cap: u64, stored: Recent) -> Self {
        let queue = Arc::new(Queue::new(stored));
        let shipping = tokio::spawn(ship::ship(queue.clone(), store, key, cap));
        Self { queue, shipping }
    }

    /// For the container of this number among the template's, init containers first.
    pub(crate) fn writer(&self, container: u32) -> Writer {
        Writer { queue: self.queue.clone(), container }
    }

    /// Writes what is left, and that there is no more to come; gives what goes on writing if that takes
    /// too long.
    pub(crate) async fn end(mut self) -> Option<JoinHandle<()>> {
        self.queue.close();
        if timeout(LAST_WORDS, &mut self.shipping).await.is_ok() {
            return None;
        }
        warn!("the last output is not stored yet; going on without it");
        Some(self.shipping)
    }
}

/// Deletes an attempt's output, once `late` has written the last of it, if its Job has been removed or
/// is about to be: whoever removes the Job may not have seen what was written that late.
pub(crate) async fn tidy(store: Store, key: AttemptKey, late: Option<JoinHandle<()>>) {
    if let Some(late) = late
        && let Err(error) = late.await
    {
        warn!(attempt = %key, %error, "the output ended badly");
    }
    for wait in Policy::SERVER.delays() {
        let removed = async {
            let job = store.get_job_by_uid(&key.job).await?;
            if job.is_none_or(|job| job.deleted.is_some()) {
                store.delete_outputs(std::slice::from_ref(&key)).await?;
            }
            Ok::<_, StoreError>(())
        };
        match removed.await {
            Ok(()) => return,
            Err(error) if error.is_transient() => sleep(wait).await,
            Err(error) => return warn!(attempt = %key, %error, "the output can't be looked after"),
        }
    }
}

impl Writer {
    /// Takes what the container wrote just now.
    pub(crate) fn write(&self, stream: Stream, data: &[u8]) {
        self.queue.push(self.source(stream), queue::At::Now(SystemTime::now()), data);
    }

    /// Takes what the container wrote at a moment that is known, in RFC 3339.
    pub(crate) fn write_at(&self, stream: Stream, stamp: &str, data: &[u8]) {
        self.queue.push(self.source(stream), queue::At::Stamp(stamp.to_owned()), data);
    }

    /// The last lines of the container that are stored, once all that was written before is.
    pub(crate) async fn stored(&self) -> Recent {
        self.queue.settled().await.of(self.container)
    }

    fn source(&self, stream: Stream) -> Source {
        Source { container: self.container, stream }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A writer whose output stays in memory, and what reads it.
    pub(crate) fn captured(stored: Recent) -> (Writer, impl Fn() -> String) {
        let queue = Arc::new(Queue::new(stored));
        let writer = Writer { queue: queue.clone(), container: 0 };
        (writer, move || {
            let mut text = Vec::new();
            while let Some(batch) = queue.try_take() {
                batch.frames.iter().for_each(|frame| text.extend_from_slice(&frame.data));
                queue.done(&[]);
            }
            String::from_utf8_lossy(&text).into_owned()
        })
    }
}
