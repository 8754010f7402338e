//! Leases that have run out.
//!
//! A session's lease is judged by this host's monotonic clock alone: it has run out when the session's
//! counter has not moved for the lease's length and a second more, counted from when it was last seen to
//! have moved. Time in which Redis could not be seen hardly counts, as the workers could not renew in it
//! either. A new owner's patience starts anew.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use longshore_job::Outcome;
use longshore_store::{Held, Revoked, Store, StoreError};
use tracing::{info, warn};

use crate::patient::{pause, waits};
use crate::term::{SLACK, Term};

const LOOK: Duration = Duration::from_millis(250);

/// What the time between two looks counts at most toward a lease.
const COUNTED: Duration = Duration::from_secs(1);

/// Revokes attempts whose lease has run out. Returns when this is no more the owner.
pub(crate) async fn run(store: &Store, term: Term) {
    let mut patience = Patience::default();
    let mut waits = waits();
    loop {
        match look(store, term, &mut patience).await {
            Ok(true) => waits.reset(),
            Ok(false) => return,
            Err(error) => pause(&error, &mut waits).await,
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// One look at the shard's sessions; `false` if fenced.
async fn look(store: &Store, term: Term, patience: &mut Patience) -> Result<bool, StoreError> {
    let counters = store.sessions(term.shard).await?;
    // Not from before the answer: a counter may have moved while it was waited for.
    let now = Instant::now();
    patience.look(now, counters);
    for silent in patience.silent(now) {
        for held in store.held(term.shard, &silent.session).await? {
            let lease = Duration::from_millis(held.lease_ms);
            patience.learn(&silent.session, lease);
            if silent.time < lease + SLACK {
                continue;
            }
            match revoke(store, term, &silent, &held, lease).await? {
                Revoked::Revoked | Revoked::Lost => {}
                Revoked::Fenced => return Ok(false),
            }
        }
    }
    Ok(true)
}

async fn revoke(
    store: &Store,
    term: Term,
    silent: &Silent,
    held: &Held,
    lease: Duration,
) -> Result<Revoked, StoreError> {
    let live = store.live_one(&held.attempt.job, held.attempt.index).await?;
    let attempt = live.map(|live| live.attempt).unwrap_or_default();
    let worker = attempt.worker.unwrap_or_default();
    let outcome = Outcome::Disrupted {
        reason: "WorkerLost".to_owned(),
        message: format!("worker {worker} did not renew its lease of {} s", lease.as_secs_f64()),
        // Whether it was the worker alone or its host can't be told from here; nor whether the attempt has
        // to do with it, which may be so before its container starts, too.
        host_lost: true,
    };
    let revoked = store.expire(term.epoch, &silent.session, silent.counter, held, &outcome).await?;
    match revoked {
        Revoked::Revoked => warn!(attempt = %held.attempt, %worker, "lease run out: revoked"),
        Revoked::Lost => info!(attempt = %held.attempt, %worker, "renewed or ended just in time"),
        Revoked::Fenced => {}
    }
    Ok(revoked)
}

/// A session whose counter stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Silent {
    session: String,
    counter: u64,
    /// For how long.
    time: Duration,
}

#[derive(Debug, Default)]
struct Patience {
    sessions: HashMap<String, Session>,
    looked: Option<Instant>,
}

#[derive(Debug)]
struct Session {
    counter: u64,
    /// When it was first seen, moved on by the time that doesn't count.
    since: Instant,
    /// The shortest lease of what it holds, once known.
    lease: Duration,
}

impl Patience {
    /// Takes in the counters of all sessions that hold attempts.
    fn look(&mut self, now: Instant, counters: Vec<(String, u64)>) {
        let last = self.looked.replace(now).unwrap_or(now);
        let blind = now.duration_since(last).saturating_sub(COUNTED);
        let mut before = std::mem::take(&mut self.sessions);
        for (name, counter) in counters {
            let session = match before.remove(&name) {
                Some(session) if session.counter == counter => {
                    Session { since: session.since + blind, ..session }
                }
                _ => Session { counter, since: now, lease: Duration::ZERO },
            };
            self.sessions.insert(name, session);
        }
    }

    /// The length of a lease in a session, so that the session is not looked into before the shortest can
    /// have run out. What it claims later moves its counter, and all is learnt anew.
    fn learn(&mut self, session: &str, lease: Duration) {
        if let Some(session) = self.sessions.get_mut(session) {
            let shortest = if session.lease.is_zero() { lease } else { session.lease.min(lease) };
            session.lease = shortest;
        }
    }

    fn silent(&self, now: Instant) -> Vec<Silent> {
        let silent = self.sessions.iter().map(|(name, session)| {
            (
                session,
                Silent {
                    session: name.clone(),
                    counter: session.counter,
                    time: now - session.since,
                },
            )
        });
        // Its leases are read once after each move, and then when the first may have run out.
        silent
            .filter(|(session, silent)| {
                session.lease.is_zero() || silent.time >= session.lease + SLACK
            })
            .map(|(_, silent)| silent)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn silent(patience: &Patience, now: Instant) -> Option<Duration> {
        patience.silent(now).first().map(|silent| silent.time)
    }

    /// Looks each second of a time.
    fn watch(patience: &mut Patience, start: Instant, seconds: std::ops::RangeInclusive<u32>) {
        for second in seconds {
            patience.look(start + second * SECOND, vec![("s".into(), 7)]);
        }
    }

    #[test]
    fn patience_starts_at_the_first_look_and_with_each_move() {
        let start = Instant::now();
        let mut patience = Patience::default();
        patience.look(start, vec![("s".into(), 7)]);
        assert_eq!(silent(&patience, start), Some(Duration::ZERO), "its leases are to be learnt");
        patience.learn("s", 15 * SECOND);
        patience.learn("s", 5 * SECOND);
        patience.learn("s", 9 * SECOND);
        watch(&mut patience, start, 1..=5);
        assert_eq!(silent(&patience, start + 5 * SECOND), None);
        assert_eq!(silent(&patience, start + 6 * SECOND), Some(6 * SECOND));

        patience.look(start + 6 * SECOND, vec![("s".into(), 8)]);
        patience.learn("s", 5 * SECOND);
        assert_eq!(silent(&patience, start + 11 * SECOND), None);
        assert_eq!(silent(&patience, start + 12 * SECOND), Some(6 * SECOND));
    }

    #[test]
    fn a_time_without_looks_hardly_counts() {
        let start = Instant::now();
        let mut patience = Patience::default();
        watch(&mut patience, start, 0..=4);
        patience.learn("s", 15 * SECOND);
        // Redis was away for half a minute.
        watch(&mut patience, start, 34..=44);
        assert_eq!(silent(&patience, start + 44 * SECOND), None, "4 s, 1 s and 10 s");
        watch(&mut patience, start, 45..=45);
        assert_eq!(silent(&patience, start + 45 * SECOND), Some(16 * SECOND));
    }

    #[test]
    fn a_session_that_holds_nothing_is_forgotten() {
        let start = Instant::now();
        let mut patience = Patience::default();
        patience.look(start, vec![("s".into(), 7)]);
        patience.look(start + SECOND, vec![]);
        patience.look(start + 60 * SECOND, vec![("s".into(), 7)]);
        assert_eq!(silent(&patience, start + 60 * SECOND), Some(Duration::ZERO));
    }
}
