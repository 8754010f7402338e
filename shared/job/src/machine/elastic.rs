//! Completions that change: indexes that the Job loses, and may get back.

use super::{Job, Step};

impl Job {
    /// After a change of the specification or of the owner: forgets the indexes that the Job has no more.
    /// Those that still run are stopped like any surplus, and forgotten when they end. An index that
    /// returns is run again, whatever became of it before.
    pub(super) fn fit_range(&mut self, step: &mut Step) {
        if self.is_finished() {
            return;
        }
        let range = self.range();
        let mut latest = self.roster.latest_attempt(range);
        step.touched.extend(self.roster.clear_waiting(range));
        let completed = self.completed.truncate(range);
        let failed = self.failed.truncate(range);
        if completed || failed {
            step.delta.forgotten = Some(range);
            latest = Some(self.header.latest_attempt);
        }
        if let Some(latest) = latest {
            self.header.first_attempt = self.header.first_attempt.max(latest.saturating_add(1));
        }
        self.untried = self.untried.min(range);
        self.tally_all();
    }
}
