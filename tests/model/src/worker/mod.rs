//! Workers: what a process knows. It all goes with a crash.

mod calls;
mod steps;

pub use self::calls::Which;
pub use self::steps::{Step, steps, take};

use crate::guards::Guards;
use crate::host::count;
use crate::store::{Claimed, Held, Renewed};
use crate::words::{Call, Grant, INDEXES, LEASE, MARGIN, Outcome, SLOTS, Ticket};

/// Where a worker's process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Life {
    /// There is no process.
    Down,
    /// It takes over its name.
    Enrolling {
        /// Ticks since before the first send.
        age: u8,
        /// Where the call is.
        call: Call<Held>,
    },
    /// It takes tickets.
    Up,
    /// Another session has its name: it ends what it has, and then itself.
    Leaving,
}

/// A worker's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Worker {
    /// Where it stands.
    pub life: Life,
    /// Its session.
    pub session: u8,
    /// Its slots.
    pub slots: [Slot; SLOTS],
    /// The renewal under way.
    pub renewal: Option<Renewal>,
    /// What its session holds and the worker doesn't have.
    pub unnamed: [Option<Unnamed>; INDEXES],
    /// Redis refused its session: it is to ask why.
    pub suspect: bool,
}

/// A slot of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// It may take a ticket.
    Idle,
    /// It claims a ticket's attempt.
    Claiming {
        /// The ticket, not acknowledged.
        ticket: Ticket,
        /// The id of the claim.
        claim: u8,
        /// Ticks since before the first send.
        age: u8,
        /// Where the call is.
        call: Call<Claimed>,
    },
    /// It has an attempt.
    Has(Attempt),
}

/// Where an attempt stands on its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// It has no container yet.
    Claimed,
    /// Its container was created.
    Created,
    /// The daemon was told to start it; its end is waited for.
    Started,
    /// Its outcome is being reported.
    Reporting(Outcome, Call<bool>),
    /// Only what is left of it is to be removed.
    Over,
}

/// An attempt that a worker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    /// Its name.
    pub grant: Grant,
    /// Ticks until its deadline, as its worker knows it.
    pub left: u8,
    /// Where it stands.
    pub stage: Stage,
    /// Whether its ticket waits to be acknowledged.
    pub ticket: bool,
}

/// A renewal under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Renewal {
    /// Ticks since before it was sent.
    pub age: u8,
    /// The attempts that it names.
    pub names: [Option<Grant>; SLOTS],
    /// Where it is.
    pub call: Call<Renewed>,
}

/// An attempt that Redis says a worker has and that it hasn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unnamed {
    /// The attempt.
    pub grant: Grant,
    /// Ticks since Redis first said so.
    pub age: u8,
}

impl Worker {
    /// A worker that has nothing.
    pub fn new(life: Life, session: u8) -> Self {
        Self {
            life,
            session,
            slots: [Slot::Idle; SLOTS],
            renewal: None,
            unnamed: [None; INDEXES],
            suspect: false,
        }
    }

    /// The attempts that it has.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.slots.iter().filter_map(Slot::attempt)
    }

    /// Whether it has the attempt of a grant.
    pub fn has(&self, grant: Grant) -> bool {
        self.attempts().any(|attempt| attempt.grant == grant)
    }

    /// Time passes on its host.
    pub fn age(&mut self, guards: &Guards, by: u8) {
        // By then nothing is left of a lease.
        let most = left(guards, 0);
        if let Life::Enrolling { age, .. } = &mut self.life {
            count(age, by, most);
        }
        for slot in &mut self.slots {
            match slot {
                Slot::Idle => {}
                Slot::Claiming { age, .. } => count(age, by, most),
                Slot::Has(attempt) => attempt.left = attempt.left.saturating_sub(by),
            }
        }
        if let Some(renewal) = &mut self.renewal {
            count(&mut renewal.age, by, most);
        }
        for unnamed in self.unnamed.iter_mut().flatten() {
            count(&mut unnamed.age, by, LEASE);
        }
    }
}

impl Slot {
    fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Has(attempt) => Some(attempt),
            Self::Idle | Self::Claiming { .. } => None,
        }
    }
}

/// What is left of a lease less the margin, this many ticks after its request was sent.
fn left(guards: &Guards, age: u8) -> u8 {
    let margin = if guards.margin { MARGIN } else { 0 };
    let age = if guards.sent { age } else { 0 };
    (LEASE - margin).saturating_sub(age)
}
