//! A worker's calls to Redis: each may be delayed on its way, and its reply as well, or be lost.

use super::{Attempt, Life, Renewal, Slot, Stage, Step, Unnamed, Worker, left};
use crate::action::Action;
use crate::guards::Guards;
use crate::host::Doing;
use crate::state::State;
use crate::store::{Claimed, Held, Renewed, Request};
use crate::words::{Call, Grant, Outcome, SLOTS};

/// Which call of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one that takes over its name.
    Enroll,
    /// The lease keeper's.
    Renew,
    /// The claim or the report of a slot.
    Slot(usize),
}

/// What may happen to the calls of a worker.
pub(super) fn steps(state: &State, at: u8, out: &mut Vec<Action>) {
    let worker = &state.workers[usize::from(at)];
    let mut each = |which, answered| {
        let budget = &state.budget;
        if answered {
            out.push(Action::Worker(at, Step::Hear(which)));
            if budget.lost > 0 {
                out.push(Action::Worker(at, Step::LoseReply(which)));
            }
        } else {
            out.push(Action::Worker(at, Step::Answer(which)));
            if budget.late > 0 && state.stray.is_none() && which != Which::Enroll {
                out.push(Action::Worker(at, Step::TimeOut(which)));
            }
        }
    };
    if let Life::Enrolling { call, .. } = worker.life {
        each(Which::Enroll, matches!(call, Call::Answered(_)));
    }
    if let Some(renewal) = worker.renewal {
        each(Which::Renew, matches!(renewal.call, Call::Answered(_)));
    }
    for (slot, content) in worker.slots.iter().enumerate() {
        match content {
            Slot::Claiming { call, .. } => each(Which::Slot(slot), *call != Call::Sent),
            Slot::Has(Attempt { stage: Stage::Reporting(_, call), .. }) => {
                each(Which::Slot(slot), *call != Call::Sent);
            }
            _ => {}
        }
    }
}

/// Redis carries out a call and answers.
pub(super) fn answer(state: &mut State, guards: &Guards, at: u8, which: Which) {
    let Some(request) = request(&state.workers[usize::from(at)], at, which) else {
        let worker = &mut state.workers[usize::from(at)];
        if let Life::Enrolling { call, .. } = &mut worker.life {
            *call = Call::Answered(state.redis.enroll(at, worker.session));
        }
        return;
    };
    let reply = state.carry_out(guards, request);
    let worker = &mut state.workers[usize::from(at)];
    match (which, reply) {
        (Which::Renew, Reply::Renewed(reply)) => {
            if let Some(renewal) = &mut worker.renewal {
                renewal.call = Call::Answered(reply);
            }
        }
        (Which::Slot(slot), reply) => match (&mut worker.slots[slot], reply) {
            (Slot::Claiming { call, .. }, Reply::Claimed(reply)) => *call = Call::Answered(reply),
            (
                Slot::Has(Attempt { stage: Stage::Reporting(_, call), .. }),
                Reply::Finished(taken),
            ) => {
                *call = Call::Answered(taken);
            }
            _ => {}
        },
        _ => {}
    }
}

/// What a call asks of Redis; `None` for enrolling.
pub(super) fn request(worker: &Worker, at: u8, which: Which) -> Option<Request> {
    let session = worker.session;
    match which {
        Which::Enroll => None,
        Which::Renew => {
            let names = worker.renewal?.names;
            Some(Request::Renew { worker: at, session, names })
        }
        Which::Slot(slot) => match worker.slots[slot] {
            Slot::Claiming { ticket, claim, .. } => {
                Some(Request::Claim { worker: at, session, ticket, claim })
            }
            Slot::Has(Attempt { grant, stage: Stage::Reporting(outcome, _), .. }) => {
                Some(Request::Finish { grant, outcome })
            }
            _ => None,
        },
    }
}

/// The call gets no reply: it is sent again, a renewal as a new one.
pub(super) fn resend(worker: &mut Worker, which: Which) {
    match which {
        Which::Enroll => {
            if let Life::Enrolling { call, .. } = &mut worker.life {
                *call = Call::Sent;
            }
        }
        Which::Renew => worker.renewal = None,
        Which::Slot(slot) => match &mut worker.slots[slot] {
            Slot::Claiming { call, .. } => *call = Call::Sent,
            Slot::Has(Attempt { stage: Stage::Reporting(_, call), .. }) => *call = Call::Sent,
            _ => {}
        },
    }
}

/// The worker hears a reply.
pub(super) fn hear(state: &mut State, guards: &Guards, at: u8, which: Which) {
    let worker = &state.workers[usize::from(at)];
    match (which, worker.life, worker.renewal) {
        (Which::Enroll, Life::Enrolling { age, call: Call::Answered(held) }, _) => {
            adopt(state, guards, at, age, held);
        }
        (Which::Renew, _, Some(Renewal { age, names, call: Call::Answered(reply) })) => {
            renewed(state, guards, at, (age, names), reply);
        }
        (Which::Slot(slot), ..) => match worker.slots[slot] {
            Slot::Claiming { call: Call::Answered(reply), .. } => {
                claimed(state, guards, at, slot, reply);
            }
            Slot::Has(_) => set_stage(&mut state.workers[usize::from(at)].slots[slot], Stage::Over),
            _ => {}
        },
        _ => {}
    }
}

