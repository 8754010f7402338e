//! The Job as a state machine. Each file holds one story of `batch/v1`:
//!
//! | file | rules |
//! | --- | --- |
//! | `dispatch` | parallelism, completions, which index next, in-place restarts, what is stopped |
//! | `outcome` | success, failure, disruption; back-off; what counts as what |
//! | `failure_policy` | podFailurePolicy: which rule an ended attempt matches |
//! | `per_index` | backoffLimitPerIndex, FailIndex, maxFailedIndexes |
//! | `success_policy` | successPolicy |
//! | `replacement` | Pods that a client deleted or evicted |
//! | `elastic` | completions that change |
//! | `finish` | backoffLimit, conditions and their order, Complete and Failed |
//! | `suspend` | startTime, suspend and resume |
//! | `deadline` | activeDeadlineSeconds, ttlSecondsAfterFinished, deletion |
//! | `roster` | the bookkeeping that keeps an event's cost that of one index |

mod deadline;
mod dispatch;
mod elastic;
mod failure_policy;
mod finish;
mod outcome;
mod per_index;
mod replacement;
mod roster;
mod success_policy;
mod suspend;

use std::collections::BTreeSet;

use self::replacement::Deletion;
use self::roster::Roster;
use self::success_policy::Tally;
use crate::{Action, Delta, Event, Header, Index, IndexSet, Live, Millis, Severity, Spec};

/// One Job as its owner holds it in memory.
///
/// An event costs what the indexes cost that it touches, whatever the Job's size.
#[derive(Clone, Debug)]
pub struct Job {
    spec: Spec,
    header: Header,
    completed: IndexSet,
    /// Indexes that have failed for good.
    failed: IndexSet,
    /// How far each rule of the success policy has come.
    tallies: Vec<Tally>,
    roster: Roster,
    /// Every lower index has been tried: it has a record, or has succeeded or failed for good.
    untried: Index,
    /// Indexes could be offered at once that the last event left for the next one.
    backlog: bool,
    /// [`Action::Purge`] has been asked for.
    purging: bool,
}

/// One event's work in progress.
struct Step {
    now: Millis,
    delta: Delta,
    /// Indexes whose record is to be stored as it is at the end, or removed if it has none.
    touched: BTreeSet<Index>,
}

impl Job {
    /// A Job that has just been created. [`Event::Loaded`] starts it.
    pub fn new(spec: Spec) -> Self {
        Self::restore(spec, Header::default(), IndexSet::new(), IndexSet::new(), [])
    }

    /// A Job as it was stored; of a finished one the header is enough. Apply [`Event::Loaded`] before
    /// any other event: what its state asks for is done (again) then.
    pub fn restore(
        spec: Spec,
        header: Header,
        completed: IndexSet,
        failed: IndexSet,
        live: impl IntoIterator<Item = (Index, Live)>,
    ) -> Self {
        let mut roster = Roster::default();
        for (index, live) in live {
            roster.put(index, live);
        }
        Self {
            spec,
            header,
            completed,
            failed,
            tallies: Vec::new(),
            roster,
            untried: 0,
            backlog: false,
            purging: false,
        }
    }

    /// Applies one event at Redis' time `now`. Events about another attempt than the index's current
    /// one, and repeats, change nothing.
    pub fn apply(&mut self, event: Event, now: Millis) -> Delta {
        let mut step = Step { now, delta: Delta::default(), touched: BTreeSet::new() };
        let before = self.header.clone();
        match event {
            Event::Loaded => {
                self.repeat_actions(&mut step);
                self.fit_range(&mut step);
            }
            Event::SpecChanged(spec) => {
                self.spec = *spec;
                self.fit_range(&mut step);
            }
            Event::DeleteRequested => self.header.deleting = true,
            Event::TicketSetAside { index, attempt, readers } => {
                self.ticket_set_aside(index, attempt, readers, &step);
            }
            Event::Claimed { index, attempt, worker, token } => {
                self.claimed(index, attempt, worker, token, now);
            }
            Event::Started { index, attempt } => self.started(index, attempt, now),
            Event::ContainerFailed { index, attempt, restarts, outcome } => {
                self.container_failed(index, attempt, restarts, outcome, &mut step);
            }
            Event::PodDeleted { index, attempt, at, grace_seconds, evicted } => {
                let deletion = Deletion { at, grace_seconds, evicted };
                self.pod_deleted(index, attempt, deletion, &mut step);
            }
            Event::Finished { index, attempt, outcome, containers } => {
                self.finished(index, attempt, outcome, &containers, &mut step);
            }
            Event::Tick => {}
        }
        self.settle(&mut step);
        step.delta.header = self.header != before;
        for index in step.touched {
            step.delta.live.insert(index, self.roster.get(index).cloned());
        }
        step.delta
    }

    /// When [`Event::Tick`] is due at the latest, in Redis' time; a time in the past means now.
    pub fn next_wake(&self) -> Option<Millis> {
        if self.header.deleting {
            return None;
        }
        if self.backlog {
            return Some(0);
        }
        [self.roster.next_timer(), self.deadline(), self.expiry()].into_iter().flatten().min()
    }

    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The indexes that have succeeded. For a NonIndexed Job they are Longshore's own.
    pub fn completed(&self) -> &IndexSet {
        &self.completed
    }

    /// The indexes that have failed for good.
    pub fn failed(&self) -> &IndexSet {
        &self.failed
    }

    /// The record of an index in flight.
    pub fn live(&self, index: Index) -> Option<&Live> {
        self.roster.get(index)
    }

    /// All indexes in flight, lowest first.
    pub fn in_flight(&self) -> impl Iterator<Item = (Index, &Live)> {
        self.roster.iter()
    }

    /// The indexes that are offered and have not been claimed, as far as is known.
    pub fn offered(&self) -> impl Iterator<Item = Index> + '_ {
        self.roster.offered().iter().copied()
    }

    /// Whether workers may claim its offered attempts.
    pub fn grants_claims(&self) -> bool {
        !self.must_stop()
    }

    /// Whether the Job is Complete or Failed.
    pub fn is_finished(&self) -> bool {
        self.header.is_finished()
    }

    /// Does what follows from the state, in the order of Kubernetes' `syncJob`: failure before
    /// success, then stop what must stop, then start what may start, and the terminal condition last.
    fn settle(&mut self, step: &mut Step) {
        self.backlog = false;
        if self.is_finished() || self.spec.managed_elsewhere {
            // The figures of a finished Job are final, and its completed indexes need not have been
            // loaded. Those of a Job with another controller are that one's to write.
            self.purge_if_over(step);
            return;
        }
        if self.header.deleting {
            self.stop_all(step);
        } else {
            self.start_or_resume(step);
            self.stop_surplus(step);
            self.judge(step);
            self.suspend(step);
            if self.must_stop() {
                self.stop_all(step);
            }
            self.shorten_waits(step);
            self.grant_restarts(step);
            self.dispatch(step);
            self.conclude(step);
        }
        self.header.active = self.roster.active();
        self.header.ready = self.roster.ready();
        self.header.terminating = self.roster.terminating();
        self.header.succeeded = self.succeeded();
        self.header.failed_indexes = self.failed.len();
        self.purge_if_over(step);
    }

    /// `status.succeeded`.
    fn succeeded(&self) -> u32 {
        self.completed.len()
    }
}

impl Step {
    fn act(&mut self, action: Action) {
        self.delta.actions.push(action);
    }

    fn report(
        &mut self,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
        about: Option<(Index, u32)>,
    ) {
        self.act(Action::Report { severity, reason, message: message.into(), about });
    }
}
