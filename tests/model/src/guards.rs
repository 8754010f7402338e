//! What the protocol relies on. Each guard can be taken out, to see that it is needed.

/// The parts of the protocol that keep its promises; all are in place by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guards {
    /// A finish, a renewal and an expiry count only with the token of the attempt's grant.
    pub token: bool,
    /// Of a finish and an expiry that race the second finds the record changed.
    pub record: bool,
    /// An expiry counts only if the session's counter stands where its owner saw it.
    pub counter: bool,
    /// An attempt ends earlier than its lease.
    pub margin: bool,
    /// The owner waits for longer than the lease.
    pub slack: bool,
    /// A lease counts from before its request was sent, not from the reply.
    pub sent: bool,
    /// The launcher ends its container at the deadline, though its worker be dead.
    pub launcher: bool,
    /// A start that is under way at the deadline comes to nothing.
    pub start: bool,
    /// Nothing is claimed on a run of Redis that its owner has not accepted.
    pub run: bool,
    /// An owner accepts a new run of Redis only after a lease.
    pub pause: bool,
    /// That holds for a shard that was never served, too, if it has a Job: its file may be old.
    pub fresh: bool,
    /// An incarnation of tokens is above all before it, those that Redis has forgotten included: of the
    /// clocks of Redis' host and of the owner's, one isn't set back by more than Redis was away and paused.
    pub clock: bool,
    /// What an owner writes counts only under the epoch of the latest.
    pub epoch: bool,
    /// What an owner writes counts only on the run of Redis under which it took the shard itself.
    pub term: bool,
    /// A lease that has run out on its worker is not revived by a renewal.
    pub lapse: bool,
    /// Offered attempts are published again.
    pub republish: bool,
}

impl Guards {
    /// The whole protocol.
    pub const ALL: Self = Self {
        token: true,
        record: true,
        counter: true,
        margin: true,
        slack: true,
        sent: true,
        launcher: true,
        start: true,
        run: true,
        pause: true,
        fresh: true,
        clock: true,
        epoch: true,
        term: true,
        lapse: true,
        republish: true,
    };
}
