//! A bench to put one Job on: applies events, and keeps what was asked for.

use longshore_job::{
    Action, Backoff, CompletionMode, ConditionPattern, ConditionType, Container, Delta, Event,
    FailureAction, FailurePattern, FailureRule, Identity, Index, Job, Millis, Outcome,
    RestartPolicy, Spec,
};

use crate::invariants::check_update;

pub(crate) const SECOND: Millis = 1_000;

pub(crate) struct Bench {
    pub(crate) job: Job,
    pub(crate) now: Millis,
    pub(crate) actions: Vec<Action>,
}

/// An Indexed Job with Kubernetes' defaults.
pub(crate) fn indexed(completions: u32, parallelism: u32) -> Spec {
    Spec {
        identity: Identity { namespace: "default".into(), name: "job".into(), uid: "uid".into() },
        mode: CompletionMode::Indexed,
        parallelism,
        completions: Some(completions),
        backoff_limit: 6,
        backoff_limit_per_index: None,
        max_failed_indexes: None,
        failure_policy: Vec::new(),
        success_policy: Vec::new(),
        containers: vec!["main".into()],
        managed_elsewhere: false,
        restart_policy: RestartPolicy::Never,
        suspend: false,
        active_deadline: None,
        ttl_after_finished: None,
        retention: None,
        backoff: Backoff::default(),
        max_disruptions: 10,
        grace_seconds: 30,
    }
}

pub(crate) fn work_queue(parallelism: u32) -> Spec {
    Spec { mode: CompletionMode::NonIndexed, completions: None, ..indexed(0, parallelism) }
}

pub(crate) fn exit(code: i32) -> Outcome {
    Outcome::Exited { code, reason: String::new(), message: String::new() }
}

pub(crate) fn lost(host_lost: bool) -> Outcome {
    Outcome::Disrupted { reason: "WorkerLost".into(), message: String::new(), host_lost }
}

pub(crate) const STOPPED: Outcome = Outcome::Stopped { code: None };

/// Ended by SIGTERM, as it was asked to.
pub(crate) const TERMINATED: Outcome = Outcome::Stopped { code: Some(143) };

/// A rule for containers that end with one of these codes.
pub(crate) fn on_exit(action: FailureAction, values: &[i32]) -> FailureRule {
    let on = FailurePattern::ExitCodes { container: None, within: true, values: values.into() };
    FailureRule { action, on }
}

/// A rule for Pods with this condition.
pub(crate) fn on_condition(action: FailureAction, kind: &str, status: &str) -> FailureRule {
    let pattern = ConditionPattern { kind: kind.into(), status: status.into() };
    FailureRule { action, on: FailurePattern::Conditions(vec![pattern]) }
}

pub(crate) fn on_disruption(action: FailureAction) -> FailureRule {
    on_condition(action, "DisruptionTarget", "True")
}

impl Bench {
    pub(crate) fn new(spec: Spec) -> Self {
        let mut bench = Self { job: Job::new(spec), now: 1_000_000, actions: Vec::new() };
        bench.apply(Event::Loaded);
        bench
    }

    pub(crate) fn apply(&mut self, event: Event) -> Delta {
        let before = (self.job.header().clone(), self.job.spec().clone());
        let delta = self.job.apply(event, self.now);
        check_update(&before.0, &before.1, &self.job);
        self.actions.extend(delta.actions.iter().cloned());
        delta
    }

