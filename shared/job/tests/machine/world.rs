//! A small model of everything around the state machine: the store with its scripts, the stream of
//! events, workers, and an owner that may be lost at any point.

use std::collections::{BTreeMap, VecDeque};

use longshore_job::{
    Action, ConditionType, Delta, Event, Header, Index, IndexSet, Job, Live, Millis, Outcome,
    Phase, Spec,
};

use crate::reference::Reference;

/// What survives the loss of an owner.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) header: Header,
    pub(crate) done: IndexSet,
    pub(crate) failed: IndexSet,
    pub(crate) live: BTreeMap<Index, Live>,
    claimable: bool,
}

pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) spec: Spec,
    pub(crate) stored: Stored,
    pub(crate) stream: VecDeque<Event>,
    pub(crate) job: Job,
    /// What the owner has committed to do and has not done.
    todo: VecDeque<Action>,
    pub(crate) purged: bool,
    /// The last attempt number that was offered, by index.
    numbers: BTreeMap<Index, u32>,
    /// What the accounts should say.
    pub(crate) reference: Reference,
}

impl World {
    pub(crate) fn new(spec: Spec) -> Self {
        Self {
            now: 1_000_000,
            spec: spec.clone(),
            stored: Stored::default(),
            stream: VecDeque::from([Event::Loaded]),
            job: Job::new(spec),
            todo: VecDeque::new(),
            purged: false,
            numbers: BTreeMap::new(),
            reference: Reference::default(),
        }
    }

    /// The owner reads one event, applies and commits it. Its actions wait for [`Self::act`].
    pub(crate) fn deliver(&mut self) -> bool {
        let Some(event) = self.stream.pop_front() else { return false };
        self.apply(event);
        true
    }

    pub(crate) fn tick(&mut self) {
        self.apply(Event::Tick);
    }

    /// The owner does what it committed to do.
    pub(crate) fn act(&mut self) {
        while let Some(action) = self.todo.pop_front() {
            self.carry_out(action);
        }
    }

    /// The owner is lost with what it had not done yet; the next one loads what is stored.
    pub(crate) fn change_owner(&mut self) {
        self.todo.clear();
        self.job = self.restored();
        self.apply(Event::Loaded);
    }

