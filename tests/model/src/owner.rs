//! The owner: it offers, accounts for ends, and takes attempts whose lease has run out.

use crate::Protocol;
use crate::action::Action;
use crate::guards::Guards;
use crate::state::State;
use crate::store::{Phase, Record};
use crate::words::{COORDINATORS, LEASE, Outcome, SLACK, Ticket, WORKERS};

/// One term of a shard's owner. It may be over without its coordinator knowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    /// Its epoch.
    pub epoch: u8,
    /// The run of Redis that it was taken under.
    pub run: u8,
    /// Ticks until it accepts the run of Redis under which it took the shard; `None` once it has.
    pub pause: Option<u8>,
    /// The sessions that hold attempts, as last seen.
    pub patience: [Option<Patience>; WORKERS],
    /// A commit that is under way.
    pub commit: Option<Commit>,
}

/// How long a session's counter has stood still for an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Patience {
    /// The session.
    pub session: u8,
    /// The ticks that count.
    pub silent: u8,
}

/// What an owner has worked out and has yet to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    /// The index.
    pub index: u8,
    /// Its new record.
    pub record: Record,
    /// The failures in the Job's header.
    pub failures: u8,
}

/// A step of a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It takes the shard.
    Own,
    /// A write of its is refused, so its term is over.
    Fenced,
    /// It takes an index from a worker whose session has been silent for a lease and more.
    Expire(u8, u8),
    /// It offers an index, or accounts for the end of an attempt.
    Commit(u8),
    /// It does the same, and the commit stays on its way.
    CommitLate(u8),
    /// That commit reaches Redis.
    CommitLands,
    /// It publishes the ticket of an offered attempt again.
    Publish(u8),
    /// It allows claims on this run of Redis.
    Accept,
}

/// What a coordinator may do next.
pub fn steps(state: &State, protocol: &Protocol, coordinator: u8, out: &mut Vec<Action>) {
    let guards = &protocol.guards;
    let mut may = |step| out.push(Action::Owner(coordinator, step));
    // Coordinators are alike, so one that never had a term takes the shard, or else the first that isn't
    // the owner.
    let never = state.terms.iter().position(Option::is_none);
    let other = |term: &Option<Term>| term.is_some_and(|term| !is_latest(state, &term));
    let next = never.filter(|at| *at < protocol.bounds.coordinators);
    let next = next.or_else(|| state.terms.iter().position(other));
    let next = next.is_none_or(|next| next == usize::from(coordinator));
    if next && (state.budget.takeovers > 0 || !is_owned(state, guards)) {
        may(Step::Own);
    }
    let Some(term) = &state.terms[usize::from(coordinator)] else { return };
    if !state.redis.owns(guards, state.server, term) {
        return may(Step::Fenced);
    }
    if term.pause == Some(0) {
        may(Step::Accept);
    }
    if term.commit.is_some() {
        may(Step::CommitLands);
    }
    for (index, record) in (0u8..).zip(&state.redis.records) {
        match record.phase {
            Phase::Waiting | Phase::Finished(_) if term.commit.is_none() => {
                may(Step::Commit(index));
                if state.budget.late > 0 {
                    may(Step::CommitLate(index));
                }
            }
            Phase::Offered if guards.republish && is_missing(state, index, record) => {
                may(Step::Publish(index));
            }
            _ => {}
        }
        for (worker, patience) in (0u8..).zip(term.patience) {
            let silent = patience.is_some_and(|patience| patience.silent >= patience_of(guards));
            let held = matches!(record.phase, Phase::Claimed { worker: by, .. } if by == worker);
            let ended = matches!(record.phase, Phase::Finished(_)) && !guards.record;
            if silent && (held || ended) {
                may(Step::Expire(worker, index));
            }
        }
    }
}

