//! Redis' time between two answers of Redis.

use std::time::{Duration, Instant};

use longshore_job::Millis;

/// Redis' clock as last heard, and the time since by this host's monotonic clock. No wall clock of a
/// host is ever asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RedisClock {
    heard: Millis,
    at: Instant,
}

impl RedisClock {
    pub(crate) fn new(heard: Millis) -> Self {
        Self { heard, at: Instant::now() }
    }

    pub(crate) fn now(&self) -> Millis {
        self.heard.saturating_add(self.age().as_millis().try_into().unwrap_or(Millis::MAX))
    }

    /// How long ago Redis was heard.
    pub(crate) fn age(&self) -> Duration {
        self.at.elapsed()
    }
}
