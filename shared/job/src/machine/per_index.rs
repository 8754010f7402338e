//! backoffLimitPerIndex and maxFailedIndexes: indexes that fail for good.

use super::{Job, Step};
use crate::{Index, Live};

impl Job {
    /// After a failure that counts: the index is tried again, or has failed for good because its limit is
    /// exceeded or a rule says so (FailIndex).
    pub(super) fn retry_or_fail(
        &mut self,
        index: Index,
        fails: bool,
        mut next: Live,
        step: &mut Step,
    ) {
        let Some(limit) = self.spec.backoff_limit_per_index else {
            self.retry(index, next);
            return;
        };
        next.attempt.index_failures = next.attempt.index_failures.saturating_add(1);
        if !fails && next.attempt.index_failures <= limit {
            self.retry(index, next);
        } else if index < self.range() && self.failed.insert(index) {
            step.delta.failed.push(index);
        }
    }

    /// After a failure that a policy ignores. The count is only kept for the Pod's annotation.
    pub(super) fn count_ignored(&self, next: &mut Live) {
        if self.spec.backoff_limit_per_index.is_some() {
            next.attempt.index_ignored = next.attempt.index_ignored.saturating_add(1);
        }
    }

    pub(super) fn past_max_failed_indexes(&self) -> bool {
        self.spec.max_failed_indexes.is_some_and(|max| self.failed.len() > max)
    }

    /// Whether each index has succeeded or failed for good, and not all have succeeded.
    pub(super) fn ended_with_failed_indexes(&self) -> bool {
        let ended = self.succeeded().saturating_add(self.failed.len());
        !self.failed.is_empty() && self.spec.completions.is_some_and(|all| ended >= all)
    }
}
