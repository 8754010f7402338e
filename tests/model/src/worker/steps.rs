//! What a worker does by itself, and its end.

use super::calls::{self, Which, answer, hear, request, resend};
use super::{Attempt, Life, Renewal, Slot, Stage, Worker, left};
use crate::Protocol;
use crate::action::Action;
use crate::guards::Guards;
use crate::host::Doing;
use crate::state::State;
use crate::store::{Phase, Request};
use crate::words::{Call, Grant, LEASE, Outcome, SLOTS, Ticket};

/// A step of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Redis carries out its call.
    Answer(Which),
    /// It hears the reply.
    Hear(Which),
    /// The reply gets lost.
    LoseReply(Which),
    /// It stops waiting and sends again, while the first request is still on its way.
    TimeOut(Which),
    /// A free slot takes a ticket and claims its attempt.
    Claim(usize, Ticket),
    /// The lease keeper sends a renewal.
    Renew,
    /// It creates a container, with the deadline beside it.
    Create(usize),
    /// It tells the daemon to start the container.
    Start(usize),
    /// It sees that the container has ended, and reports that.
    Report(usize),
    /// The lease ran out before there was a container.
    GiveUp(usize),
    /// It removes what is left of an attempt, and acknowledges its ticket.
    CleanUp(usize),
    /// It hands back what it was given and never had.
    HandBack(u8),
    /// The same, without waiting for the reply.
    HandBackLate(u8),
    /// It removes a container that is nobody's.
    Sweep(Grant),
    /// Its process ends, having been fenced.
    Leave,
    /// Its process is killed. One of its requests may be on its way still.
    Crash(Option<Which>),
    /// A process starts, with a session of its own.
    Restart,
}

/// What a worker may do next.
pub fn steps(state: &State, protocol: &Protocol, at: u8, out: &mut Vec<Action>) {
    let worker = &state.workers[usize::from(at)];
    let mut may = |step| out.push(Action::Worker(at, step));
    match worker.life {
        Life::Down => return may(Step::Restart),
        Life::Leaving if worker.slots.iter().all(|slot| *slot == Slot::Idle) => may(Step::Leave),
        _ => {}
    }
    for (slot, content) in worker.slots.iter().enumerate() {
        if let Slot::Has(attempt) = content {
            attempt_step(state, at, slot, attempt).into_iter().for_each(&mut may);
        }
    }
    if worker.life == Life::Up {
        let due = worker.attempts().any(|attempt| attempt.left < left(&protocol.guards, 0));
        if worker.renewal.is_none() && (due || worker.suspect) {
            may(Step::Renew);
        }
        let taken = worker.slots.iter().filter(|slot| **slot != Slot::Idle).count();
        let free = worker.slots.iter().position(|slot| *slot == Slot::Idle);
        if let Some(slot) = free.filter(|_| taken < protocol.bounds.slots[usize::from(at)]) {
            state.tickets().for_each(|ticket| may(Step::Claim(slot, ticket)));
        }
        for (index, unnamed) in (0u8..).zip(worker.unnamed) {
            let Some(unnamed) = unnamed else { continue };
            if unnamed.age >= LEASE && worker.renewal.is_none() && !worker.has(unnamed.grant) {
                may(Step::HandBack(index));
                if state.budget.late > 0 && state.stray.is_none() {
                    may(Step::HandBackLate(index));
                }
            }
        }
        for container in state.hosts[usize::from(at)].containers.iter().flatten() {
            if !worker.has(container.grant) && !is_current(state, container.grant) {
                may(Step::Sweep(container.grant));
            }
        }
    }
    if state.budget.crashes > 0 {
        may(Step::Crash(None));
        if state.budget.late > 0 && state.stray.is_none() {
            let sent = [Which::Renew, Which::Slot(0), Which::Slot(1)];
            sent.into_iter()
                .filter(|which| is_sent(worker, *which))
                .for_each(|which| may(Step::Crash(Some(which))));
        }
    }
    calls::steps(state, at, out);
}

fn attempt_step(state: &State, at: u8, slot: usize, attempt: &Attempt) -> Option<Step> {
    let host = &state.hosts[usize::from(at)];
    match attempt.stage {
        Stage::Claimed if attempt.left == 0 => Some(Step::GiveUp(slot)),
        Stage::Claimed => host.has_room().then_some(Step::Create(slot)),
        Stage::Created => Some(Step::Start(slot)),
        Stage::Started => {
            let found = host.containers.iter().flatten();
            let mut own = found.filter(|container| container.grant == attempt.grant);
            let ended = own.all(|container| matches!(container.doing, Doing::Ended(_)));
            ended.then_some(Step::Report(slot))
        }
        Stage::Reporting(..) => None,
        Stage::Over => Some(Step::CleanUp(slot)),
    }
}

fn is_sent(worker: &Worker, which: Which) -> bool {
    match which {
        Which::Enroll => false,
        Which::Renew => worker.renewal.is_some_and(|renewal| renewal.call == Call::Sent),
        Which::Slot(slot) => matches!(
            worker.slots[slot],
            Slot::Claiming { call: Call::Sent, .. }
                | Slot::Has(Attempt { stage: Stage::Reporting(_, Call::Sent), .. })
        ),
    }
}

