//! What time does to a Job: activeDeadlineSeconds, ttlSecondsAfterFinished, and the end of a deletion.

use super::{Job, Step};
use crate::{Action, ConditionType, Millis};

impl Job {
    /// When the Job fails with DeadlineExceeded, unless it has ended by then. The clock stands still
    /// while the Job is suspended, and starts anew with startTime at the resume.
    pub(super) fn deadline(&self) -> Option<Millis> {
        if self.spec.suspend || self.header.deleting || self.is_decided() {
            return None;
        }
        Some(self.header.start_time?.saturating_add(self.spec.active_deadline?))
    }

    /// When a finished Job is removed: its TTL after the terminal condition, or else the cluster's
    /// retention.
    pub(super) fn expiry(&self) -> Option<Millis> {
        if self.purging {
            return None;
        }
        let mut terminal = [ConditionType::Complete, ConditionType::Failed].into_iter();
        let finished = terminal.find_map(|kind| self.header.condition(kind))?.since;
        let ttl = self.spec.ttl_after_finished.or(self.spec.retention)?;
        Some(finished.saturating_add(ttl))
    }

    /// Asks for the Job's removal: when its TTL is over, or when it was deleted and none of its
    /// containers is left.
    pub(super) fn purge_if_over(&mut self, step: &mut Step) {
        let empty = self.roster.active() + self.roster.terminating() == 0;
        let expired = self.expiry().is_some_and(|expiry| expiry <= step.now);
        if !self.purging && empty && (self.header.deleting || expired) {
            self.purging = true;
            step.act(Action::Purge);
        }
    }
}
