//! What must hold, by the names that ARCHITECTURE.md has for it, and what must be reachable.

use stateright::Property;

use crate::Protocol;
use crate::host::{Container, Doing};
use crate::onward::ends;
use crate::state::State;
use crate::store::{Claimed, Phase};
use crate::words::{Call, INDEXES, Outcome};
use crate::worker::{Attempt, Life, Slot, Stage, Worker};

/// At most one container of an index runs, over all hosts.
pub const NEVER_TWICE: &str = "never-twice-at-once";
/// At most one success of an index is accepted, and none under an old token.
pub const ONE_SUCCESS: &str = "one-success";
/// Each grant's token is larger than any before it of the index, those that Redis forgot included.
pub const TOKENS_GROW: &str = "tokens-grow";
/// A complete Job has a success for each index; one that isn't complete ends if nothing more fails.
pub const NOTHING_LOST: &str = "nothing-lost";
/// The Job's failures are those that containers were reported to have had; no disruption counts.
pub const DISRUPTIONS_FREE: &str = "disruptions-free";

/// All properties that a look within these bounds is to judge.
pub fn properties(protocol: &Protocol) -> Vec<Property<Protocol>> {
    let faults = &protocol.bounds.faults;
    let mut all = vec![
        Property::always(NEVER_TWICE, |_, state| never_twice(state)),
        Property::always(ONE_SUCCESS, |_, state| one_success(state)),
        Property::always(TOKENS_GROW, |_, state: &State| !state.fell),
        Property::always(NOTHING_LOST, nothing_lost),
        Property::always(DISRUPTIONS_FREE, |_, state| disruptions_free(state)),
        Property::sometimes("the Job is complete, all faults behind it", |_, state: &State| {
            state.is_complete() && state.budget == Default::default()
        }),
        Property::sometimes("a stale finish is refused", |_, state| {
            attempts(state)
                .any(|attempt| matches!(attempt.stage, Stage::Reporting(_, Call::Answered(false))))
        }),
        Property::sometimes("a lease runs out with its container running", |_, state| {
            containers(state).any(|container| container.doing == Doing::Ended(Outcome::Disruption))
        }),
        Property::sometimes("an attempt is revoked", |_, state: &State| {
            state.redis.ended.iter().flatten().any(|ended| ended.revoked)
        }),
    ];
    let mut add = |possible, property| all.extend(Some(property).filter(|_| possible));
    add(
        faults.doubles > 0,
        Property::sometimes("a doubled ticket is refused", |_, state| {
            answered(state, Claimed::Refused)
        }),
    );
    add(
        faults.crashes > 0,
        Property::sometimes("a running container is adopted", |_, state| adopted(state)),
    );
    add(
        faults.crashes > 0,
        Property::sometimes("a launcher ends what its worker left", |_, state: &State| {
            let mut hosts = state.hosts.iter().zip(&state.workers);
            hosts.any(|(host, worker)| {
                let mut containers = host.containers.iter().flatten();
                let dead = worker.life == Life::Down;
                dead && containers.any(|it| it.doing == Doing::Ended(Outcome::Disruption))
            })
        }),
    );
    add(
        faults.restarts + faults.rewinds > 0,
        Property::sometimes("a claim is refused for the run of Redis", |_, state: &State| {
            state.server > 1 && answered(state, Claimed::Paused)
        }),
    );
    add(
        faults.rewinds > 0,
        Property::sometimes("a forgotten claim is taken back", |_, state: &State| {
            let taken_back = |phase| matches!(phase, Phase::Claimed { claim: 0, .. });
            state.redis.records.iter().any(|record| taken_back(record.phase))
        }),
    );
    add(
        faults.takeovers > 0,
        Property::sometimes("another owner has the shard", |_, state: &State| {
            state.redis.epoch > 1
        }),
    );
    all
}

fn never_twice(state: &State) -> bool {
    (0..INDEXES).all(|index| {
        let of_index = containers(state).filter(|it| usize::from(it.grant.index) == index);
        of_index.filter(|it| it.doing == Doing::Running).count() <= 1
    })
}

fn one_success(state: &State) -> bool {
    let told = &state.redis.told;
    !told.stale && told.successes.iter().all(|successes| *successes <= 1)
}

fn nothing_lost(protocol: &Protocol, state: &State) -> bool {
    let successes = state.redis.told.successes.iter().take(protocol.bounds.indexes);
    let mut records = state.redis.records.iter().zip(successes);
    records.all(|(record, successes)| record.phase != Phase::Done || *successes > 0)
        && (under_way(state) || ends(state, protocol))
}

/// Whether something is under way that comes to its end without more attempts being offered. The state
/// after that end is looked at as well, so its way on is this one's, too.
fn under_way(state: &State) -> bool {
    let accepted = state.redis.run == state.server;
    let ends = |it: &Container| matches!(it.doing, Doing::Starting | Doing::Running);
    let waits = |slot: &Slot| match slot {
        Slot::Claiming { .. } => accepted,
        Slot::Has(attempt) => matches!(attempt.stage, Stage::Reporting(..)),
        Slot::Idle => false,
    };
    let calls =
        |worker: &Worker| worker.renewal.is_some() || matches!(worker.life, Life::Enrolling { .. });
    containers(state).any(ends) || slots(state).any(waits) || state.workers.iter().any(calls)
}

fn disruptions_free(state: &State) -> bool {
    let pending = Phase::Finished(Outcome::Failure);
    let unread = state.redis.records.iter().filter(|record| record.phase == pending).count();
    usize::from(state.redis.failures) + unread == usize::from(state.redis.told.failures)
}

fn containers(state: &State) -> impl Iterator<Item = &Container> {
    state.hosts.iter().flat_map(|host| host.containers.iter().flatten())
}

fn slots(state: &State) -> impl Iterator<Item = &Slot> {
    state.workers.iter().flat_map(|worker| &worker.slots)
}

fn attempts(state: &State) -> impl Iterator<Item = &Attempt> {
    state.workers.iter().flat_map(Worker::attempts)
}

fn answered(state: &State, reply: Claimed) -> bool {
    let reply = Call::Answered(reply);
    slots(state).any(|slot| matches!(slot, Slot::Claiming { call, .. } if *call == reply))
}

fn adopted(state: &State) -> bool {
    let running = |of: &Attempt| {
        containers(state).any(|it| it.grant == of.grant && it.doing == Doing::Running)
    };
    attempts(state).any(|it| !it.ticket && it.stage == Stage::Started && running(it))
}
