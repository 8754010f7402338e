//! Whether the worker's own runtime still runs its tasks. The lease keeper has a thread to itself, and must
//! not keep alive what nobody looks after any more: a worker that hangs is as good as one that is gone.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::sleep;

/// Between two beats.
const EVERY: Duration = Duration::from_millis(500);

pub(crate) struct Pulse {
    /// How long the runtime may be held up before it counts as hung.
    patience: Duration,
    last: Mutex<Instant>,
}

impl Pulse {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, last: Mutex::new(Instant::now()) }
    }

    /// Beats for as long as the runtime runs it.
    pub(crate) async fn run(&self) {
        loop {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            sleep(EVERY).await;
        }
    }

    pub(crate) fn beats(&self) -> bool {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_stops_with_what_runs_it() {
        let pulse = Pulse::new(Duration::from_secs(1));
        let beating = tokio::time::timeout(Duration::from_millis(1200), pulse.run());
        assert!(beating.await.is_err() && pulse.beats());
        // Nothing runs beside this.
        std::thread::sleep(Duration::from_millis(1100));
        assert!(!pulse.beats());
    }
}
