//! The words that all parts share.

/// Indexes of the Job, at most.
pub const INDEXES: usize = 2;
/// Workers, each on a host of its own.
pub const WORKERS: usize = 2;
/// Attempts that a worker can have at a time; its slots may be fewer.
pub const SLOTS: usize = 2;
/// Coordinators that may hold the shard.
pub const COORDINATORS: usize = 2;
/// Containers on a host at a time.
pub const CONTAINERS: usize = 2;
/// Attempt numbers are below this; the bounds end a run long before.
pub const NUMBERS: usize = 8;

/// The lease, in ticks.
pub const LEASE: u8 = 3;
/// How much earlier than its lease an attempt ends.
pub const MARGIN: u8 = 1;
/// How much longer than the lease its owner waits.
pub const SLACK: u8 = 1;

/// The fencing number of a grant: an incarnation and a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// Grows at each restart of Redis.
    pub incarnation: u8,
    /// Grows with each grant.
    pub counter: u8,
}

/// What names an attempt that was granted, in a renewal or a finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// The index.
    pub index: u8,
    /// The attempt's number.
    pub attempt: u8,
    /// The token it was granted with.
    pub token: Token,
}

/// One message of the broker: a reference to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// The index.
    pub index: u8,
    /// The attempt's number.
    pub attempt: u8,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Its container exited with 0.
    Success,
    /// Its container failed.
    Failure,
    /// It was lost through no fault of its container.
    Disruption,
}

/// A call to Redis that its sender waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call<R> {
    /// On its way; Redis has not seen it.
    Sent,
    /// Redis has answered; the reply is on its way.
    Answered(R),
}
