//! A model of how attempts are claimed, leased and finished, to be looked through by a model checker.
//!
//! ARCHITECTURE.md says how the protocol goes, and what must hold. Here each of its parts is a small
//! state machine, and every order of their steps is tried, with faults anywhere, within [`Bounds`].
//! Nothing of it does I/O: time is a number of ticks.
//!
//! | file | story |
//! | --- | --- |
//! | `words` | what all parts share |
//! | `store` | Redis: what it stores, and each script as one step |
//! | `server` | restarts of Redis, and its coming back from an older file |
//! | `broker` | tickets that are lost, doubled and reordered |
//! | `owner` | offers, accounts, patience, and the pause after a restart of Redis |
//! | `worker` | slots, the lease keeper, adoption; calls that are delayed or lose their reply |
//! | `host` | containers with their launchers, and clocks that drift |
//! | `normal` | what needs not be told apart |
//! | `onward` | the way to the Job's end if nothing more fails |
//! | `rules` | what must hold, and what must be reachable |
//! | `guards` | what the protocol relies on, each to be taken out |
//! | `looks` | the bounds of each look that is taken |
//!
//! # How far it looks
//!
//! Each of `looks` is gone through whole: all states that can be reached within its bounds. Any process may
//! stand still at any point, and any reply be late, without a fault being counted. Two states are one if
//! no later step can tell them apart.
//!
//! `nothing-lost` is judged as this: from every state the Job ends if no more faults happen and each part
//! does what it has to do, in an order that is given. It is no proof that every fair order ends.
//!
//! After Redis has come back from an older file, what it forgot is no more expected of it: what was told
//! to it is part of what it stores. Containers and the tokens that were granted are not.
//!
//! # What is left out
//!
//! A Job's rules are tested in `shared/job`: here an index is tried until it succeeds. There are no
//! stops, no restarts in place and no Pods with several containers. Docker's daemon does as it is told,
//! a worker's name stays on its host, and Redis has not forgotten that there is such a worker.

pub mod action;
pub mod bounds;
pub mod broker;
pub mod guards;
pub mod host;
pub mod looks;
mod normal;
pub mod onward;
pub mod owner;
pub mod rules;
pub mod server;
pub mod state;
pub mod store;
pub mod words;
pub mod worker;

use stateright::{Model, Property};

use crate::action::Action;
use crate::bounds::Bounds;
use crate::guards::Guards;
use crate::state::State;

/// The protocol within bounds.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// How far to look.
    pub bounds: Bounds,
    /// What is in place.
    pub guards: Guards,
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State::new(self);
        for action in self.bounds.before {
            action::take(&mut state, self, *action);
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        action::actions(state, self, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = *last;
        action::take(&mut next, self, action);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        rules::properties(self)
    }

    fn within_boundary(&self, state: &State) -> bool {
        let mut records = state.redis.records.iter().zip(self.bounds.attempts);
        records.all(|(record, most)| record.attempt <= most)
    }
}