    /// Time passes, with a tick at its end.
    pub(crate) fn pass(&mut self, time: Millis) -> Delta {
        self.now += time;
        self.apply(Event::Tick)
    }

    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Spec)) -> Delta {
        let mut spec = self.job.spec().clone();
        change(&mut spec);
        self.apply(Event::SpecChanged(Box::new(spec)))
    }

    pub(crate) fn attempt(&self, index: Index) -> u32 {
        self.job.live(index).map_or(0, |live| live.attempt.number)
    }

    pub(crate) fn claim(&mut self, index: Index) -> Delta {
        let attempt = self.attempt(index);
        self.apply(Event::Claimed { index, attempt, worker: "w".into(), token: "1".into() })
    }

    pub(crate) fn start(&mut self, index: Index) -> Delta {
        self.claim(index);
        let attempt = self.attempt(index);
        self.apply(Event::Started { index, attempt })
    }

    pub(crate) fn container_fails(&mut self, index: Index, restarts: u32) -> Delta {
        let attempt = self.attempt(index);
        self.apply(Event::ContainerFailed { index, attempt, restarts, outcome: exit(1) })
    }

    pub(crate) fn end(&mut self, index: Index, outcome: Outcome) -> Delta {
        self.end_all(index, outcome, Vec::new())
    }

    /// A Pod of several containers ends.
    pub(crate) fn end_all(
        &mut self,
        index: Index,
        outcome: Outcome,
        containers: Vec<Container>,
    ) -> Delta {
        let attempt = self.attempt(index);
        self.apply(Event::Finished { index, attempt, outcome, containers })
    }

    pub(crate) fn delete(&mut self, index: Index, grace_seconds: u32) -> Delta {
        let (attempt, at) = (self.attempt(index), self.now);
        self.apply(Event::PodDeleted { index, attempt, at, grace_seconds, evicted: false })
    }

    pub(crate) fn evict(&mut self, index: Index) -> Delta {
        let (attempt, at) = (self.attempt(index), self.now);
        self.apply(Event::PodDeleted { index, attempt, at, grace_seconds: 30, evicted: true })
    }

    /// Another owner takes the Job as it is in memory.
    pub(crate) fn change_owner(&mut self) -> Delta {
        let live = self.job.in_flight().map(|(index, live)| (index, live.clone()));
        self.job = Job::restore(
            self.job.spec().clone(),
            self.job.header().clone(),
            self.job.completed().clone(),
            self.job.failed().clone(),
            live.collect::<Vec<_>>(),
        );
        self.apply(Event::Loaded)
    }

    /// `status.active`, `status.failed` and `status.terminating`.
    pub(crate) fn figures(&self) -> (u32, u32, u32) {
        let header = self.job.header();
        (header.active, header.failed, header.terminating)
    }

    /// The offers since the last call, as (index, attempt).
    pub(crate) fn offers(&mut self) -> Vec<(Index, u32)> {
        self.taken(|action| match action {
            Action::Offer { index, attempt } => Some((*index, *attempt)),
            _ => None,
        })
    }

    pub(crate) fn stops(&mut self) -> Vec<Index> {
        self.taken(|action| match action {
            Action::Stop { index, .. } => Some(*index),
            _ => None,
        })
    }

    pub(crate) fn restarts(&mut self) -> Vec<(Index, u32)> {
        self.taken(|action| match action {
            Action::Restart { index, restarts, .. } => Some((*index, *restarts)),
            _ => None,
        })
    }

    pub(crate) fn reports(&mut self) -> Vec<&'static str> {
        self.taken(|action| match action {
            Action::Report { reason, .. } => Some(*reason),
            _ => None,
        })
    }

    pub(crate) fn purged(&mut self) -> bool {
        !self.taken(|action| (*action == Action::Purge).then_some(())).is_empty()
    }

    /// The conditions that are `True`, with their reasons, in order.
    pub(crate) fn conditions(&self) -> Vec<(ConditionType, &str)> {
        let conditions = self.job.header().conditions.iter();
        conditions.filter(|c| c.status).map(|c| (c.kind, c.reason.as_str())).collect()
    }

    /// The message of a condition that is there.
    pub(crate) fn message(&self, kind: ConditionType) -> &str {
        self.job.header().condition(kind).map_or("", |condition| &condition.message)
    }

    fn taken<T>(&mut self, pick: impl Fn(&Action) -> Option<T>) -> Vec<T> {
        let picked = self.actions.iter().filter_map(&pick).collect();
        self.actions.retain(|action| pick(action).is_none());
        picked
    }
}