fn claimed(state: &mut State, guards: &Guards, at: u8, slot: usize, reply: Claimed) {
    let worker = &mut state.workers[usize::from(at)];
    let Slot::Claiming { ticket, age, claim, .. } = worker.slots[slot] else { return };
    match reply {
        Claimed::Granted(token) => {
            let grant = Grant { index: ticket.index, attempt: ticket.attempt, token };
            let left = left(guards, age);
            let attempt = Attempt { grant, left, stage: Stage::Claimed, ticket: true };
            worker.slots[slot] = Slot::Has(attempt);
        }
        // Of a paused shard: its owner publishes what is offered once it grants claims.
        Claimed::Refused | Claimed::Paused => worker.slots[slot] = Slot::Idle,
        Claimed::Fenced if worker.life == Life::Leaving => {
            worker.slots[slot] = Slot::Idle;
            state.put_ticket(ticket);
        }
        // One of the calls before may have been granted: the lease counts from the first.
        Claimed::Fenced => {
            worker.slots[slot] = Slot::Claiming { ticket, claim, age, call: Call::Sent };
            worker.suspect = true;
        }
    }
}

fn renewed(
    state: &mut State,
    guards: &Guards,
    at: u8,
    (age, names): (u8, [Option<Grant>; SLOTS]),
    reply: Renewed,
) {
    let worker = &mut state.workers[usize::from(at)];
    let host = &mut state.hosts[usize::from(at)];
    worker.renewal = None;
    let Renewed::Renewed { go, unnamed } = reply else {
        worker.life = Life::Leaving;
        for slot in &mut worker.slots {
            set_stage(slot, Stage::Over);
        }
        return;
    };
    for (name, go) in names.into_iter().zip(go) {
        for slot in &mut worker.slots {
            let Slot::Has(attempt) = slot else { continue };
            if Some(attempt.grant) != name {
                continue;
            }
            if !go {
                attempt.stage = Stage::Over;
            } else if attempt.left > 0 || !guards.lapse {
                attempt.left = attempt.left.max(left(guards, age));
                host.write_deadline(attempt.grant, attempt.left);
            }
        }
    }
    for (known, held) in worker.unnamed.iter_mut().zip(unnamed) {
        *known = held.map(|grant| match known {
            Some(known) if known.grant == grant => *known,
            _ => Unnamed { grant, age: 0 },
        });
    }
}

/// A worker that comes back takes up what its predecessor ran; its lease counts from before it enrolled.
fn adopt(state: &mut State, guards: &Guards, at: u8, age: u8, held: Held) {
    let worker = &mut state.workers[usize::from(at)];
    let host = &mut state.hosts[usize::from(at)];
    worker.life = Life::Up;
    let mut slots = worker.slots.iter_mut();
    for grant in held.into_iter().flatten() {
        // What isn't on this host is left to its lease.
        let Some(container) = host.container(grant) else { continue };
        let Some(slot) = slots.next() else { break };
        let left = left(guards, age);
        let stage = match container.doing {
            // Its start may be under way: it is ended for sure, and handed back.
            Doing::Nothing | Doing::Starting => {
                host.remove(grant);
                Stage::Reporting(Outcome::Disruption, Call::Sent)
            }
            Doing::Running | Doing::Ended(_) => {
                host.write_deadline(grant, left);
                Stage::Started
            }
        };
        *slot = Slot::Has(Attempt { grant, left, stage, ticket: false });
    }
}

fn set_stage(slot: &mut Slot, stage: Stage) {
    if let Slot::Has(attempt) = slot {
        attempt.stage = stage;
    }
}

/// What Redis replies.
pub(crate) enum Reply {
    /// To a claim.
    Claimed(Claimed),
    /// To a renewal.
    Renewed(Renewed),
    /// To the report of an end: whether it was taken.
    Finished(bool),
}

impl State {
    /// Redis carries out a request.
    pub(crate) fn carry_out(&mut self, guards: &Guards, request: Request) -> Reply {
        match request {
            Request::Claim { worker, session, ticket, claim } => {
                let before = self.redis.token;
                let by = (worker, session);
                let reply = self.redis.claim(guards, self.server, by, ticket, claim);
                if self.redis.token != before {
                    let highest = &mut self.highest[usize::from(ticket.index)];
                    self.fell |= self.redis.token <= *highest;
                    *highest = self.redis.token.max(*highest);
                }
                Reply::Claimed(reply)
            }
            Request::Renew { worker, session, names } => {
                Reply::Renewed(self.redis.renew(guards, (worker, session), &names))
            }
            Request::Finish { grant, outcome } => {
                Reply::Finished(self.redis.finish(guards, grant, outcome))
            }
        }
    }
}
