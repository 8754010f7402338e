//! The way on: what happens if nothing fails any more and each part does what it has to do.

use crate::action::{Action, actions, take};
use crate::state::State;
use crate::words::Outcome;
use crate::worker::{Life, Slot, Stage, Which};
use crate::{Protocol, host, owner, server, worker};

/// More steps than any way to the end has.
const STEPS: usize = 300;

/// Whether the Job ends if nothing fails any more.
pub fn ends(state: &State, protocol: &Protocol) -> bool {
    let mut state = *state;
    let mut all = Vec::with_capacity(32);
    for _ in 0..STEPS {
        if state.is_complete() {
            return true;
        }
        all.clear();
        actions(&state, protocol, &mut all);
        let ranked =
            all.iter().filter_map(|action| Some((rank(&state, protocol, action)?, *action)));
        let Some((_, next)) = ranked.min_by_key(|(rank, _)| *rank) else { return false };
        take(&mut state, protocol, next);
    }
    false
}

/// What is done first; `None` for faults, and for what would be done again and again.
fn rank(state: &State, protocol: &Protocol, action: &Action) -> Option<u8> {
    match action {
        Action::Tick(by) => (*by == [1, 1]).then_some(9),
        Action::Broker(_) => None,
        Action::Server(step) => (*step == server::Step::CarryOut).then_some(0),
        Action::Host(_, host::Step::Launch(_) | host::Step::Exit(_, Outcome::Success)) => Some(3),
        Action::Host(..) => None,
        Action::Owner(coordinator, step) => owners(state, protocol, *coordinator, *step),
        Action::Worker(at, step) => workers(state, *at, *step),
    }
}

fn owners(state: &State, protocol: &Protocol, coordinator: u8, step: owner::Step) -> Option<u8> {
    let guards = &protocol.guards;
    let term = &state.terms[usize::from(coordinator)];
    match step {
        owner::Step::Own => (!owner::is_owned(state, guards)).then_some(4),
        owner::Step::CommitLate(_) => None,
        _ if term.is_none() => None,
        owner::Step::Fenced | owner::Step::CommitLands => Some(1),
        owner::Step::Accept | owner::Step::Expire(..) | owner::Step::Commit(_) => Some(5),
        // What is published during a pause comes to nothing, so owners wait; old tickets may still be around.
        owner::Step::Publish(_) => term.is_some_and(|term| term.pause.is_none()).then_some(5),
    }
}

fn workers(state: &State, at: u8, step: worker::Step) -> Option<u8> {
    let worker = &state.workers[usize::from(at)];
    match step {
        worker::Step::LoseReply(_)
        | worker::Step::TimeOut(_)
        | worker::Step::HandBackLate(_)
        | worker::Step::Crash(_) => None,
        worker::Step::Hear(_) => Some(1),
        worker::Step::Answer(Which::Slot(slot)) => {
            let waits = matches!(worker.slots[slot], Slot::Claiming { .. });
            // One that has heard that it isn't enrolled waits for its renewal first.
            let fenced = worker.suspect
                && worker.life == Life::Up
                && state.redis.sessions[usize::from(at)] != worker.session;
            (!waits || !fenced).then_some(2)
        }
        worker::Step::Answer(_) => Some(2),
        worker::Step::Renew => {
            let unsure = worker.attempts().any(|attempt| attempt.stage == Stage::Claimed);
            (worker.suspect || unsure).then_some(6)
        }
        worker::Step::Claim(..) => Some(7),
        _ => Some(3),
    }
}
