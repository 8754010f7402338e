//! How a Job ends: limits, conditions, and their order.
//!
//! A Job that fails gets FailureTarget first, one that succeeds SuccessCriteriaMet; what still runs is
//! stopped; and only when nothing is left the terminal condition follows.

use super::{Job, Step};
use crate::{Condition, ConditionType, Millis, RestartPolicy, Severity};

const BACKOFF_LIMIT_EXCEEDED: &str = "BackoffLimitExceeded";
const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
const DISRUPTED_TOO_OFTEN: &str = "DisruptedTooOften";
const POD_FAILURE_POLICY: &str = "PodFailurePolicy";
const MAX_FAILED_INDEXES_EXCEEDED: &str = "MaxFailedIndexesExceeded";
const FAILED_INDEXES: &str = "FailedIndexes";
const SUCCESS_POLICY: &str = "SuccessPolicy";
const COMPLETIONS_REACHED: &str = "CompletionsReached";

impl Job {
    /// Decides whether the Job has failed or succeeded, in the order of Kubernetes: failure is looked at
    /// first. A rule that fails the Job (FailJob) has decided already when its attempt ended.
    pub(super) fn judge(&mut self, step: &mut Step) {
        if self.is_decided() {
            return;
        }
        if self.past_backoff_limit() {
            let message = "Job has reached the specified backoff limit";
            self.fail(BACKOFF_LIMIT_EXCEEDED, message, step.now);
        } else if self.deadline().is_some_and(|deadline| deadline <= step.now) {
            let message = "Job was active longer than specified deadline";
            self.fail(DEADLINE_EXCEEDED, message, step.now);
        } else if self.past_max_failed_indexes() {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            self.fail(MAX_FAILED_INDEXES_EXCEEDED, message, step.now);
        } else if self.ended_with_failed_indexes() {
            self.fail(FAILED_INDEXES, "Job has failed indexes", step.now);
        } else if let Some(rule) = self.met_success_rule() {
            let message = format!("Matched rules at index {rule}");
            self.succeed(SUCCESS_POLICY, &message, step.now);
        } else if self.reached_completions() {
            let message = "Reached expected number of succeeded pods";
            self.succeed(COMPLETIONS_REACHED, message, step.now);
        }
    }

    /// A rule of the podFailurePolicy fails the Job.
    pub(super) fn failed_by_policy(&mut self, message: &str, step: &Step) {
        if !self.is_decided() && !self.header.deleting {
            self.fail(POD_FAILURE_POLICY, message, step.now);
        }
    }

    /// Longshore's own reason to fail: an index lost its worker, host or daemon too often.
    pub(super) fn disrupted_too_often(&mut self, message: &str, step: &Step) {
        if !self.is_decided() {
            self.fail(DISRUPTED_TOO_OFTEN, message, step.now);
        }
    }

    /// Sets the terminal condition once no attempt is left.
    pub(super) fn conclude(&mut self, step: &mut Step) {
        if !self.is_decided() || self.roster.active() + self.roster.terminating() > 0 {
            return;
        }
        self.header.start_time.get_or_insert(step.now);
        if let Some(target) = self.header.condition(ConditionType::FailureTarget).cloned() {
            let kind = ConditionType::Failed;
            self.set_condition(kind, true, &target.reason, &target.message, step.now);
            step.report(Severity::Warning, known(&target.reason), target.message, None);
        } else if let Some(met) = self.header.condition(ConditionType::SuccessCriteriaMet).cloned()
        {
            let kind = ConditionType::Complete;
            self.set_condition(kind, true, &met.reason, &met.message, step.now);
            self.header.completion_time = Some(step.now);
            step.report(Severity::Normal, "Completed", "Job completed", None);
        }
        step.touched.extend(self.roster.clear_waiting(0));
    }

    /// Whether the Job's end is certain, though perhaps not reached.
    pub(super) fn is_decided(&self) -> bool {
        self.header.is(ConditionType::FailureTarget)
            || self.header.is(ConditionType::SuccessCriteriaMet)
    }

    /// Sets a condition, keeping the time of its last change if the status stays.
    pub(super) fn set_condition(
        &mut self,
        kind: ConditionType,
        status: bool,
        reason: &str,
        message: &str,
        now: Millis,
    ) {
        let condition = Condition {
            kind,
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
            since: now,
        };
        match self.header.conditions.iter_mut().find(|condition| condition.kind == kind) {
            Some(old) if old.status == status => {}
            Some(old) => *old = condition,
            None => self.header.conditions.push(condition),
        }
    }

    fn fail(&mut self, reason: &str, message: &str, now: Millis) {
        self.set_condition(ConditionType::FailureTarget, true, reason, message, now);
    }

    fn succeed(&mut self, reason: &str, message: &str, now: Millis) {
        self.set_condition(ConditionType::SuccessCriteriaMet, true, reason, message, now);
    }

    /// Never: the Job fails when more attempts failed than backoffLimit. OnFailure: when as many
    /// containers failed as backoffLimit, or one if that is 0.
    fn past_backoff_limit(&self) -> bool {
        let (failures, limit) = (self.header.counted_failures, self.spec.backoff_limit);
        match self.spec.restart_policy {
            RestartPolicy::Never => failures > limit,
            RestartPolicy::OnFailure => failures >= limit.max(1),
        }
    }

    fn reached_completions(&self) -> bool {
        let enough = match self.spec.completions {
            Some(completions) => self.succeeded() >= completions,
            None => self.succeeded() > 0,
        };
        enough && self.roster.active() == 0
    }
}

/// The reason of a stored condition as one that can be reported.
fn known(reason: &str) -> &'static str {
    let reasons = [
        BACKOFF_LIMIT_EXCEEDED,
        DEADLINE_EXCEEDED,
        POD_FAILURE_POLICY,
        MAX_FAILED_INDEXES_EXCEEDED,
        FAILED_INDEXES,
        DISRUPTED_TOO_OFTEN,
    ];
    reasons.into_iter().find(|known| *known == reason).unwrap_or("Failed")
}
