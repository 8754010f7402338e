//! What becomes of an attempt, and what its end counts as.

use super::{Job, Step};
use crate::{ConditionType, Index, Live, Millis, Outcome, Phase, RestartDue, Severity};

/// The back-off of disruptions in a row: the first is free, then 1 s, doubling up to a minute.
const DISRUPTION_BASE: Millis = 1_000;
const DISRUPTION_CAP: Millis = 60_000;

impl Job {
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

    /// The end of an attempt. The outcome alone says what it counts as, whether or not the attempt had
    /// been told to stop: one that exited by itself just before has done its work or failed at it, as
    /// in Kubernetes a Pod counts that ended before its deletion. A container that was ended by the
    /// stop is `Stopped`, whatever its exit code, and its index runs again at no cost.
    pub(super) fn finished(
        &mut self,
        index: Index,
        attempt: u32,
        outcome: Outcome,
        step: &mut Step,
    ) {
        if self.current(index, attempt).is_none() {
            return;
        }
        let Some(live) = self.roster.remove(index) else { return };
        step.touched.insert(index);
        if self.header.is(ConditionType::FailureTarget) {
            // Kubernetes counts each Pod as failed that was active when the Job failed.
            self.header.failed = self.header.failed.saturating_add(1);
            return;
        }
        match outcome {
            Outcome::Exited { code: 0, .. } => self.success(index, step),
            Outcome::Exited { .. } | Outcome::StartError { .. } => self.failure(index, &live, step),
            Outcome::Disrupted { reason, message, host_lost } => {
                let about = Some((index, attempt));
                let text = if message.is_empty() { reason } else { format!("{reason}: {message}") };
                step.report(Severity::Warning, "Disrupted", text, about);
                self.disruption(index, &live, host_lost, step);
            }
            Outcome::Stopped { .. } => self.roster.put(index, next(&live)),
        }
    }

    fn success(&mut self, index: Index, step: &mut Step) {
        if self.completed.insert(index) {
            self.beyond += u32::from(index >= self.range());
            step.delta.completed.push(index);
        }
    }

    /// A failure counts against backoffLimit, and the index waits its own back-off.
    fn failure(&mut self, index: Index, live: &Live, step: &mut Step) {
        self.header.failed = self.header.failed.saturating_add(1);
        self.header.counted_failures = self.header.counted_failures.saturating_add(1);
        let mut next = next(live);
        next.failures = next.failures.saturating_add(1);
        next.disruptions = 0;
        next.due = Some(step.now + self.spec.backoff.delay(next.failures));
        self.roster.put(index, next);
    }

    /// A disruption counts against no limit. Only what looks like a container that takes its host down
    /// time and again ends the Job.
    fn disruption(&mut self, index: Index, live: &Live, host_lost: bool, step: &mut Step) {
        self.header.disruptions = self.header.disruptions.saturating_add(1);
        let mut next = next(live);
        next.disruptions = next.disruptions.saturating_add(1);
        next.losses = next.losses.saturating_add(u32::from(host_lost));
        next.due = match next.disruptions {
            1 => None,
            n => Some(step.now + (DISRUPTION_BASE << (n - 2).min(16)).min(DISRUPTION_CAP)),
        };
        let too_often = next.losses > self.spec.max_disruptions;
        self.roster.put(index, next);
        if too_often && !self.header.deleting {
            self.disrupted_too_often(index, step);
        }
    }

    /// The record that an event is about, unless the event is about another attempt or a repeat.
    fn current(&self, index: Index, attempt: u32) -> Option<&Live> {
        let live = self.roster.get(index)?;
        (live.attempt.number == attempt && live.phase != Phase::Waiting).then_some(live)
    }
}

/// The record of an index after an attempt, to be tried again at once. In-place failures of the
/// attempt stay with the index, and ended its row of disruptions.
fn next(live: &Live) -> Live {
    Live {
        failures: live.failures.saturating_add(live.counted),
        disruptions: if live.counted > 0 { 0 } else { live.disruptions },
        losses: live.losses,
        ..Live::waiting(live.attempt.number.saturating_add(1), None)
    }
}
