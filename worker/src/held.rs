//! The attempts that this worker has: what a renewal names, and where its reply goes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use longshore_store::{AttemptKey, Kept, Shard, Verdict};
use longshore_support::clock::boottime_ns;
use tokio::sync::{Notify, watch};
use tracing::warn;

use crate::assignment::Assignment;
use crate::control::{Control, Handle, Order};
use crate::folder::Folder;

/// What tells attempts apart on a host, also in folder names: a token is unique only in its shard.
pub(crate) fn local_id(key: &AttemptKey, token: &str) -> String {
    format!("{}-{token}", key.job.shard)
}

/// All attempts of this worker, by [`local_id`].
pub(crate) struct Attempts {
    /// How much earlier than its lease an attempt ends.
    margin: Duration,
    entries: Mutex<HashMap<String, Entry>>,
    running: watch::Sender<u32>,
    /// Told when an attempt is added: its lease may be shorter than the others'.
    pub(crate) added: Notify,
    /// Shards that refused this session, to be asked at the next renewal.
    suspects: Mutex<BTreeSet<Shard>>,
    /// Told when there is such a shard.
    pub(crate) suspected: Notify,
}

struct Entry {
    key: AttemptKey,
    token: String,
    lease: Duration,
    grace: u32,
    folder: Folder,
    handle: Handle,
}

impl Attempts {
    pub(crate) fn new(margin: Duration) -> Self {
        Self {
            margin,
            entries: Mutex::default(),
            running: watch::channel(0).0,
            added: Notify::new(),
            suspects: Mutex::default(),
            suspected: Notify::new(),
        }
    }

    /// Adds an attempt whose lease counts from `sent`, in nanoseconds of CLOCK_BOOTTIME: the moment
    /// before the claim was sent first. `granted` is how many restarts the owner has granted.
    pub(crate) fn add(
        &self,
        assignment: &Assignment,
        folder: &Folder,
        granted: u32,
        sent: u64,
    ) -> Control {
        let deadline = self.deadline(assignment.lease, sent);
        let (handle, control) = Control::new(granted, deadline);
        let entry = Entry {
            key: assignment.key.clone(),
            token: assignment.token.clone(),
            lease: assignment.lease,
            grace: assignment.grace_seconds(),
            folder: folder.clone(),
            handle,
        };
        let mut entries = self.entries();
        entries.insert(assignment.local_id(), entry);
        self.running.send_replace(count(&entries));
        drop(entries);
        self.added.notify_one();
        control
    }

    /// Removes an attempt of which nothing is left.
    pub(crate) fn remove(&self, id: &str) {
        let mut entries = self.entries();
        entries.remove(id);
        self.running.send_replace(count(&entries));
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.entries().contains_key(id)
    }

    /// How many there are, as it changes.
    pub(crate) fn running(&self) -> watch::Receiver<u32> {
        self.running.subscribe()
    }

    /// The shortest of their leases.
    pub(crate) fn shortest_lease(&self) -> Option<Duration> {
        self.entries().values().map(|entry| entry.lease).min()
    }

