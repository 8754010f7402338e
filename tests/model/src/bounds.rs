//! How far the model looks.

use crate::action::Action;
use crate::words::{INDEXES, WORKERS};

/// The faults that may still happen, or that may happen at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Workers killed.
    pub crashes: u8,
    /// Replies of Redis that get lost.
    pub lost: u8,
    /// Requests whose sender stops waiting, and that are carried out later.
    pub late: u8,
    /// Tickets that the broker loses.
    pub losses: u8,
    /// Tickets that it doubles, or delivers long after.
    pub doubles: u8,
    /// Failures of containers.
    pub failures: u8,
    /// Shards taken from an owner that lives.
    pub takeovers: u8,
    /// Restarts of Redis that forget nothing.
    pub restarts: u8,
    /// Restarts of Redis from an older file.
    pub rewinds: u8,
    /// Times that the clock of Redis' host is set back.
    pub clock: u8,
}

/// The bounds of one look at the model.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Whether the shard has an owner from the start, and all indexes are offered.
    pub served: bool,
    /// What has happened before all orders of steps are tried.
    pub before: &'static [Action],
    /// Indexes of the Job.
    pub indexes: usize,
    /// Slots of each worker; a worker with none stays idle.
    pub slots: [usize; WORKERS],
    /// The workers are alike, so which is which needs not be told apart.
    pub alike: bool,
    /// Requests reach Redis as they are sent, and only replies take time. For leases that is the worst
    /// case, as they count from before the request was sent.
    pub swift: bool,
    /// Coordinators.
    pub coordinators: usize,
    /// Attempts of each index at most: what would offer more is not looked at.
    pub attempts: [u8; INDEXES],
    /// How far a host's clock may be behind the owner's, in ticks. It may run behind and catch up at any
    /// time, so any two spans of time differ by no more than that.
    pub drift: u8,
    /// The faults.
    pub faults: Budget,
}