    pub(crate) fn restored(&self) -> Job {
        let live = self.stored.live.iter().map(|(index, live)| (*index, live.clone()));
        let done = IndexSet::from_bytes(&self.stored.done.to_bytes());
        let failed = IndexSet::from_bytes(&self.stored.failed.to_bytes());
        let spec = self.job.spec().clone();
        Job::restore(spec, self.stored.header.clone(), done, failed, live)
    }

    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Spec)) {
        change(&mut self.spec);
        self.stored.claimable &= !self.spec.suspend;
        self.stream.push_back(Event::SpecChanged(Box::new(self.spec.clone())));
    }

    /// A worker claims the n-th of the offered attempts.
    pub(crate) fn claim(&mut self, n: usize) {
        if !self.stored.claimable {
            return;
        }
        let Some(index) = self.nth(n, |live| live.phase == Phase::Offered) else { return };
        let now = self.now;
        let live = self.record(index);
        live.phase = Phase::Claimed;
        live.attempt.claimed = Some(now);
        let attempt = live.attempt.number;
        let (worker, token) = ("w".to_owned(), "1".to_owned());
        self.stream.push_back(Event::Claimed { index, attempt, worker, token });
    }

    /// The ticket of the n-th attempt that is offered or claimed is set aside.
    pub(crate) fn set_aside(&mut self, n: usize) {
        let in_flight = |live: &Live| matches!(live.phase, Phase::Offered | Phase::Claimed);
        let Some(index) = self.nth(n, in_flight) else { return };
        let attempt = self.record(index).attempt.number;
        self.stream.push_back(Event::TicketSetAside { index, attempt, readers: 21 });
    }

    pub(crate) fn start(&mut self, n: usize) {
        let claimed = |live: &Live| live.phase == Phase::Claimed && live.attempt.started.is_none();
        let Some(index) = self.nth(n, claimed) else { return };
        let now = self.now;
        let live = self.record(index);
        live.attempt.started = Some(now);
        let attempt = live.attempt.number;
        self.stream.push_back(Event::Started { index, attempt });
    }

    /// A container fails that may be restarted in place.
    pub(crate) fn fail_in_place(&mut self, n: usize, outcome: Outcome) {
        let running = |live: &Live| {
            live.phase == Phase::Claimed
                && live.attempt.started.is_some()
                && live.attempt.restarts == live.granted
        };
        let Some(index) = self.nth(n, running) else { return };
        let live = self.record(index);
        live.attempt.restarts += 1;
        let (attempt, restarts) = (live.attempt.number, live.attempt.restarts);
        self.stream.push_back(Event::ContainerFailed { index, attempt, restarts, outcome });
    }

    /// The n-th claimed attempt ends by itself.
    pub(crate) fn finish(&mut self, n: usize, outcome: Outcome) {
        if let Some(index) = self.nth(n, |live| live.phase == Phase::Claimed) {
            self.end(index, outcome);
        }
    }

    /// The n-th attempt that was told to stop obeys, and ends with this exit code.
    pub(crate) fn obey(&mut self, n: usize, code: i32) {
        let told = |live: &Live| live.phase == Phase::Claimed && live.stop.is_some();
        if let Some(index) = self.nth(n, told) {
            self.end(index, Outcome::Stopped { code: Some(code) });
        }
    }

    /// A client deletes or evicts the Pod of the n-th attempt that hasn't ended.
    pub(crate) fn delete_pod(&mut self, n: usize, evicted: bool) {
        let in_flight = |live: &Live| matches!(live.phase, Phase::Offered | Phase::Claimed);
        let Some(index) = self.nth(n, in_flight) else { return };
        let now = self.now;
        let live = self.record(index);
        if live.attempt.deleted.is_none() {
            if live.stop.is_some() {
                return;
            }
            live.attempt.deleted = Some(now);
            live.attempt.evicted = evicted;
        }
        let (at, evicted) = (live.attempt.deleted.unwrap_or(now), live.attempt.evicted);
        let attempt = live.attempt.number;
        let grace_seconds = 5;
        let deleted = Event::PodDeleted { index, attempt, at, grace_seconds, evicted };
        self.stream.push_back(deleted);
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.stream.is_empty() && self.todo.is_empty()
    }

    fn apply(&mut self, event: Event) {
        self.expect(&event);
        let before = (self.job.header().clone(), self.job.spec().clone());
        let delta = self.job.apply(event.clone(), self.now);
        self.check(&before.0, &before.1, &delta);
        if let Event::TicketSetAside { index, attempt, .. } = event
            && !before.0.is(ConditionType::FailureTarget)
            && self.job.header().is(ConditionType::FailureTarget)
        {
            let offered = self
                .job
                .live(index)
                .is_some_and(|live| live.attempt.number == attempt && live.phase == Phase::Offered);
            assert!(offered, "a ticket that was claimed or replaced is void");
        }
        if event != Event::Loaded {
            let mut again = self.job.clone();
            let repeat = again.apply(event, self.now);
            assert!(repeat.changes_nothing() && repeat.actions.is_empty(), "repeat: {repeat:?}");
        }
        self.commit(delta);
    }

    /// Keeps the accounts by what the event says, independently of how the machine does.
    fn expect(&mut self, event: &Event) {
        let failing = self.job.header().is(ConditionType::FailureTarget);
        let spec = self.job.spec();
        match event {
            Event::ContainerFailed { .. } if !failing => self.reference.fail_in_place(),
            Event::Finished { index, outcome, .. } => {
                let attempt = &self.stored.live[index].attempt;
                self.reference.end(spec, *index, attempt, outcome, failing);
            }
            Event::SpecChanged(new) if !self.job.is_finished() => {
                let runs =
                    |index| self.job.live(index).is_some_and(|live| live.phase != Phase::Waiting);
                self.reference.fit(new.completions, runs);
            }
            _ => {}
        }
    }

    /// The commit script.
    fn commit(&mut self, delta: Delta) {
        self.stored.header = self.job.header().clone();
        self.stored.claimable = self.job.grants_claims() && !self.spec.suspend;
        if let Some(range) = delta.forgotten {
            self.stored.done.truncate(range);
            self.stored.failed.truncate(range);
        }
        for index in delta.completed {
            assert!(self.stored.done.insert(index), "index {index} ran again");
        }
        for index in delta.failed {
            assert!(self.stored.failed.insert(index), "index {index} failed again");
        }
        for (index, live) in delta.live {
            let old = self.stored.live.get(&index);
            let owners = |live: &Live| matches!(live.phase, Phase::Waiting | Phase::Finished);
            assert!(old.is_none_or(owners), "overwrites {old:?}");
            match live {
                Some(live) => self.stored.live.insert(index, live),
                None => self.stored.live.remove(&index),
            };
        }
        for (index, restart) in delta.restarts {
            if let Some(live) = self.stored.live.get_mut(&index)
                && live.attempt.number == restart.attempt
            {
                live.counted = restart.counted;
                live.due = Some(restart.due);
            }
        }
        self.todo.extend(delta.actions);
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Stop { index, attempt, grace_seconds } => {
                let Some(live) = self.stored.live.get_mut(&index) else { return };
                if live.attempt.number != attempt {
                    return;
                }
                match live.phase {
                    Phase::Claimed => live.stop = Some(grace_seconds),
                    Phase::Offered => self.end(index, Outcome::Stopped { code: None }),
                    Phase::Waiting | Phase::Finished => {}
                }
            }
            Action::Restart { index, attempt, restarts } => {
                if let Some(live) = self.stored.live.get_mut(&index)
                    && live.attempt.number == attempt
                {
                    live.granted = restarts;
                }
            }
            Action::Purge => self.purged = true,
            Action::Offer { .. } | Action::Report { .. } => {}
        }
    }

    /// The finish, expire and stop scripts.
    fn end(&mut self, index: Index, outcome: Outcome) {
        let live = self.record(index);
        live.phase = Phase::Finished;
        let attempt = live.attempt.number;
        self.stream.push_back(Event::Finished { index, attempt, outcome, containers: Vec::new() });
    }

    fn check(&mut self, header: &Header, spec: &Spec, delta: &Delta) {
        for action in &delta.actions {
            if let Action::Offer { index, attempt } = action {
                let last = self.numbers.insert(*index, *attempt).unwrap_or(0);
                let again = self.job.live(*index).is_some_and(|live| live.attempt.number == last);
                assert!(*attempt > last || again, "index {index}: {last} then {attempt}");
                assert!(!self.job.completed().contains(*index), "index {index} is done");
                assert!(!self.job.failed().contains(*index), "index {index} has failed");
            }
        }
        crate::model::check_step(self, header, spec);
    }

    fn nth(&self, n: usize, which: impl Fn(&Live) -> bool) -> Option<Index> {
        let mut found: Vec<Index> = Vec::new();
        found.extend(self.stored.live.iter().filter(|(_, live)| which(live)).map(|(i, _)| *i));
        (!found.is_empty()).then(|| found[n % found.len()])
    }

    fn record(&mut self, index: Index) -> &mut Live {
        self.stored.live.get_mut(&index).expect("the model picks indexes in flight")
    }
}
