//! The whole that the model looks at.

use crate::bounds::Budget;
use crate::host::Host;
use crate::owner::Term;
use crate::store::{Phase, Redis, Request};
use crate::words::{CONTAINERS, COORDINATORS, INDEXES, NUMBERS, Token, WORKERS};
use crate::worker::{Life, Worker};
use crate::{Protocol, owner};

/// The whole of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// What Redis has in memory.
    pub redis: Redis,
    /// An older file of Redis.
    pub file: Option<Redis>,
    /// The run of the Redis server, counted from 1.
    pub server: u8,
    /// What the clock of Redis' host shows at the next run that is accepted.
    pub wall: u8,
    /// The broker's queue: how many tickets there are per index and attempt.
    pub queue: [[u8; NUMBERS]; INDEXES],
    /// The coordinators' terms.
    pub terms: [Option<Term>; COORDINATORS],
    /// The workers.
    pub workers: [Worker; WORKERS],
    /// Their hosts.
    pub hosts: [Host; WORKERS],
    /// A request that nobody waits for.
    pub stray: Option<Request>,
    /// The largest token granted of each index, whatever Redis has forgotten.
    pub highest: [Token; INDEXES],
    /// Whether a grant's token was not above [`State::highest`].
    pub fell: bool,
    /// The faults that may still happen.
    pub budget: Budget,
}

impl State {
    /// A Job that was just created; its workers have enrolled.
    pub fn new(protocol: &Protocol) -> Self {
        let Protocol { bounds, guards } = protocol;
        let mut state = Self {
            redis: Redis::new(bounds.indexes),
            file: None,
            server: 1,
            wall: 1,
            queue: [[0; NUMBERS]; INDEXES],
            terms: [None; COORDINATORS],
            workers: [Worker::new(Life::Up, 1); WORKERS],
            hosts: [Host { containers: [None; CONTAINERS], behind: 0 }; WORKERS],
            stray: None,
            highest: [Token::default(); INDEXES],
            fell: false,
            budget: bounds.faults,
        };
        if bounds.served {
            state.redis.accept(state.server, state.wall);
            owner::own(&mut state, guards, 0);
            for (index, _) in (0u8..).zip(0..bounds.indexes) {
                owner::take(&mut state, guards, 0, owner::Step::Commit(index));
            }
        }
        state
    }

    /// Whether every index has completed, as Redis has it.
    pub fn is_complete(&self) -> bool {
        self.redis.records.iter().all(|record| record.phase == Phase::Done)
    }
}
