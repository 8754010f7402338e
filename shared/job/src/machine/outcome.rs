//! What becomes of an attempt, and what its end counts as.

use super::failure_policy::{Ended, Verdict};
use super::replacement::outcome_of_deletion;
use super::{Job, Step};
use crate::{ConditionType, Container, Index, Live, Millis, Outcome, Phase, RestartDue, Severity};

/// The back-off of disruptions in a row: the first is free, then 1 s, doubling up to a minute.
const DISRUPTION_BASE: Millis = 1_000;
const DISRUPTION_CAP: Millis = 60_000;

impl Job {
    /// A ticket that no worker survives ends the Job, as it would go round for ever. An attempt that was
    /// claimed, stopped or replaced meanwhile is not concerned: a worker that is lost gives back all the
    /// tickets that it has.
    pub(super) fn ticket_set_aside(
        &mut self,
        index: Index,
        attempt: u32,
        readers: u32,
        step: &Step,
    ) {
        let live = self.current(index, attempt);
        let offered = live.is_some_and(|live| live.phase == Phase::Offered && live.stop.is_none());
        if offered && !self.must_stop() {
            let message = format!(
                "No worker survived reading the ticket of index {index}: {readers} were lost with it, \
                 one after the other"
            );
            self.disrupted_too_often(&message, step);
        }
    }

    pub(super) fn claimed(
        &mut self,
        index: Index,
        attempt: u32,
        worker: String,
        token: String,
        now: Millis,
    ) {
        if self.current(index, attempt).is_some_and(|live| live.phase == Phase::Offered) {
            self.roster.update(index, |live| {
                live.phase = Phase::Claimed;
                live.attempt.claimed = Some(now);
                live.attempt.worker = Some(worker);
                live.attempt.token = Some(token);
            });
        }
    }

    pub(super) fn started(&mut self, index: Index, attempt: u32, now: Millis) {
        if self.current(index, attempt).is_some_and(|live| live.phase == Phase::Claimed) {
            self.roster.update(index, |live| {
                live.attempt.started.get_or_insert(now);
            });
        }
    }

    /// restartPolicy OnFailure: each failure of a container counts once, and its restart waits the
    /// back-off of all the index's failures, those of attempts before a disruption included.
    pub(super) fn container_failed(
        &mut self,
        index: Index,
        attempt: u32,
        restarts: u32,
        outcome: Outcome,
        step: &mut Step,
    ) {
        let Some(live) = self.current(index, attempt) else { return };
        if restarts <= live.counted {
            return;
        }
        let new = restarts - live.counted;
        let due = step.now + self.spec.backoff.delay(live.failures.saturating_add(restarts));
        let stopping = live.stop.is_some();
        self.roster.update(index, |live| {
            live.attempt.restarts = restarts;
            live.attempt.outcome = Some(outcome);
            live.counted = restarts;
            live.due = Some(due);
        });
        step.delta.restarts.insert(index, RestartDue { attempt, counted: restarts, due });
        if !self.header.is(ConditionType::FailureTarget) {
            self.header.counted_failures = self.header.counted_failures.saturating_add(new);
        }
        if !stopping {
            let message = "Back-off restarting failed container";
            step.report(Severity::Warning, "BackOff", message, Some((index, attempt)));
        }
    }

    /// The end of an attempt. The outcome alone says what it counts as, whether or not the owner had told
    /// it to stop: one that exited by itself just before has done its work or failed at it, as in
    /// Kubernetes a Pod counts that ended before its deletion. A container that was ended by the owner's
    /// stop is `Stopped`, whatever its exit code, and its index runs again at no cost.
    pub(super) fn finished(
        &mut self,
        index: Index,
        attempt: u32,
        outcome: Outcome,
        containers: &[Container],
        step: &mut Step,
    ) {
        if self.current(index, attempt).is_none() {
            return;
        }
        let Some(mut live) = self.roster.remove(index) else { return };
        step.touched.insert(index);
        if self.header.is(ConditionType::FailureTarget) {
            // Kubernetes counts each Pod as failed that was active when the Job failed.
            self.header.failed = self.header.failed.saturating_add(1);
            return;
        }
        let outcome = outcome_of_deletion(&live.attempt, outcome);
        let host_lost = matches!(outcome, Outcome::Disrupted { host_lost: true, .. });
        live.losses = live.losses.saturating_add(u32::from(host_lost));
        let ended = Ended { index, live: &live, outcome: &outcome, containers };
        match &outcome {
            Outcome::Exited { code: 0, .. } => self.success(index, step),
            Outcome::Stopped { .. } if live.attempt.deleted.is_none() => {
                self.retry(index, next(&live));
            }
            Outcome::Disrupted { .. } => self.disruption(&ended, step),
            _ => {
                let verdict = self.verdict(&ended);
                self.failure(&ended, verdict.unwrap_or(Verdict::Count), step);
            }
        }
    }

