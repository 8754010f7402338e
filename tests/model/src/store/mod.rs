//! Redis, which holds the truth: what it stores.

mod scripts;

use crate::words::{Grant, INDEXES, Outcome, SLOTS, Ticket, Token, WORKERS};

/// Where an index stands in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// To be offered.
    Waiting,
    /// A ticket for it may be claimed.
    Offered,
    /// A worker's session has it.
    Claimed {
        /// The token of the grant.
        token: Token,
        /// The worker that holds it.
        worker: u8,
        /// The session that holds it.
        session: u8,
        /// The id of the claim; 0 if it was taken back.
        claim: u8,
    },
    /// It has ended, and its owner has yet to account for it.
    Finished(Outcome),
    /// Completed.
    Done,
}

/// An index's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// The number of its current attempt.
    pub attempt: u8,
    /// Where it stands.
    pub phase: Phase,
}

/// The entry of an ended attempt in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ended {
    /// The attempt.
    pub grant: Grant,
    /// Whether it was taken from its session.
    pub revoked: bool,
}

/// What Redis stores, and so forgets when it comes back from an older file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Redis {
    /// The record of each index.
    pub records: [Record; INDEXES],
    /// The latest entry in the history of each index. Of earlier ones only a repeated report could
    /// learn, and its sender does the same whatever it hears.
    pub ended: [Option<Ended>; INDEXES],
    /// The session that has each worker's name.
    pub sessions: [u8; WORKERS],
    /// Which coordinators, as bits, have seen the counter of a worker's session where it stands.
    pub seen: [u8; WORKERS],
    /// The run of Redis on which claims are granted; 0 before the first.
    pub run: u8,
    /// The latest token.
    pub token: Token,
    /// The owner's epoch.
    pub epoch: u8,
    /// The run of Redis that the shard was taken under.
    pub base: u8,
    /// Failures that the owner has accounted for.
    pub failures: u8,
    /// What was told to Redis, to judge by.
    pub told: Told,
}

/// What Redis has accepted. It is forgotten with the rest: what was told since is exempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Told {
    /// Accepted successes of each index.
    pub successes: [u8; INDEXES],
    /// Accepted failures of containers.
    pub failures: u8,
    /// Whether a finish was accepted whose token is not the record's.
    pub stale: bool,
}

/// The reply to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claimed {
    /// The attempt is the session's, under this token.
    Granted(Token),
    /// The ticket is void.
    Refused,
    /// This run of Redis isn't accepted yet.
    Paused,
    /// Another session has the worker's name.
    Fenced,
}

/// What a session holds, per index.
pub type Held = [Option<Grant>; INDEXES];

/// The reply to a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Renewed {
    /// The lease goes on.
    Renewed {
        /// Which of the named attempts may go on; the others are gone.
        go: [bool; SLOTS],
        /// What the session holds and did not name.
        unnamed: Held,
    },
    /// Another session has the worker's name.
    Fenced,
}

/// A request whose sender no more waits for it, and which Redis may still carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// A claim.
    Claim {
        /// The worker.
        worker: u8,
        /// Its session.
        session: u8,
        /// The ticket.
        ticket: Ticket,
        /// The id of the claim.
        claim: u8,
    },
    /// A renewal.
    Renew {
        /// The worker.
        worker: u8,
        /// Its session.
        session: u8,
        /// The attempts that it names.
        names: [Option<Grant>; SLOTS],
    },
    /// The report of an end.
    Finish {
        /// The attempt.
        grant: Grant,
        /// How it ended.
        outcome: Outcome,
    },
}