fn is_current(state: &State, grant: Grant) -> bool {
    let record = state.redis.records[usize::from(grant.index)];
    let held = matches!(record.phase, Phase::Claimed { token, .. } if token == grant.token);
    held && record.attempt == grant.attempt
}

/// Takes a step of a worker.
pub fn take(state: &mut State, protocol: &Protocol, at: u8, step: Step) {
    let guards = &protocol.guards;
    take_alone(state, guards, at, step);
    let sent = match step {
        Step::Claim(slot, _) | Step::Report(slot) | Step::GiveUp(slot) => Which::Slot(slot),
        Step::Renew => Which::Renew,
        _ => return,
    };
    if protocol.bounds.swift {
        answer(state, guards, at, sent);
    }
}

fn take_alone(state: &mut State, guards: &Guards, at: u8, step: Step) {
    let fresh = if let Step::Claim(..) = step { fresh_claim(state, at) } else { 0 };
    let State { redis, workers, hosts, stray, budget, .. } = state;
    let worker = &mut workers[usize::from(at)];
    let host = &mut hosts[usize::from(at)];
    match step {
        Step::Answer(which) => answer(state, guards, at, which),
        Step::Hear(which) => hear(state, guards, at, which),
        Step::LoseReply(which) => {
            budget.lost -= 1;
            resend(worker, which);
        }
        Step::TimeOut(which) => {
            budget.late -= 1;
            *stray = request(worker, at, which);
            resend(worker, which);
        }
        Step::Claim(slot, ticket) => {
            worker.slots[slot] = Slot::Claiming { ticket, claim: fresh, age: 0, call: Call::Sent };
            state.take_ticket(ticket);
        }
        Step::Renew => {
            let mut names = [None; SLOTS];
            for (name, attempt) in names.iter_mut().zip(worker.attempts()) {
                *name = Some(attempt.grant);
            }
            worker.suspect = false;
            worker.renewal = Some(Renewal { age: 0, names, call: Call::Sent });
        }
        Step::Create(slot) | Step::Start(slot) | Step::Report(slot) | Step::GiveUp(slot) => {
            let Slot::Has(attempt) = &mut worker.slots[slot] else { return };
            let container = host.container(attempt.grant);
            attempt.stage = match (step, container) {
                (Step::Start(_), Some(container)) => {
                    container.doing = Doing::Starting;
                    Stage::Started
                }
                (Step::Report(_), Some(container)) => {
                    let Doing::Ended(outcome) = container.doing else { return };
                    Stage::Reporting(outcome, Call::Sent)
                }
                (Step::Create(_), _) => {
                    host.create(attempt.grant, attempt.left);
                    Stage::Created
                }
                _ => Stage::Reporting(Outcome::Disruption, Call::Sent),
            };
        }
        Step::CleanUp(slot) => {
            if let Slot::Has(attempt) = std::mem::replace(&mut worker.slots[slot], Slot::Idle) {
                host.remove(attempt.grant);
            }
        }
        Step::HandBack(index) | Step::HandBackLate(index) => {
            let Some(unnamed) = worker.unnamed[usize::from(index)] else { return };
            let grant = unnamed.grant;
            if let Step::HandBack(_) = step {
                worker.unnamed[usize::from(index)] = None;
                redis.finish(guards, grant, Outcome::Disruption);
            } else {
                budget.late -= 1;
                *stray = Some(Request::Finish { grant, outcome: Outcome::Disruption });
            }
        }
        Step::Sweep(grant) => host.remove(grant),
        Step::Leave => *worker = Worker::new(Life::Down, worker.session),
        Step::Crash(on_its_way) => {
            budget.crashes -= 1;
            if let Some(which) = on_its_way {
                budget.late -= 1;
                *stray = request(worker, at, which);
            }
            let slots = worker.slots;
            *worker = Worker::new(Life::Down, worker.session);
            for slot in slots {
                match slot {
                    Slot::Claiming { ticket, .. } => state.put_ticket(ticket),
                    Slot::Has(Attempt { grant, ticket: true, .. }) => {
                        let Grant { index, attempt, .. } = grant;
                        state.put_ticket(Ticket { index, attempt });
                    }
                    _ => {}
                }
            }
        }
        Step::Restart => restart(worker),
    }
}

/// A process starts and takes over the worker's name.
fn restart(worker: &mut Worker) {
    worker.session += 1;
    worker.life = Life::Enrolling { age: 0, call: Call::Sent };
}

/// An id for a claim that no record and no request has.
fn fresh_claim(state: &State, at: u8) -> u8 {
    let in_slots = state.workers[usize::from(at)].slots.iter().filter_map(|slot| match slot {
        Slot::Claiming { claim, .. } => Some(*claim),
        Slot::Idle | Slot::Has(_) => None,
    });
    let stores = [Some(state.redis), state.file].into_iter().flatten();
    let in_records =
        stores.flat_map(|redis| redis.records).filter_map(|record| match record.phase {
            Phase::Claimed { worker, claim, .. } if worker == at => Some(claim),
            _ => None,
        });
    let under_way = state.stray.and_then(|request| match request {
        Request::Claim { worker, claim, .. } if worker == at => Some(claim),
        _ => None,
    });
    let used: u64 = in_slots.chain(in_records).chain(under_way).fold(0, |used, id| used | 1 << id);
    (1..).find(|id| used & (1 << id) == 0).unwrap_or_default()
}