    /// Keeps the record of an index that is to be tried again, unless the Job has no such index any more.
    pub(super) fn retry(&mut self, index: Index, next: Live) {
        if index < self.range() {
            self.roster.put(index, next);
        }
    }

    fn success(&mut self, index: Index, step: &mut Step) {
        if index < self.range() && self.completed.insert(index) {
            self.tally_success(index);
            step.delta.completed.push(index);
        }
    }

    /// A failure counts against the limits unless a policy ignores it, and its index waits its back-off.
    fn failure(&mut self, ended: &Ended<'_>, verdict: Verdict, step: &mut Step) {
        let mut next = next(ended.live);
        next.failures = next.failures.saturating_add(1);
        next.disruptions = 0;
        next.due = Some(step.now + self.delay(&next));
        if verdict == Verdict::Ignore {
            self.count_ignored(&mut next);
            self.retry(ended.index, next);
            return;
        }
        self.header.failed = self.header.failed.saturating_add(1);
        self.header.counted_failures = self.header.counted_failures.saturating_add(1);
        if let Verdict::FailJob(message) = &verdict {
            self.failed_by_policy(message, step);
        }
        self.retry_or_fail(ended.index, verdict == Verdict::FailIndex, next, step);
    }

    /// A disruption counts against no limit, unless a policy wants it to. Only what looks like an attempt
    /// that takes its worker or host down time and again ends the Job.
    fn disruption(&mut self, ended: &Ended<'_>, step: &mut Step) {
        self.header.disruptions = self.header.disruptions.saturating_add(1);
        let live = ended.live;
        if let Outcome::Disrupted { reason, message, .. } = ended.outcome {
            let separator = if message.is_empty() { "" } else { ": " };
            let text = format!("{reason}{separator}{message}");
            let about = Some((ended.index, live.attempt.number));
            step.report(Severity::Warning, "Disrupted", text, about);
        }
        match self.verdict(ended) {
            verdict @ (None | Some(Verdict::Ignore)) => {
                let mut next = next(live);
                next.disruptions = next.disruptions.saturating_add(1);
                next.due = (next.disruptions > 1).then(|| step.now + self.delay(&next));
                if verdict.is_some() {
                    self.count_ignored(&mut next);
                }
                self.retry(ended.index, next);
            }
            Some(verdict) => self.failure(ended, verdict, step),
        }
        if live.losses > self.spec.max_disruptions && !self.header.deleting {
            let allowed = self.spec.max_disruptions;
            let index = ended.index;
            let message = format!(
                "Index {index} lost its worker, host or container engine more than {allowed} times"
            );
            self.disrupted_too_often(&message, step);
        }
    }

    /// Shortens what would wait for longer than any back-off is: Redis' clock has stepped back since that
    /// wait was set. It waits its back-off from now on.
    pub(super) fn shorten_waits(&mut self, step: &mut Step) {
        let longest = self.spec.backoff.cap.max(DISRUPTION_CAP);
        for index in self.roster.timed_after(step.now.saturating_add(longest)) {
            let Some(delay) = self.roster.get(index).map(|live| self.delay(live)) else { continue };
            self.roster.update(index, |live| live.due = Some(step.now + delay));
            step.touched.insert(index);
        }
    }

    /// The back-off of an index: of its failures, or of its disruptions in a row, of which the first has
    /// none.
    fn delay(&self, live: &Live) -> Millis {
        match live.disruptions {
            _ if live.counted > 0 => {
                self.spec.backoff.delay(live.failures.saturating_add(live.counted))
            }
            0 => self.spec.backoff.delay(live.failures),
            1 => 0,
            n => (DISRUPTION_BASE << (n - 2).min(16)).min(DISRUPTION_CAP),
        }
    }

    /// The record that an event is about, unless the event is about another attempt or a repeat.
    pub(super) fn current(&self, index: Index, attempt: u32) -> Option<&Live> {
        let live = self.roster.get(index)?;
        (live.attempt.number == attempt && live.phase != Phase::Waiting).then_some(live)
    }
}

/// The record of an index after an attempt, to be tried again at once. In-place failures of the
/// attempt stay with the index, and ended its row of disruptions.
fn next(live: &Live) -> Live {
    let mut next = Live {
        failures: live.failures.saturating_add(live.counted),
        disruptions: if live.counted > 0 { 0 } else { live.disruptions },
        losses: live.losses,
        ..Live::waiting(live.attempt.number.saturating_add(1), None)
    };
    next.attempt.index_failures = live.attempt.index_failures;
    next.attempt.index_ignored = live.attempt.index_ignored;
    next
}
