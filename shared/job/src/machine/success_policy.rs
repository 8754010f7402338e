//! successPolicy: which successes are enough.

use super::Job;
use crate::Index;

/// How far one rule has come: kept success by success, so that none costs a walk over the indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    wanted: u32,
    succeeded: u32,
}

impl Job {
    /// Counts anew, from the completed indexes. Of a rule's indexes only those count that the Job has.
    pub(super) fn tally_all(&mut self) {
        let range = self.range();
        let rules = self.spec.success_policy.iter();
        let tallies = rules.map(|rule| {
            let (all, succeeded) = match &rule.indexes {
                Some(indexes) => {
                    (indexes.count_below(range), indexes.count_common(&self.completed))
                }
                None => (range, self.completed.len()),
            };
            Tally { wanted: rule.count.unwrap_or(all), succeeded }
        });
        self.tallies = tallies.collect();
    }

    /// An index has succeeded.
    pub(super) fn tally_success(&mut self, index: Index) {
        for (rule, tally) in self.spec.success_policy.iter().zip(&mut self.tallies) {
            let meant = rule.indexes.as_ref().is_none_or(|indexes| indexes.contains(index));
            tally.succeeded += u32::from(meant);
        }
    }

    /// The number of the first rule that is met. As in Kubernetes, none is before the first success.
    pub(super) fn met_success_rule(&self) -> Option<usize> {
        let met = |tally: &Tally| tally.succeeded >= tally.wanted;
        self.tallies.iter().position(met).filter(|_| self.succeeded() > 0)
    }
}
