//! A bench to put one Job on: applies events, and keeps what was asked for.

use longshore_job::{
    Action, Backoff, CompletionMode, ConditionType, Delta, Event, Index, Job, Millis, Outcome,
    RestartPolicy, Spec,
};

pub(crate) const SECOND: Millis = 1_000;

pub(crate) struct Bench {
    pub(crate) job: Job,
    pub(crate) now: Millis,
    pub(crate) actions: Vec<Action>,
}

/// An Indexed Job with Kubernetes' defaults.
pub(crate) fn indexed(completions: u32, parallelism: u32) -> Spec {
    Spec {
        mode: CompletionMode::Indexed,
        parallelism,
        completions: Some(completions),
        backoff_limit: 6,
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

impl Bench {
    pub(crate) fn new(spec: Spec) -> Self {
        let mut bench = Self { job: Job::new(spec), now: 1_000_000, actions: Vec::new() };
        bench.apply(Event::Loaded);
        bench
    }

    pub(crate) fn apply(&mut self, event: Event) -> Delta {
        let delta = self.job.apply(event, self.now);
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
        self.apply(Event::SpecChanged(spec))
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
        let attempt = self.attempt(index);
        self.apply(Event::Finished { index, attempt, outcome })
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

    fn taken<T>(&mut self, pick: impl Fn(&Action) -> Option<T>) -> Vec<T> {
        let picked = self.actions.iter().filter_map(&pick).collect();
        self.actions.retain(|action| pick(action).is_none());
        picked
    }
}
