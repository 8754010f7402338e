//! podFailurePolicy: which rule an attempt matches that ended without success.

use super::Job;
use crate::{
    ConditionPattern, Container, FailureAction, FailurePattern, Index, Live, Outcome, pod_name,
};

/// An attempt that ended without success.
pub(super) struct Ended<'a> {
    pub(super) index: Index,
    pub(super) live: &'a Live,
    pub(super) outcome: &'a Outcome,
    /// Empty where the Pod has one container only.
    pub(super) containers: &'a [Container],
}

/// What the first rule that matches wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// With the message of the Job's condition.
    FailJob(String),
    FailIndex,
    Ignore,
    Count,
}

impl Job {
    /// What the policy says; `None` if no rule matches.
    pub(super) fn verdict(&self, ended: &Ended<'_>) -> Option<Verdict> {
        let rules = self.spec.failure_policy.iter().enumerate();
        let (rule, action, subject) = rules
            .filter_map(|(n, rule)| Some((n, rule.action, self.subject(&rule.on, ended)?)))
            .next()?;
        Some(match action {
            FailureAction::FailJob => {
                let message = self.fail_job_message(rule, &subject, ended);
                Verdict::FailJob(message)
            }
            FailureAction::FailIndex => Verdict::FailIndex,
            FailureAction::Ignore => Verdict::Ignore,
            FailureAction::Count => Verdict::Count,
        })
    }

    /// What of an ended attempt a pattern matches, if anything.
    fn subject<'a>(&'a self, on: &'a FailurePattern, ended: &'a Ended<'_>) -> Option<Subject<'a>> {
        match on {
            FailurePattern::ExitCodes { container, within, values } => self
                .exits(ended)
                .into_iter()
                .filter(|(name, _)| container.as_ref().is_none_or(|wanted| wanted == name))
                .find(|(_, code)| *code != 0 && values.contains(code) == *within)
                .map(|(container, code)| Subject::Exit { container, code }),
            FailurePattern::Conditions(patterns) => {
                patterns.iter().find(|pattern| ended.has(pattern)).map(Subject::Condition)
            }
        }
    }

    /// The exit codes of the containers that ended. A disruption has none: how containers ended that were
    /// taken down with their host tells nothing of them.
    fn exits<'a>(&'a self, ended: &'a Ended<'_>) -> Vec<(&'a str, i32)> {
        if ended.is_disruption() {
            Vec::new()
        } else if ended.containers.is_empty() {
            let name = self.spec.containers.last().map_or("", String::as_str);
            ended.outcome.exit_code().map(|code| (name, code)).into_iter().collect()
        } else {
            let exits = ended.containers.iter().filter_map(|container| {
                let over = !container.running && container.waiting.is_none();
                let code = container.outcome.as_ref().filter(|_| over)?.exit_code()?;
                Some((container.name.as_str(), code))
            });
            exits.collect()
        }
    }

    /// Kubernetes' own words.
    fn fail_job_message(&self, rule: usize, subject: &Subject<'_>, ended: &Ended<'_>) -> String {
        let job = &self.spec.identity;
        let attempt = ended.live.attempt.number;
        let pod = pod_name(&job.name, &job.uid, self.spec.mode, ended.index, attempt);
        let namespace = &job.namespace;
        match subject {
            Subject::Exit { container, code } => format!(
                "Container {container} for pod {namespace}/{pod} failed with exit code {code} \
                 matching FailJob rule at index {rule}"
            ),
            Subject::Condition(pattern) => format!(
                "Pod {namespace}/{pod} has condition {} matching FailJob rule at index {rule}",
                pattern.kind
            ),
        }
    }
}

impl Ended<'_> {
    fn is_disruption(&self) -> bool {
        matches!(self.outcome, Outcome::Disrupted { .. })
    }

    /// Whether the attempt's Pod has a condition, of those that Kubernetes gives to a failed one.
    fn has(&self, pattern: &ConditionPattern) -> bool {
        let status = match pattern.kind.as_str() {
            "DisruptionTarget" if self.is_disruption() || self.live.attempt.evicted => "True",
            "Initialized" | "PodScheduled" => "True",
            "Ready" | "ContainersReady" => "False",
            _ => return false,
        };
        pattern.status == status
    }
}

/// What a rule matched.
enum Subject<'a> {
    Exit { container: &'a str, code: i32 },
    Condition(&'a ConditionPattern),
}
