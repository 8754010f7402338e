//! Which attempts run: parallelism, completions, and the next index.

use super::{Job, Step};
use crate::{Action, ConditionType, Index, Live, Phase, Severity};

/// How many attempts one event offers at most, as Kubernetes' `MaxPodCreateDeletePerSync`: the rest
/// follows at once, but in a commit of its own.
const MAX_OFFERS: u32 = 500;

impl Job {
    /// Indexes from here on are not to be run.
    ///
    /// A work queue (NonIndexed without completions) has no such bound. Its indexes are slots: as no
    /// attempt is started after the first success, each slot succeeds at most once, and the set of
    /// slots that did is `completed` as in every other Job.
    pub(super) fn range(&self) -> Index {
        self.spec.completions.unwrap_or(Index::MAX)
    }

    /// Offers attempts for as long as there is room, the lowest index first.
    pub(super) fn dispatch(&mut self, step: &mut Step) {
        if !self.may_start() {
            return;
        }
        let room = self.room();
        for _ in 0..room.min(MAX_OFFERS) {
            let Some(index) = self.next_index() else { return };
            self.offer(index, step);
        }
        self.backlog = room > MAX_OFFERS && self.next_index().is_some();
    }

    /// Stops what has no place any more: indexes that the Job no longer has, and what is more than
    /// `parallelism` (nothing may run while suspended). Those that no worker has claimed go before
    /// those that run, the highest index first.
    pub(super) fn stop_surplus(&mut self, step: &mut Step) {
        let range = self.range();
        let offered = self.roster.offered().range(range..);
        let dropped: Vec<Index> =
            offered.chain(self.roster.running().range(range..)).copied().collect();
        for index in dropped {
            self.stop(index, step);
        }
        let wanted = if self.spec.suspend { 0 } else { self.spec.parallelism };
        while self.roster.active() > wanted {
            let offered = self.roster.offered().last();
            let Some(index) = offered.or(self.roster.running().last()).copied() else { return };
            self.stop(index, step);
        }
    }

    pub(super) fn stop_all(&mut self, step: &mut Step) {
        let active = self.roster.offered().iter().chain(self.roster.running());
        for index in active.copied().collect::<Vec<_>>() {
            self.stop(index, step);
        }
    }

    /// Lets containers be restarted in place whose back-off is over.
    pub(super) fn grant_restarts(&mut self, step: &mut Step) {
        for index in self.roster.release(step.now) {
            self.roster.update(index, |live| live.granted = live.counted);
            if let Some(live) = self.roster.get(index) {
                let (attempt, restarts) = (live.attempt.number, live.granted);
                step.act(Action::Restart { index, attempt, restarts });
            }
        }
    }

    /// After a change of owner: what may have been asked for already, but perhaps was not done.
    pub(super) fn repeat_actions(&mut self, step: &mut Step) {
        self.purging = false;
        self.stop_deleted();
        for (index, live) in self.roster.iter() {
            let attempt = live.attempt.number;
            match (live.phase, live.stop) {
                (Phase::Waiting, _) => {}
                (_, Some(grace_seconds)) => {
                    step.act(Action::Stop { index, attempt, grace_seconds });
                }
                (Phase::Offered, None) => step.act(Action::Offer { index, attempt }),
                (Phase::Claimed | Phase::Finished, None) => {}
            }
        }
    }

    /// Whether everything that runs has to end, and nothing may start.
    pub(super) fn must_stop(&self) -> bool {
        self.header.deleting
            || self.spec.managed_elsewhere
            || self.spec.suspend
            || self.header.is(ConditionType::FailureTarget)
            || self.header.is(ConditionType::SuccessCriteriaMet)
    }

    /// Whether new attempts are wanted. A work queue wants none after its first success.
    fn may_start(&self) -> bool {
        !self.must_stop() && (self.spec.completions.is_some() || self.succeeded() == 0)
    }

    /// How many attempts may be started. What was told to stop takes its place until it has ended, so
    /// that there are never more than `parallelism` (Kubernetes' `podReplacementPolicy: Failed`).
    fn room(&self) -> u32 {
        let mut taken = self.roster.active() + self.roster.terminating();
        if self.spec.completions.is_none() {
            // A slot that backs off keeps its place, or else a fresh one would take it at once.
            taken += self.roster.backing_off();
        }
        self.spec.parallelism.saturating_sub(taken)
    }

    fn next_index(&mut self) -> Option<Index> {
        if let Some(index) = self.roster.waiting().first() {
            return Some(*index);
        }
        let range = self.range();
        while self.untried < range && self.was_tried(self.untried) {
            self.untried += 1;
        }
        (self.untried < range).then_some(self.untried)
    }

    fn was_tried(&self, index: Index) -> bool {
        self.completed.contains(index)
            || self.failed.contains(index)
            || self.roster.get(index).is_some()
    }

    fn offer(&mut self, index: Index, step: &mut Step) {
        let first = self.header.first_attempt.max(1);
        let mut live = self.roster.remove(index).unwrap_or_else(|| Live::waiting(first, None));
        let attempt = live.attempt.number;
        live.attempt.created = step.now;
        live.phase = Phase::Offered;
        live.due = None;
        self.roster.put(index, live);
        self.header.latest_attempt = self.header.latest_attempt.max(attempt);
        step.touched.insert(index);
        step.act(Action::Offer { index, attempt });
        let about = Some((index, attempt));
        step.report(Severity::Normal, "SuccessfulCreate", "Created pod: {pod}", about);
    }

    /// Has an attempt end. Its record is marked in memory only: in the store the same is done by the
    /// script that carries the action out, since a worker may be claiming or finishing it just now.
    fn stop(&mut self, index: Index, step: &mut Step) {
        let grace_seconds = self.spec.grace_seconds;
        self.roster.update(index, |live| live.stop = Some(grace_seconds));
        let Some(attempt) = self.roster.get(index).map(|live| live.attempt.number) else { return };
        step.act(Action::Stop { index, attempt, grace_seconds });
        let about = Some((index, attempt));
        step.report(Severity::Normal, "SuccessfulDelete", "Deleted pod: {pod}", about);
    }
}
