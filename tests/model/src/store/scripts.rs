//! The scripts: each is one step. `shared/store/src/scripts` has one file for each of these.

use super::{Claimed, Ended, Held, Phase, Record, Redis, Renewed, Told};
use crate::guards::Guards;
use crate::owner::{Commit, Term};
use crate::words::{Grant, INDEXES, Outcome, SLOTS, Ticket, Token, WORKERS};

impl Redis {
    /// A Job that was created, with this many indexes, in a shard that has never had an owner.
    pub fn new(indexes: usize) -> Self {
        let mut records = [Record { attempt: 1, phase: Phase::Waiting }; INDEXES];
        for record in records.iter_mut().skip(indexes) {
            record.phase = Phase::Done;
        }
        Self {
            records,
            ended: [None; INDEXES],
            sessions: [1; WORKERS],
            seen: [0; WORKERS],
            run: 0,
            token: Token::default(),
            epoch: 0,
            base: 0,
            failures: 0,
            told: Told::default(),
        }
    }

    /// `claim.lua`.
    pub fn claim(
        &mut self,
        guards: &Guards,
        server: u8,
        (worker, session): (u8, u8),
        ticket: Ticket,
        id: u8,
    ) -> Claimed {
        if self.sessions[usize::from(worker)] != session {
            return Claimed::Fenced;
        }
        let record = self.records[usize::from(ticket.index)];
        let current = record.attempt == ticket.attempt;
        if let Phase::Claimed { token, worker: holder, session: held, claim } = record.phase
            && current
            && (holder, held, claim) == (worker, session, id)
        {
            return Claimed::Granted(token);
        }
        if guards.run && self.run != server {
            return Claimed::Paused;
        }
        if !current || record.phase != Phase::Offered {
            return Claimed::Refused;
        }
        self.token.counter += 1;
        let token = self.token;
        self.records[usize::from(ticket.index)].phase =
            Phase::Claimed { token, worker, session, claim: id };
        self.moved(worker);
        Claimed::Granted(token)
    }

    /// `renew.lua`.
    pub fn renew(
        &mut self,
        guards: &Guards,
        (worker, session): (u8, u8),
        names: &[Option<Grant>; SLOTS],
    ) -> Renewed {
        if self.sessions[usize::from(worker)] != session {
            return Renewed::Fenced;
        }
        let mut go = [false; SLOTS];
        let mut unnamed = [None; INDEXES];
        for (go, grant) in go.iter_mut().zip(names) {
            let Some(grant) = grant else { continue };
            let record = &mut self.records[usize::from(grant.index)];
            if record.phase == Phase::Offered && record.attempt == grant.attempt {
                record.phase = Phase::Claimed { token: grant.token, worker, session, claim: 0 };
            }
            *go = record.is_held(worker, session) && record.is(guards, grant);
        }
        let held = self.held(worker, session);
        for grant in held.into_iter().flatten() {
            let named = names.iter().zip(go);
            let named = named.filter(|(_, go)| *go).filter_map(|(name, _)| *name);
            if named.map(|name| name.index).all(|index| index != grant.index) {
                unnamed[usize::from(grant.index)] = Some(grant);
            }
        }
        if held.iter().any(Option::is_some) {
            self.moved(worker);
        }
        Renewed::Renewed { go, unnamed }
    }

    /// `finish.lua`. A repeat finds the attempt ended by it, which changes nothing.
    pub fn finish(&mut self, guards: &Guards, grant: Grant, outcome: Outcome) -> bool {
        let index = usize::from(grant.index);
        let record = self.records[index];
        if let Phase::Claimed { token, .. } = record.phase
            && record.is(guards, &grant)
        {
            self.told.stale |= token != grant.token;
            match outcome {
                Outcome::Success => self.told.successes[index] += 1,
                Outcome::Failure => self.told.failures += 1,
                Outcome::Disruption => {}
            }
            self.end(Grant { token, ..grant }, outcome, false);
            return true;
        }
        self.ended[index] == Some(Ended { grant, revoked: false })
    }

