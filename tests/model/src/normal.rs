//! The normal form of a state: what no later step can tell apart is made the same, so that less is to be
//! looked at.

use crate::Protocol;
use crate::guards::Guards;
use crate::host::Doing;
use crate::state::State;
use crate::store::{Phase, Redis, Request};
use crate::words::{Grant, INDEXES};
use crate::worker::{Slot, Stage, Worker};

impl State {
    /// Brings the state into its normal form.
    pub fn normalise(&mut self, protocol: &Protocol) {
        self.forget_times();
        self.forget_history();
        self.forget_terms(&protocol.guards);
        let [first, second] = [0, 1].map(|at| (&self.workers[at], &self.hosts[at]));
        if protocol.bounds.alike && first > second {
            self.exchange();
        }
    }

    /// Deadlines of what has ended.
    fn forget_times(&mut self) {
        for container in self.hosts.iter_mut().flat_map(|host| &mut host.containers).flatten() {
            if let Doing::Ended(_) = container.doing {
                container.left = 0;
            }
        }
        for slot in self.workers.iter_mut().flat_map(|worker| &mut worker.slots) {
            if let Slot::Has(attempt) = slot
                && let Stage::Reporting(..) | Stage::Over = attempt.stage
            {
                attempt.left = 0;
            }
        }
    }

    /// Ended attempts whose end nobody may still report.
    fn forget_history(&mut self) {
        for index in 0..INDEXES {
            let Some(ended) = self.redis.ended[index] else { continue };
            let current = matches!(self.redis.records[index].phase, Phase::Finished(_));
            if !current && !self.is_named(ended.grant) {
                self.redis.ended[index] = None;
            }
        }
    }

    fn is_named(&self, grant: Grant) -> bool {
        let unnamed = |worker: &Worker| worker.unnamed.iter().flatten().any(|it| it.grant == grant);
        self.workers.iter().any(|worker| worker.has(grant) || unnamed(worker))
            || matches!(self.stray, Some(Request::Finish { grant: stray, .. }) if stray == grant)
    }

    /// The patience with a session whose counter has moved, and that of a term which is over. With nothing
    /// under way such a term is as good as none.
    fn forget_terms(&mut self, guards: &Guards) {
        for (coordinator, slot) in self.terms.iter_mut().enumerate() {
            let Some(term) = slot else { continue };
            let over = guards.epoch && guards.term && !self.redis.owns(guards, self.server, term);
            for (patience, seen) in term.patience.iter_mut().zip(self.redis.seen) {
                let moved = guards.counter && seen & (1 << coordinator) == 0;
                *patience = patience.filter(|_| !moved && !over);
            }
            if over && term.commit.is_none() {
                *slot = None;
            }
        }
    }

    /// Lets the workers change places with each other.
    fn exchange(&mut self) {
        self.workers.swap(0, 1);
        self.hosts.swap(0, 1);
        for redis in [Some(&mut self.redis), self.file.as_mut()].into_iter().flatten() {
            exchange(redis);
        }
        for term in self.terms.iter_mut().flatten() {
            term.patience.swap(0, 1);
        }
        if let Some(Request::Claim { worker, .. } | Request::Renew { worker, .. }) = &mut self.stray
        {
            *worker = 1 - *worker;
        }
    }
}

fn exchange(redis: &mut Redis) {
    redis.sessions.swap(0, 1);
    redis.seen.swap(0, 1);
    for record in &mut redis.records {
        if let Phase::Claimed { worker, .. } = &mut record.phase {
            *worker = 1 - *worker;
        }
    }
}
