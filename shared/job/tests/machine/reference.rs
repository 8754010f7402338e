//! A second, naive statement of the limits and policies: it keeps every ended attempt and counts all of
//! them anew whenever it is asked. Slow, and simple enough to be held against Kubernetes' documentation
//! line by line.

use std::collections::BTreeSet;

use longshore_job::{
    Attempt, FailureAction, FailurePattern, Index, IndexSet, Outcome, RestartPolicy, Spec,
};

/// What has happened to a Job's attempts so far.
#[derive(Default)]
pub(crate) struct Reference {
    ended: Vec<End>,
    /// In-place failures of containers (restartPolicy OnFailure).
    in_place: u32,
    /// Attempts that ended after the Job's failure was certain.
    killed: u32,
}

/// One ended attempt.
struct End {
    index: Index,
    what: What,
    /// What the policy made of it; `None` if no rule matched.
    action: Option<FailureAction>,
    /// Its index has left the Job since.
    gone: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Success,
    Failure {
        code: Option<i32>,
    },
    Disruption,
    /// Told to stop by the owner.
    Nothing,
}

impl Reference {
    /// An attempt ended; `failing` if the Job's failure was certain by then.
    pub(crate) fn end(
        &mut self,
        spec: &Spec,
        index: Index,
        attempt: &Attempt,
        outcome: &Outcome,
        failing: bool,
    ) {
        if failing {
            self.killed += 1;
            return;
        }
        let what = match outcome {
            Outcome::Stopped { .. } if attempt.evicted => What::Disruption,
            Outcome::Stopped { .. } if attempt.deleted.is_none() => What::Nothing,
            Outcome::Disrupted { .. } => What::Disruption,
            Outcome::Exited { code: 0, .. } | Outcome::Stopped { code: Some(0) } => What::Success,
            Outcome::Exited { code, .. } | Outcome::StartError { code, .. } => {
                What::Failure { code: Some(*code) }
            }
            Outcome::Stopped { code } | Outcome::PodFailed { code, .. } => {
                What::Failure { code: *code }
            }
        };
        let target = what == What::Disruption || attempt.evicted;
        let rule = spec.failure_policy.iter().find(|rule| matches(&rule.on, spec, what, target));
        let action = rule.map(|rule| rule.action);
        self.ended.push(End { index, what, action, gone: false });
        self.fit(spec.completions, |other| other != index);
    }

    /// A container failed that may be restarted in place.
    pub(crate) fn fail_in_place(&mut self) {
        self.in_place += 1;
    }

    /// The Job has only the indexes of this range from now on. Another one leaves it at once, or when the
    /// attempt ends that runs on it.
    pub(crate) fn fit(&mut self, completions: Option<u32>, runs: impl Fn(Index) -> bool) {
        for end in &mut self.ended {
            end.gone |= completions.is_some_and(|range| end.index >= range) && !runs(end.index);
        }
    }

    /// `status.failed`.
    pub(crate) fn failed_pods(&self) -> u32 {
        self.killed + count(self.ended.iter().filter(|end| end.counts()))
    }

    /// What is held against backoffLimit.
    pub(crate) fn counted(&self) -> u32 {
        self.in_place + count(self.ended.iter().filter(|end| end.counts()))
    }

    pub(crate) fn disruptions(&self) -> u32 {
        count(self.ended.iter().filter(|end| end.what == What::Disruption))
    }

    pub(crate) fn completed(&self) -> BTreeSet<Index> {
        let succeeded = self.ended.iter().filter(|end| !end.gone && end.what == What::Success);
        succeeded.map(|end| end.index).collect()
    }

    /// How often an index has failed: `job-index-failure-count` of its next attempt.
    pub(crate) fn failures_of(&self, index: Index) -> u32 {
        count(self.ended.iter().filter(|end| !end.gone && end.index == index && end.counts()))
    }

    /// `status.failedIndexes`.
    pub(crate) fn failed_indexes(&self, spec: &Spec) -> BTreeSet<Index> {
        let Some(limit) = spec.backoff_limit_per_index else { return BTreeSet::new() };
        let failed = self.ended.iter().filter(|end| {
            let at_once = end.action == Some(FailureAction::FailIndex);
            !end.gone && end.counts() && (at_once || self.failures_of(end.index) > limit)
        });
        failed.map(|end| end.index).collect()
    }

    /// Why the Job must end by now, but for what depends on time and on lost hosts.
    pub(crate) fn reason(&self, spec: &Spec, active: u32) -> Option<&'static str> {
        let counted = self.counted();
        let over = match spec.restart_policy {
            RestartPolicy::Never => counted > spec.backoff_limit,
            RestartPolicy::OnFailure => counted >= spec.backoff_limit.max(1),
        };
        let (completed, failed) = (self.completed(), self.failed_indexes(spec));
        let ended = count(completed.union(&failed));
        if self.ended.iter().any(|end| end.action == Some(FailureAction::FailJob)) {
            Some("PodFailurePolicy")
        } else if over {
            Some("BackoffLimitExceeded")
        } else if spec.max_failed_indexes.is_some_and(|max| count(&failed) > max) {
            Some("MaxFailedIndexesExceeded")
        } else if !failed.is_empty() && Some(ended) == spec.completions {
            Some("FailedIndexes")
        } else if !completed.is_empty() && meets_success_policy(spec, &completed) {
            Some("SuccessPolicy")
        } else {
            let enough = match spec.completions {
                Some(completions) => count(&completed) >= completions,
                None => !completed.is_empty(),
            };
            (enough && active == 0).then_some("CompletionsReached")
        }
    }
}

impl End {
    /// Whether it counts as a failure.
    fn counts(&self) -> bool {
        match self.what {
            What::Success | What::Nothing => false,
            What::Failure { .. } => self.action != Some(FailureAction::Ignore),
            What::Disruption => !matches!(self.action, None | Some(FailureAction::Ignore)),
        }
    }
}

fn matches(on: &FailurePattern, spec: &Spec, what: What, target: bool) -> bool {
    if matches!(what, What::Success | What::Nothing) {
        return false;
    }
    match on {
        FailurePattern::ExitCodes { container, within, values } => {
            let What::Failure { code: Some(code) } = what else { return false };
            let named = container.as_ref().is_none_or(|name| spec.containers.contains(name));
            named && code != 0 && values.contains(&code) == *within
        }
        FailurePattern::Conditions(patterns) => {
            patterns.iter().any(|pattern| match (pattern.kind.as_str(), pattern.status.as_str()) {
                ("DisruptionTarget", "True") => target,
                ("Ready", "False") => true,
                _ => false,
            })
        }
    }
}

fn meets_success_policy(spec: &Spec, completed: &BTreeSet<Index>) -> bool {
    let range = spec.completions.unwrap_or(0);
    spec.success_policy.iter().any(|rule| {
        let all: BTreeSet<Index> = match &rule.indexes {
            Some(indexes) => IndexSet::iter(indexes).filter(|index| *index < range).collect(),
            None => (0..range).collect(),
        };
        let wanted = rule.count.unwrap_or(count(&all));
        count(all.intersection(completed)) >= wanted
    })
}

fn count<T>(items: impl IntoIterator<Item = T>) -> u32 {
    u32::try_from(items.into_iter().count()).unwrap_or(u32::MAX)
}