/// Takes a step of a coordinator.
pub fn take(state: &mut State, guards: &Guards, coordinator: u8, step: Step) {
    let at = usize::from(coordinator);
    if step == Step::Own {
        let valid = is_owned(state, guards);
        state.budget.takeovers -= u8::from(valid);
        return own(state, guards, coordinator);
    }
    let Some(mut term) = state.terms[at] else { return };
    match step {
        Step::Own => {}
        Step::Fenced => state.terms[at] = None,
        Step::Expire(worker, index) => {
            let patience = term.patience[usize::from(worker)];
            let session = patience.map_or(0, |patience| patience.session);
            state.redis.expire(guards, coordinator, (worker, session), index);
        }
        Step::Commit(index) => {
            let commit = work_out(state, index);
            store(state, commit);
        }
        Step::CommitLate(index) => {
            state.budget.late -= 1;
            term.commit = Some(work_out(state, index));
            state.terms[at] = Some(term);
        }
        Step::CommitLands => {
            if let Some(commit) = term.commit.take() {
                state.terms[at] = Some(term);
                store(state, commit);
            }
        }
        Step::Publish(index) => {
            let attempt = state.redis.records[usize::from(index)].attempt;
            state.put_ticket(Ticket { index, attempt });
        }
        Step::Accept => {
            state.terms[at] = Some(Term { pause: None, ..term });
            state.redis.accept(state.server, state.wall);
        }
    }
}

/// Time passes for all owners. Each looks at the sessions' counters right before and right after: none is
/// less patient than that.
pub fn tick(state: &mut State) {
    for coordinator in 0..COORDINATORS {
        let Some(mut term) = state.terms[coordinator] else { continue };
        term.pause = term.pause.map(|pause| pause.saturating_sub(1));
        for (worker, patience) in (0u8..).zip(&mut term.patience) {
            let at = usize::from(worker);
            let session = state.redis.sessions[at];
            let holds = state.redis.held(worker, session).iter().any(Option::is_some);
            let seen = state.redis.seen[at] & (1 << coordinator) != 0;
            let silent = patience.filter(|before| seen && before.session == session);
            let silent = silent.map_or(0, |before| before.silent);
            *patience =
                holds.then(|| Patience { session, silent: (silent + 1).min(LEASE + SLACK) });
            state.redis.seen[at] |= u8::from(holds) << coordinator;
        }
        state.terms[coordinator] = Some(term);
    }
}

/// Whether the latest owner's writes count.
pub fn is_owned(state: &State, guards: &Guards) -> bool {
    let mut terms = state.terms.iter().flatten().filter(|term| is_latest(state, term));
    terms.any(|term| state.redis.owns(guards, state.server, term))
}

fn is_latest(state: &State, term: &Term) -> bool {
    term.epoch == state.redis.epoch && term.run == state.server
}

/// Takes the shard.
pub fn own(state: &mut State, guards: &Guards, coordinator: u8) {
    let never_served = state.redis.run == 0;
    let accepted = state.redis.run == state.server;
    let at_once = !guards.pause || (never_served && !guards.fresh);
    for seen in &mut state.redis.seen {
        *seen &= !(1 << coordinator);
    }
    state.terms[usize::from(coordinator)] = Some(Term {
        epoch: state.redis.own(state.server),
        run: state.server,
        pause: (!accepted).then(|| if at_once { 0 } else { patience_of(guards) }),
        patience: [None; WORKERS],
        commit: None,
    });
}

/// How long a session may be silent.
fn patience_of(guards: &Guards) -> u8 {
    LEASE + if guards.slack { SLACK } else { 0 }
}

/// What follows from an index's record, as `shared/job` has it.
fn work_out(state: &State, index: u8) -> Commit {
    let Record { attempt, phase } = state.redis.records[usize::from(index)];
    let (attempt, phase, failed) = match phase {
        Phase::Finished(Outcome::Success) => (attempt, Phase::Done, 0),
        Phase::Finished(Outcome::Failure) => (attempt + 1, Phase::Offered, 1),
        Phase::Finished(Outcome::Disruption) => (attempt + 1, Phase::Offered, 0),
        Phase::Waiting => (attempt, Phase::Offered, 0),
        phase @ (Phase::Offered | Phase::Claimed { .. } | Phase::Done) => (attempt, phase, 0),
    };
    let failures = state.redis.failures + failed;
    Commit { index, record: Record { attempt, phase }, failures }
}

/// Stores a commit; what it offers is published then.
fn store(state: &mut State, commit: Commit) {
    state.redis.commit(commit);
    if commit.record.phase == Phase::Offered {
        state.put_ticket(Ticket { index: commit.index, attempt: commit.record.attempt });
    }
}

/// Whether there is no ticket of an offered attempt, in the queue or with a worker that claims.
fn is_missing(state: &State, index: u8, record: &Record) -> bool {
    let ticket = Ticket { index, attempt: record.attempt };
    state.tickets().all(|other| other != ticket) && !state.is_being_claimed(ticket)
}