    /// A shard refused this session: the next renewal asks it why, even if nothing is held there.
    pub(crate) fn suspect(&self, shard: Shard) {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner).insert(shard);
        self.suspected.notify_one();
    }

    /// What to renew in each shard.
    pub(crate) fn by_shard(&self) -> BTreeMap<Shard, Vec<Kept>> {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shards: BTreeMap<Shard, Vec<Kept>> =
            std::mem::take(&mut *suspects).into_iter().map(|shard| (shard, Vec::new())).collect();
        for entry in self.entries().values() {
            let kept = Kept { attempt: entry.key.clone(), token: entry.token.clone() };
            shards.entry(entry.key.job.shard).or_default().push(kept);
        }
        shards
    }

    /// Does what the reply to a renewal says; `sent` is the moment before the renewal was sent, in
    /// nanoseconds of CLOCK_BOOTTIME.
    pub(crate) fn apply(&self, id: &str, verdict: Verdict, sent: u64) {
        let entries = self.entries();
        let Some(entry) = entries.get(id) else { return };
        match verdict {
            Verdict::Gone => return entry.handle.order(Order::Gone),
            Verdict::Stop { grace_seconds } => {
                entry.handle.order(Order::Stop { grace: grace_seconds });
            }
            Verdict::Go { granted } => entry.handle.grant(granted),
        }
        // One whose lease has run out has been given up here: its container has ended, or was never to
        // start. It may be someone else's already, whatever Redis made of this renewal.
        if boottime_ns() >= entry.handle.deadline() {
            return;
        }
        let deadline = self.deadline(entry.lease, sent);
        entry.handle.extend(deadline);
        if let Err(error) = entry.folder.write_deadline(deadline) {
            warn!(attempt = %entry.key, %error, "the deadline can't be written");
        }
    }

    /// Has all attempts stopped within their grace periods and handed back.
    pub(crate) fn drain(&self) {
        for entry in self.entries().values() {
            entry.handle.order(Order::Drain { grace: entry.grace });
        }
    }

    /// Has all attempts killed: another process has this worker's name.
    pub(crate) fn give_up(&self) {
        for entry in self.entries().values() {
            entry.handle.order(Order::Gone);
        }
    }

    /// The end of a lease that counts from `sent`, less the margin.
    fn deadline(&self, lease: Duration, sent: u64) -> u64 {
        let long = lease.saturating_sub(self.margin).as_nanos();
        sent.saturating_add(u64::try_from(long).unwrap_or(u64::MAX))
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(entries: &HashMap<String, Entry>) -> u32 {
    u32::try_from(entries.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assignment::tests::assignment;
    use crate::folder::tests::folders;

    #[tokio::test]
    async fn a_renewal_moves_deadlines_and_gives_orders() {
        let (_state, folders) = folders();
        let folder = folders.attempt("03-7");
        let pod = serde_json::json!({ "containers": [{ "name": "main", "image": "i" }] });
        let attempts = Attempts::new(Duration::from_secs(2));
        let (begun, second) = (boottime_ns(), 1_000_000_000);
        let mut control = attempts.add(&assignment("7", pod), &folder, 0, begun);
        let own = folder.container("main");
        own.create(control.deadline()).expect("created");
        assert_eq!(control.deadline(), begun + 13 * second);
        assert_eq!(attempts.by_shard()[&Shard(3)][0].token, "7");

        attempts.apply("03-7", Verdict::Go { granted: 1 }, begun + 4 * second);
        control.granted(1).await;
        let written = std::fs::read_to_string(own.mounted().join("deadline")).expect("read");
        assert_eq!(written, format!("{:020}\n", begun + 17 * second));

        attempts.apply("03-7", Verdict::Stop { grace_seconds: 9 }, begun + 5 * second);
        assert_eq!(control.above(Order::Run).await, Order::Stop { grace: 9 });
        attempts.apply("03-7", Verdict::Gone, begun + 6 * second);
        assert_eq!(control.above(Order::Stop { grace: 9 }).await, Order::Gone);
        attempts.remove("03-7");
        assert!(attempts.by_shard().is_empty() && !attempts.contains("03-7"));
    }

    #[tokio::test]
    async fn a_lease_that_has_run_out_stays_so() {
        let (_state, folders) = folders();
        let folder = folders.attempt("03-7");
        let pod = serde_json::json!({ "containers": [{ "name": "main", "image": "i" }] });
        let attempts = Attempts::new(Duration::from_secs(2));
        let long_ago = boottime_ns() - 14_000_000_000;
        let control = attempts.add(&assignment("7", pod), &folder, 0, long_ago);
        let before = control.deadline();
        attempts.apply("03-7", Verdict::Go { granted: 0 }, boottime_ns());
        assert_eq!(control.deadline(), before);
    }

    #[tokio::test]
    async fn attempts_of_two_shards_may_have_the_same_token() {
        let (_state, folders) = folders();
        let pod = serde_json::json!({ "containers": [{ "name": "main", "image": "i" }] });
        let attempts = Attempts::new(Duration::from_secs(2));
        let one = assignment("7", pod);
        let mut other = one.clone();
        other.key.job.shard = Shard(4);
        for assignment in [&one, &other] {
            attempts.add(assignment, &folders.attempt(&assignment.local_id()), 0, 0);
        }
        assert_eq!(attempts.by_shard().len(), 2);
        attempts.remove(&one.local_id());
        assert!(attempts.contains(&other.local_id()));
    }
}
