//! Redis' time between two answers of Redis.

use std::time::{Duration, Instant};

use longshore_job::Millis;

/// Redis' clock as last heard, and the time since by this host's monotonic clock. No wall clock of a
/// host is ever asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RedisClock {
    heard: Millis,
    at: Instant,
    stepped_back: bool,
}

/// What two clocks may differ by after some seconds without either having been set.
const DRIFT: Millis = 1_000;

impl RedisClock {
    pub(crate) fn new(heard: Millis) -> Self {
        Self { heard, at: Instant::now(), stepped_back: false }
    }

    /// Takes Redis' time as it was just heard.
    pub(crate) fn hear(&mut self, heard: Millis) {
        let stepped_back = self.stepped_back || heard.saturating_add(DRIFT) < self.now();
        *self = Self { stepped_back, ..Self::new(heard) };
    }

    /// Whether Redis' clock has stepped back since this was asked last.
    pub(crate) fn stepped_back(&mut self) -> bool {
        std::mem::take(&mut self.stepped_back)
    }

    pub(crate) fn now(&self) -> Millis {
        self.heard.saturating_add(self.age().as_millis().try_into().unwrap_or(Millis::MAX))
    }

    /// How long ago Redis was heard.
    pub(crate) fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_back_is_told_once() {
        let mut clock = RedisClock::new(100_000);
        clock.hear(99_500);
        assert!(!clock.stepped_back());
        clock.hear(90_000);
        clock.hear(91_000);
        assert!(clock.stepped_back() && !clock.stepped_back());
        clock.hear(500_000);
        assert!(!clock.stepped_back());
    }
}