    /// `expire.lua`, for what the session of a worker holds of an index. `coordinator` has seen the
    /// session's counter stand still.
    pub fn expire(
        &mut self,
        guards: &Guards,
        coordinator: u8,
        (worker, session): (u8, u8),
        index: u8,
    ) -> bool {
        if guards.counter && self.seen[usize::from(worker)] & (1 << coordinator) == 0 {
            return false;
        }
        let record = self.records[usize::from(index)];
        let token = match (record.phase, self.ended[usize::from(index)]) {
            (Phase::Claimed { token, .. }, _) if record.is_held(worker, session) => token,
            // Without compare-and-set the end that came first is overwritten.
            (Phase::Finished(_), Some(ended)) if !guards.record => ended.grant.token,
            _ => return false,
        };
        self.end(Grant { index, attempt: record.attempt, token }, Outcome::Disruption, true);
        true
    }

    /// `enroll.lua`.
    pub fn enroll(&mut self, worker: u8, session: u8) -> Held {
        let before = std::mem::replace(&mut self.sessions[usize::from(worker)], session);
        if before != session {
            for record in &mut self.records {
                if record.is_held(worker, before)
                    && let Phase::Claimed { session: held, .. } = &mut record.phase
                {
                    *held = session;
                }
            }
            self.moved(worker);
        }
        self.held(worker, session)
    }

    /// `own.lua`: the new epoch.
    pub fn own(&mut self, server: u8) -> u8 {
        self.epoch += 1;
        self.base = server;
        self.epoch
    }

    /// `accept.lua`: allows claims on this run, under a new incarnation of tokens.
    pub fn accept(&mut self, server: u8, wall: u8) {
        if self.run != server {
            let incarnation = wall.max(self.token.incarnation + 1);
            self.token = Token { incarnation, counter: 0 };
            self.run = server;
        }
    }

    /// `owns` in `common.lua`: whether what this term writes counts.
    pub fn owns(&self, guards: &Guards, server: u8, term: &Term) -> bool {
        self.base == server
            && (!guards.epoch || term.epoch == self.epoch)
            && (!guards.term || term.run == server)
    }

    /// `commit.lua`. A record that a worker reported on is not undone.
    pub fn commit(&mut self, commit: Commit) {
        let Commit { index, record: new, failures } = commit;
        self.failures = failures;
        let old = &mut self.records[usize::from(index)];
        let reported = matches!(old.phase, Phase::Claimed { .. } | Phase::Finished(_));
        let kept = old.attempt == new.attempt && reported && new.phase != Phase::Done;
        if !kept {
            *old = new;
        }
    }

    /// What a session holds.
    pub fn held(&self, worker: u8, session: u8) -> Held {
        let mut held = [None; INDEXES];
        for (index, record) in (0u8..).zip(&self.records) {
            if let Phase::Claimed { token, .. } = record.phase
                && record.is_held(worker, session)
            {
                held[usize::from(index)] = Some(Grant { index, attempt: record.attempt, token });
            }
        }
        held
    }

    /// The session's counter moves to a value that nobody has seen.
    fn moved(&mut self, worker: u8) {
        self.seen[usize::from(worker)] = 0;
    }

    fn end(&mut self, grant: Grant, outcome: Outcome, revoked: bool) {
        let index = usize::from(grant.index);
        self.records[index].phase = Phase::Finished(outcome);
        self.ended[index] = Some(Ended { grant, revoked });
    }
}

impl Record {
    /// Whether a worker's session has it.
    pub fn is_held(&self, by: u8, in_session: u8) -> bool {
        matches!(self.phase, Phase::Claimed { worker, session, .. } if (worker, session) == (by, in_session))
    }

    /// Whether it is claimed under that grant.
    fn is(&self, guards: &Guards, grant: &Grant) -> bool {
        let Phase::Claimed { token, .. } = self.phase else { return false };
        self.attempt == grant.attempt && (!guards.token || token == grant.token)
    }
}
