//! The Redis server: it restarts, and may come back from an older file.

use crate::action::Action;
use crate::guards::Guards;
use crate::state::State;
use crate::store::Redis;
use crate::words::{Call, WORKERS};

/// What happens to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It writes the file that it may come back from.
    Save,
    /// It restarts and has forgotten nothing.
    Restart,
    /// It restarts from the file.
    Rewind,
    /// Its host's clock is set back.
    SetClock,
    /// It carries out a request that nobody waits for.
    CarryOut,
}

/// What may happen to the server.
pub fn steps(state: &State, out: &mut Vec<Action>) {
    let budget = &state.budget;
    let mut may = |step, if_so| {
        if if_so {
            out.push(Action::Server(step));
        }
    };
    may(Step::Save, budget.rewinds > 0 && state.file.is_none());
    may(Step::Restart, budget.restarts > 0);
    may(Step::Rewind, budget.rewinds > 0 && state.file.is_some());
    may(Step::SetClock, budget.clock > 0);
    may(Step::CarryOut, state.stray.is_some());
}

/// Takes such a step.
pub fn take(state: &mut State, guards: &Guards, step: Step) {
    match step {
        Step::Save => state.file = Some(Redis { seen: [0; WORKERS], ..state.redis }),
        Step::Restart => {
            state.budget.restarts -= 1;
            restart(state);
        }
        Step::Rewind => {
            state.budget.rewinds -= 1;
            if let Some(file) = state.file.take() {
                state.redis = file;
            }
            restart(state);
        }
        Step::SetClock => {
            state.budget.clock -= 1;
            // A restart and its pause put it on by two.
            state.wall = state.wall.saturating_sub(if guards.clock { 1 } else { 3 });
        }
        Step::CarryOut => {
            if let Some(request) = state.stray.take() {
                state.carry_out(guards, request);
            }
        }
    }
}

/// A new run of the server. What was on its way to the old one comes to nothing; what is waited for is
/// sent again, renewals as new ones.
fn restart(state: &mut State) {
    state.server += 1;
    state.wall += 2;
    state.stray = None;
    for worker in &mut state.workers {
        worker.renewal = worker.renewal.filter(|renewal| renewal.call != Call::Sent);
    }
}
