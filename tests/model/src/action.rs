//! One step of anything.

use crate::state::State;
use crate::words::{COORDINATORS, WORKERS};
use crate::{Protocol, broker, host, owner, server, worker};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// One tick of the owner's clock passes, and so much on each host.
    Tick([u8; WORKERS]),
    /// A worker does something, or something happens to it.
    Worker(u8, worker::Step),
    /// A host does something by itself.
    Host(u8, host::Step),
    /// A coordinator does something.
    Owner(u8, owner::Step),
    /// The broker fails.
    Broker(broker::Step),
    /// Redis does something by itself.
    Server(server::Step),
}

/// All that may happen next. Nothing is granted any more once the Job is complete, unless Redis or a
/// former owner reopens it.
pub fn actions(state: &State, protocol: &Protocol, out: &mut Vec<Action>) {
    let guards = &protocol.guards;
    if state.is_complete() && state.budget.rewinds == 0 && guards.epoch && guards.term {
        return;
    }
    for at in 0..WORKERS as u8 {
        worker::steps(state, protocol, at, out);
        host::steps(state, at, out);
    }
    for coordinator in 0..(protocol.bounds.coordinators.min(COORDINATORS)) as u8 {
        owner::steps(state, protocol, coordinator, out);
    }
    broker::steps(state, out);
    server::steps(state, out);
    host::ticks(state, protocol, out);
}

/// Takes a step.
pub fn take(state: &mut State, protocol: &Protocol, action: Action) {
    let guards = &protocol.guards;
    match action {
        Action::Tick(by) => host::tick(state, guards, by),
        Action::Worker(at, step) => worker::take(state, protocol, at, step),
        Action::Host(at, step) => host::take(state, guards, at, step),
        Action::Owner(coordinator, step) => owner::take(state, guards, coordinator, step),
        Action::Broker(step) => broker::take(state, step),
        Action::Server(step) => server::take(state, guards, step),
    }
    state.normalise(protocol);
}
