//! What a container has written and the store has not taken yet: bounded, the newest kept.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use longshore_support::clock::log_stamp;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::lines::Source;
use super::recent::Recent;

/// The most that waits, in bytes.
const CAPACITY: usize = 1024 * 1024;
/// What is taken at once, and how long it may gather before that.
const BATCH: usize = 64 * 1024;
const GATHER: Duration = Duration::from_millis(100);
/// Writes to one stream within this time count as one.
const MOMENT: Duration = Duration::from_millis(1);
/// What a write costs in memory beside its bytes.
const OVERHEAD: usize = 64;
/// How long to wait for the store to have taken everything.
const SETTLE: Duration = Duration::from_secs(2);

pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    /// Told when the store has taken a batch.
    taken: Notify,
}

/// When something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    Now(SystemTime),
    /// In RFC 3339.
    Stamp(String),
}

#[derive(Debug)]
pub(super) struct Frame {
    pub(super) source: Source,
    pub(super) at: At,
    pub(super) data: Vec<u8>,
}

/// The oldest part of the queue.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) frames: Vec<Frame>,
    /// Bytes that were dropped before these.
    pub(super) dropped: u64,
    /// What they belonged to.
    pub(super) lost: Vec<Source>,
}

struct State {
    frames: VecDeque<Frame>,
    size: usize,
    dropped: u64,
    lost: Vec<Source>,
    closed: bool,
    /// A batch was taken and is not stored yet.
    busy: bool,
    recent: Recent,
}

impl At {
    pub(super) fn stamp(&self) -> String {
        match self {
            Self::Now(time) => log_stamp(*time),
            Self::Stamp(stamp) => stamp.clone(),
        }
    }
}

impl Queue {
    pub(super) fn new(recent: Recent) -> Self {
        let state = State {
            frames: VecDeque::new(),
            size: 0,
            dropped: 0,
            lost: Vec::new(),
            closed: false,
            busy: false,
            recent,
        };
        Self { state: Mutex::new(state), changed: Notify::new(), taken: Notify::new() }
    }

    pub(super) fn push(&self, source: Source, at: At, data: &[u8]) {
        let mut state = self.state();
        state.push(source, at, data);
        drop(state);
        self.changed.notify_one();
    }

    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Waits for the next batch; `None` once the queue is closed and empty.
    pub(super) async fn take(&self) -> Option<Batch> {
        loop {
            let (size, closed) = {
                let state = self.state();
                (state.size, state.closed)
            };
            match (size, closed) {
                (0, true) => return self.try_take(),
                (0, false) => self.changed.notified().await,
                _ => break,
            }
        }
        let full = async {
            loop {
                {
                    let state = self.state();
                    if state.size >= BATCH || state.closed {
                        return;
                    }
                }
                self.changed.notified().await;
            }
        };
        tokio::select! {
            () = full => {}
            () = sleep(GATHER) => {}
        }
        self.try_take()
    }

    /// The next batch, if there is anything.
    pub(super) fn try_take(&self) -> Option<Batch> {
        let mut state = self.state();
        if state.frames.is_empty() && state.dropped == 0 {
            return None;
        }
        state.busy = true;
        let mut batch = Batch {
            dropped: std::mem::take(&mut state.dropped),
            lost: std::mem::take(&mut state.lost),
            ..Batch::default()
        };
        let mut size = 0;
        while size < BATCH {
            let Some(frame) = state.frames.pop_front() else { break };
            size += frame.data.len();
            state.size -= frame.data.len() + OVERHEAD;
            batch.frames.push(frame);
        }
        Some(batch)
    }

    /// The last batch is stored, as these lines.
    pub(super) fn done(&self, lines: &[u8]) {
        let mut state = self.state();
        state.busy = false;
        state.recent.remember(lines);
        drop(state);
        self.taken.notify_waiters();
    }

    /// The last stored lines, once everything is stored or doesn't get there in time.
    pub(super) async fn settled(&self) -> Recent {
        let all_stored = async {
            loop {
                let mut taken = std::pin::pin!(self.taken.notified());
                taken.as_mut().enable();
                {
                    let state = self.state();
                    if state.frames.is_empty() && !state.busy {
                        return;
                    }
                }
                taken.await;
            }
        };
        // Out of time means that some lines may come twice.
        let _ = timeout(SETTLE, all_stored).await;
        self.state().recent.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, source: Source, at: At, data: &[u8]) {
        match self.frames.back_mut() {
            Some(last) if last.goes_on_with(source, &at) && last.data.len() < BATCH => {
                last.data.extend_from_slice(data);
            }
            _ => {
                self.frames.push_back(Frame { source, at, data: data.to_vec() });
                self.size += OVERHEAD;
            }
        }
        self.size += data.len();
        while self.size > CAPACITY {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.size -= oldest.data.len() + OVERHEAD;
            self.dropped += oldest.data.len() as u64;
            if !self.lost.contains(&oldest.source) {
                self.lost.push(oldest.source);
            }
        }
    }
}

impl Frame {
    fn goes_on_with(&self, source: Source, at: &At) -> bool {
        self.source == source
            && match (&self.at, at) {
                (At::Now(before), At::Now(now)) => {
                    now.duration_since(*before).is_ok_and(|since| since < MOMENT)
                }
                (before, now) => before == now,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Stream;

    const OUT: Source = Source { container: 0, stream: Stream::Out };
    const ERR: Source = Source { container: 0, stream: Stream::Err };

    fn at(second: u64) -> At {
        At::Now(SystemTime::UNIX_EPOCH + Duration::from_secs(second))
    }

    #[test]
    fn the_oldest_goes_first_and_is_counted() {
        let queue = Queue::new(Recent::default());
        let part = vec![b'x'; 100_000];
        for second in 0..15 {
            queue.push(OUT, at(second), &part);
        }
        assert!(queue.state().size <= CAPACITY);
        let batch = queue.try_take().expect("a batch");
        assert_eq!((batch.dropped, batch.lost.as_slice()), (500_000, &[OUT][..]));
        assert_eq!(batch.frames[0].at, at(5));
        let mut rest = 1;
        while queue.try_take().is_some() {
            rest += 1;
        }
        assert_eq!((rest, queue.state().size), (10, 0));
    }

    #[tokio::test]
    async fn a_closed_queue_gives_what_is_left() {
        let queue = Queue::new(Recent::default());
        queue.push(OUT, at(1), b"a");
        queue.push(OUT, at(1), b"b");
        queue.push(ERR, at(1), b"c");
        queue.close();
        let batch = queue.take().await.expect("a batch");
        assert_eq!(batch.frames.len(), 2);
        assert_eq!(batch.frames[0].data, b"ab");
        assert!(queue.take().await.is_none());
    }
}
