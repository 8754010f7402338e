//! Whether containers can be started on this host, as far as starts have shown.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use longshore_job::Outcome;
use tokio::sync::Notify;

/// So many starts that fail in a row, for reasons of the host, mean that none works here.
const ENOUGH: u32 = 3;

/// The wait before a probe, doubled with each that ran in vain: a host may have room for a probe, and for
/// nothing else.
const PROBE_BASE: Duration = Duration::from_secs(4);
const PROBE_CAP: Duration = Duration::from_secs(300);

/// The starts of late.
#[derive(Default)]
pub(crate) struct Health {
    row: Mutex<Row>,
    /// Told when no start works any more.
    pub(crate) broke: Notify,
}

/// What happened since the last start that worked.
#[derive(Default)]
struct Row {
    /// Starts that failed.
    failed: u32,
    /// Why the last one did, and when.
    last: Option<(String, Instant)>,
    /// Probes that ran.
    probes: u32,
}

impl Health {
    /// A container of an attempt started.
    pub(crate) fn started(&self) {
        *self.row() = Row::default();
    }

    /// An attempt ended before it started. What the container itself is to blame for doesn't count.
    pub(crate) fn ended_before_its_start(&self, outcome: &Outcome) {
        let Outcome::Disrupted { reason, message, .. } = outcome else { return };
        if reason != START_FAILED {
            return;
        }
        let mut row = self.row();
        row.failed = row.failed.saturating_add(1);
        row.last = Some((message.clone(), Instant::now()));
        if row.failed == ENOUGH {
            self.broke.notify_one();
        }
    }

    /// A probe ran: starts may be tried again, but one more that fails is enough now.
    pub(crate) fn probed(&self) {
        let mut row = self.row();
        row.failed = ENOUGH - 1;
        row.probes = row.probes.saturating_add(1);
    }

    /// Why no start works here; `None` if they do, or it isn't known.
    pub(crate) fn broken(&self) -> Option<String> {
        let row = self.row();
        let (why, _) = row.last.as_ref().filter(|_| row.failed >= ENOUGH)?;
        Some(why.clone())
    }

    /// Whether it is time to try a start.
    pub(crate) fn probe_is_due(&self, now: Instant) -> bool {
        let row = self.row();
        let wait = PROBE_BASE.saturating_mul(1 << row.probes.min(16)).min(PROBE_CAP);
        row.last.as_ref().is_none_or(|(_, at)| now >= *at + wait)
    }

    fn row(&self) -> MutexGuard<'_, Row> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reason of a disruption when the host is to blame for a start that failed.
pub(crate) const START_FAILED: &str = "StartFailed";

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(reason: &str) -> Outcome {
        Outcome::Disrupted { reason: reason.into(), message: "disk full".into(), host_lost: false }
    }

    #[test]
    fn three_failed_starts_in_a_row_are_enough() {
        let health = Health::default();
        for _ in 0..2 {
            health.ended_before_its_start(&lost(START_FAILED));
            health.ended_before_its_start(&lost("LeaseExpired"));
        }
        assert_eq!(health.broken(), None);
        health.started();
        for _ in 0..3 {
            assert_eq!(health.broken(), None);
            health.ended_before_its_start(&lost(START_FAILED));
        }
        assert_eq!(health.broken().as_deref(), Some("disk full"));
        health.started();
        assert_eq!(health.broken(), None);
    }

    #[test]
    fn after_a_probe_one_more_is_enough_and_the_next_probe_comes_later() {
        let health = Health::default();
        for probes in 0..4 {
            while health.broken().is_none() {
                health.ended_before_its_start(&lost(START_FAILED));
            }
            let wait = PROBE_BASE * (1 << probes);
            let now = Instant::now();
            assert!(!health.probe_is_due(now + wait - Duration::from_secs(1)));
            assert!(health.probe_is_due(now + wait));
            health.probed();
            assert_eq!(health.broken(), None);
            health.ended_before_its_start(&lost(START_FAILED));
            assert!(health.broken().is_some());
        }
    }
}
