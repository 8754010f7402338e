//! The indexes in flight, kept by what each is waiting for.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Index, Live, Millis, Phase};

/// The records of the indexes in flight with the sets and counts that the rules ask for, kept up to
/// date record by record so that no rule ever walks over all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roster {
    records: BTreeMap<Index, Live>,
    /// Offered, not told to stop.
    offered: BTreeSet<Index>,
    /// Claimed, not told to stop. One whose end is not yet accounted for is still among them.
    running: BTreeSet<Index>,
    /// Told to stop, not ended.
    stopping: BTreeSet<Index>,
    /// Between attempts, and due.
    waiting: BTreeSet<Index>,
    /// Between attempts, not yet due; and in-place restarts that wait.
    timers: BTreeSet<(Millis, Index)>,
    /// How many of the timers are indexes between attempts.
    backing_off: u32,
    ready: u32,
}

impl Roster {
    pub(super) fn get(&self, index: Index) -> Option<&Live> {
        self.records.get(&index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Index, &Live)> {
        self.records.iter().map(|(index, live)| (*index, live))
    }

    pub(super) fn put(&mut self, index: Index, live: Live) {
        self.remove(index);
        let timer = timer(&live);
        match set_of(&live) {
            Set::Waiting if timer.is_some() => self.backing_off += 1,
            set => {
                self.set(set).insert(index);
            }
        }
        self.timers.extend(timer.map(|due| (due, index)));
        self.ready += u32::from(live.is_ready());
        self.records.insert(index, live);
    }

    pub(super) fn remove(&mut self, index: Index) -> Option<Live> {
        let live = self.records.remove(&index)?;
        let timed = timer(&live).is_some_and(|due| self.timers.remove(&(due, index)));
        match set_of(&live) {
            Set::Waiting if timed => self.backing_off -= 1,
            set => {
                self.set(set).remove(&index);
            }
        }
        self.ready -= u32::from(live.is_ready());
        Some(live)
    }

    pub(super) fn update(&mut self, index: Index, change: impl FnOnce(&mut Live)) {
        if let Some(mut live) = self.remove(index) {
            change(&mut live);
            self.put(index, live);
        }
    }

    /// Lets the timers go off that are due: indexes between attempts may be offered from now on, and
    /// those whose in-place restart is due are returned.
    pub(super) fn release(&mut self, now: Millis) -> Vec<Index> {
        let mut restarts = Vec::new();
        while let Some((due, index)) = self.timers.first().copied() {
            if due > now {
                break;
            }
            self.timers.pop_first();
            if self.records.get(&index).is_some_and(|live| live.phase == Phase::Waiting) {
                self.backing_off -= 1;
                self.waiting.insert(index);
            } else {
                restarts.push(index);
            }
        }
        restarts
    }

    /// When the next timer goes off.
    pub(super) fn next_timer(&self) -> Option<Millis> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// The indexes whose timers go off after `when`.
    pub(super) fn timed_after(&self, when: Millis) -> Vec<Index> {
        let later = self.timers.range((when.saturating_add(1), Index::MIN)..);
        later.map(|(_, index)| *index).collect()
    }

    pub(super) fn offered(&self) -> &BTreeSet<Index> {
        &self.offered
    }

    pub(super) fn running(&self) -> &BTreeSet<Index> {
        &self.running
    }

    /// The indexes between attempts that may be offered now.
    pub(super) fn waiting(&self) -> &BTreeSet<Index> {
        &self.waiting
    }

    /// Kubernetes' `active`: pending or running, and not told to stop.
    pub(super) fn active(&self) -> u32 {
        count(&self.offered) + count(&self.running)
    }

    pub(super) fn terminating(&self) -> u32 {
        count(&self.stopping)
    }

    pub(super) fn backing_off(&self) -> u32 {
        self.backing_off
    }

    pub(super) fn ready(&self) -> u32 {
        self.ready
    }

    /// The highest number of an attempt that the indexes from `from` on have had, of those in flight.
    pub(super) fn latest_attempt(&self, from: Index) -> Option<u32> {
        let numbers = self.records.range(from..).map(|(_, live)| match live.phase {
            Phase::Waiting => live.attempt.number.saturating_sub(1),
            Phase::Offered | Phase::Claimed | Phase::Finished => live.attempt.number,
        });
        numbers.max()
    }

    /// Takes out the indexes from `from` on that are between attempts.
    pub(super) fn clear_waiting(&mut self, from: Index) -> Vec<Index> {
        let all = self.records.range(from..).filter(|(_, live)| live.phase == Phase::Waiting);
        let indexes: Vec<Index> = all.map(|(index, _)| *index).collect();
        for index in &indexes {
            self.remove(*index);
        }
        indexes
    }

    fn set(&mut self, set: Set) -> &mut BTreeSet<Index> {
        match set {
            Set::Waiting => &mut self.waiting,
            Set::Offered => &mut self.offered,
            Set::Running => &mut self.running,
            Set::Stopping => &mut self.stopping,
        }
    }
}

enum Set {
    Waiting,
    Offered,
    Running,
    Stopping,
}

fn set_of(live: &Live) -> Set {
    match live.phase {
        Phase::Waiting => Set::Waiting,
        _ if live.stop.is_some() => Set::Stopping,
        Phase::Offered => Set::Offered,
        Phase::Claimed | Phase::Finished => Set::Running,
    }
}

/// When the owner must do something about a record: offer its index again, or grant its restart.
fn timer(live: &Live) -> Option<Millis> {
    match live.phase {
        Phase::Waiting => live.due,
        Phase::Claimed | Phase::Finished if live.stop.is_none() && live.counted > live.granted => {
            Some(live.due.unwrap_or(0))
        }
        _ => None,
    }
}

fn count(set: &BTreeSet<Index>) -> u32 {
    u32::try_from(set.len()).unwrap_or(u32::MAX)
}
