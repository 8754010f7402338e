//! Which tickets may have been lost.
//!
//! RabbitMQ may lose a ticket: its queue is purged, or its data. An offered attempt that nobody claims
//! is therefore published again: at once when tickets that were published later have been claimed; when
//! the queue is empty; or after a bound that doubles each time, so that a long queue isn't filled with
//! copies. A ticket that was not lost is doubled by that, which is harmless: Redis grants each attempt
//! once.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use longshore_job::Index;

/// Until a ticket is first asked about; doubled each time up to [`LATER`].
const FIRST: Duration = Duration::from_secs(2);

/// A queue may be purged at any time, and workers are idle until that is noticed.
const LATER: Duration = Duration::from_secs(8);

/// Without any other sign a ticket is published again after this time, then twice that, and so on up to
/// [`LAST_BOUND`].
const BOUND: Duration = Duration::from_secs(60);
const LAST_BOUND: Duration = Duration::from_secs(16 * 60);

/// How much later a claimed ticket must have been published to prove that one before it was lost, as
/// workers claim side by side.
const MARGIN: Duration = Duration::from_secs(1);

/// A ticket as its owner knows it: uid, index and attempt.
pub(crate) type Key = (String, Index, u32);

#[derive(Debug, Default)]
pub(crate) struct Tickets {
    sent: HashMap<Key, Sent>,
    checks: BTreeSet<(Instant, Key)>,
    /// When the latest ticket that has been claimed was published first: which of its copies was claimed
    /// can't be told.
    claimed: Option<Instant>,
}

#[derive(Debug)]
struct Sent {
    first: Instant,
    /// The last time.
    at: Instant,
    check: Instant,
    wait: Duration,
    bound: Duration,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Suspects {
    /// To be published again.
    pub(crate) lost: Vec<Key>,
    /// To be published again if the queue is empty.
    pub(crate) doubtful: Vec<Key>,
}

impl Tickets {
    pub(crate) fn sent(&mut self, now: Instant, key: Key) {
        self.forget(&key);
        let check = now + FIRST;
        self.schedule(key, Sent { first: now, at: now, check, wait: FIRST, bound: BOUND });
    }

    pub(crate) fn claimed(&mut self, key: &Key) {
        if let Some(sent) = self.forget(key) {
            self.claimed = self.claimed.max(Some(sent.first));
        }
    }

    /// Those of the tickets due for a check whose attempts are still offered.
    pub(crate) fn suspects(&mut self, now: Instant, is_offered: impl Fn(&Key) -> bool) -> Suspects {
        let mut suspects = Suspects::default();
        while let Some((_, key)) = self.checks.first().filter(|(check, _)| *check <= now).cloned() {
            let Some(sent) = self.forget(&key) else { continue };
            if !is_offered(&key) {
                continue;
            }
            let overtaken = self.claimed.is_some_and(|claimed| claimed >= sent.at + MARGIN);
            let overdue = now - sent.at >= sent.bound;
            let at = if overtaken || overdue { now } else { sent.at };
            let list = match overtaken || overdue {
                true => &mut suspects.lost,
                false => &mut suspects.doubtful,
            };
            list.push(key.clone());
            let wait = (2 * sent.wait).min(LATER);
            let bound = if overdue { (2 * sent.bound).min(LAST_BOUND) } else { sent.bound };
            self.schedule(key, Sent { at, check: now + wait, wait, bound, ..sent });
        }
        suspects
    }

    fn schedule(&mut self, key: Key, sent: Sent) {
        self.checks.insert((sent.check, key.clone()));
        self.sent.insert(key, sent);
    }

    fn forget(&mut self, key: &Key) -> Option<Sent> {
        let sent = self.sent.remove(key)?;
        self.checks.remove(&(sent.check, key.clone()));
        Some(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(index: Index) -> Key {
        ("uid".to_owned(), index, 1)
    }

    fn asked(tickets: &mut Tickets, now: Instant) -> (usize, usize) {
        let suspects = tickets.suspects(now, |_| true);
        (suspects.lost.len(), suspects.doubtful.len())
    }

    #[test]
    fn a_ticket_is_doubted_again_and_again_and_sent_ever_more_rarely() {
        let start = Instant::now();
        let mut tickets = Tickets::default();
        tickets.sent(start, key(0));
        let mut asks = Vec::new();
        for second in 0..450 {
            match asked(&mut tickets, start + second * SECOND) {
                (0, 0) => {}
                (lost, _) => asks.push((second, lost)),
            }
        }
        assert_eq!(asks[..5], [(2, 0), (6, 0), (14, 0), (22, 0), (30, 0)]);
        let sent: Vec<_> = asks.iter().filter(|(_, lost)| *lost > 0).collect();
        assert_eq!(sent, [&(62, 1), &(182, 1), &(422, 1)]);
    }

    #[test]
    fn a_long_queue_is_not_filled_with_copies() {
        let start = Instant::now();
        let mut tickets = Tickets::default();
        for index in 0..100 {
            tickets.sent(start + index * SECOND / 10, key(index));
        }
        // The first copies are claimed one a minute, while later ones wait behind them.
        let mut copies = 0;
        for second in 0..3600 {
            if second % 60 == 0 {
                tickets.claimed(&key(second / 60));
            }
            copies += asked(&mut tickets, start + second * SECOND).0;
        }
        assert!(copies < 6 * 100, "{copies} copies");
    }

    #[test]
    fn a_ticket_that_was_overtaken_is_lost() {
        let start = Instant::now();
        let mut tickets = Tickets::default();
        tickets.sent(start, key(0));
        tickets.sent(start + SECOND / 2, key(1));
        tickets.claimed(&key(1));
        assert_eq!(asked(&mut tickets, start + 2 * SECOND), (0, 1), "claimed side by side");
        tickets.sent(start + 3 * SECOND, key(2));
        tickets.claimed(&key(2));
        assert_eq!(asked(&mut tickets, start + 6 * SECOND), (1, 0));
    }

    #[test]
    fn what_was_claimed_or_withdrawn_is_not_asked_about() {
        let start = Instant::now();
        let mut tickets = Tickets::default();
        tickets.sent(start, key(0));
        tickets.sent(start, key(1));
        tickets.claimed(&key(0));
        let suspects = tickets.suspects(start + 2 * SECOND, |_| false);
        assert_eq!(suspects, Suspects::default());
        assert!(tickets.sent.is_empty() && tickets.checks.is_empty());
    }
}
