//! Who should own which shard, judged by what moves.
//!
//! A shard's owner and a coordinator are alive while their beats in Redis move, by this host's
//! monotonic clock. The shards are spread over the living by rendezvous hashing: each coordinator works
//! out the same answer by itself, and when one comes or goes only its share moves.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

use longshore_store::{Shard, ShardMeta};

/// How long a beat may stand still before its owner counts as gone.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Take the shard from nobody, or from an owner that is gone.
    Take,
    /// Give the shard back: it belongs to another that is alive.
    GiveBack,
    Leave,
}

/// What this coordinator has seen of the others.
#[derive(Debug)]
pub(crate) struct Watch {
    me: String,
    /// The last look at all; a gap between looks proves nothing about anybody.
    looked: Option<Instant>,
    peers: HashMap<String, Seen<u64>>,
    shards: HashMap<Shard, Seen<(u64, u64)>>,
    /// The epochs that were this coordinator's own.
    mine: HashMap<Shard, u64>,
}

/// A value, since when it has been the same, and since when it has kept moving.
#[derive(Clone, Copy, Debug)]
struct Seen<T> {
    value: T,
    same_since: Instant,
    moving_since: Option<Instant>,
}

impl Watch {
    pub(crate) fn new(me: &str) -> Self {
        Self {
            me: me.to_owned(),
            looked: None,
            peers: HashMap::new(),
            shards: HashMap::new(),
            mine: HashMap::new(),
        }
    }

    /// Takes in the beats of all coordinators and shards.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        coordinators: impl IntoIterator<Item = (String, u64)>,
        shards: &[ShardMeta],
    ) {
        // While Redis was away nobody could show a beat.
        let gap = self.looked.is_none_or(|last| now.duration_since(last) > PATIENCE / 2);
        self.looked = Some(now);
        for (name, beat) in coordinators {
            see(&mut self.peers, name, beat, now, gap);
        }
        for (number, meta) in shards.iter().enumerate() {
            let shard = Shard(u16::try_from(number).unwrap_or(u16::MAX));
            see(&mut self.shards, shard, (meta.epoch, meta.beat), now, gap);
        }
    }

    /// This coordinator took a shard under that epoch.
    pub(crate) fn took(&mut self, shard: Shard, epoch: u64) {
        self.mine.insert(shard, epoch);
    }

    /// What to do about a shard, `running` being whether this coordinator serves it at the moment.
    pub(crate) fn decide(
        &self,
        now: Instant,
        shard: Shard,
        meta: &ShardMeta,
        running: bool,
    ) -> Decision {
        let mine = self.owner_of(now, shard) == self.me;
        if running {
            return if mine { Decision::Leave } else { Decision::GiveBack };
        }
        let still = self.shards.get(&shard).map_or(Duration::ZERO, |s| now - s.same_since);
        // A term of ours that ended, as when Redis was restarted, leaves nobody to wait for.
        let left_by_me = meta.owner == self.me && self.mine.get(&shard) == Some(&meta.epoch);
        let free = meta.owner.is_empty() || left_by_me || still >= PATIENCE;
        // Should the one whose turn it is not take it, anyone does.
        if free && (mine || still >= 3 * PATIENCE) { Decision::Take } else { Decision::Leave }
    }

    /// The living coordinator that a shard belongs to.
    fn owner_of(&self, now: Instant, shard: Shard) -> String {
        let alive = self.alive(now);
        let best = alive.into_iter().max_by_key(|name| (weight(name, shard), name.clone()));
        best.unwrap_or_else(|| self.me.clone())
    }

    /// Those whose beat has kept moving for a while, and this one.
    fn alive(&self, now: Instant) -> BTreeSet<String> {
        let steady = |seen: &Seen<u64>| {
            seen.moving_since.is_some_and(|since| now - since >= PATIENCE)
                && now - seen.same_since < PATIENCE
        };
        let peers = self.peers.iter().filter(|(_, seen)| steady(seen));
        peers.map(|(name, _)| name.clone()).chain([self.me.clone()]).collect()
    }
}

fn see<K: Eq + Hash, T: PartialEq>(
    all: &mut HashMap<K, Seen<T>>,
    key: K,
    value: T,
    now: Instant,
    gap: bool,
) {
    let Some(seen) = all.get_mut(&key) else {
        all.insert(key, Seen { value, same_since: now, moving_since: None });
        return;
    };
    if seen.value != value {
        let stood = !gap && now - seen.same_since >= PATIENCE;
        let since = seen.moving_since.filter(|_| !stood).unwrap_or(now);
        *seen = Seen { value, same_since: now, moving_since: Some(since) };
    } else if gap {
        seen.same_since = now;
    }
}

/// Rendezvous hashing: the coordinator with the largest weight has the shard (64-bit FNV-1a, mixed).
fn weight(name: &str, shard: Shard) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in name.bytes().chain(shard.0.to_be_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(500);

    struct Scene {
        watch: Watch,
        now: Instant,
        metas: Vec<ShardMeta>,
        beats: Vec<(String, u64)>,
    }

    impl Scene {
        fn new(shards: usize) -> Self {
            let watch = Watch::new("a");
            let metas = vec![ShardMeta::default(); shards];
            Self { watch, now: Instant::now(), metas, beats: Vec::new() }
        }

        /// Time passes in looks; the coordinators named show a beat at each.
        fn pass(&mut self, time: Duration, alive: &[&str]) {
            let mut left = time;
            while !left.is_zero() {
                self.now += TICK;
                left = left.saturating_sub(TICK);
                for (name, beat) in &mut self.beats {
                    *beat += u64::from(alive.contains(&name.as_str()));
                }
                for meta in &mut self.metas {
                    meta.beat += u64::from(alive.contains(&meta.owner.as_str()));
                }
                self.watch.look(self.now, self.beats.clone(), &self.metas);
            }
        }

        fn decide(&self, shard: u16, running: bool) -> Decision {
            let meta = &self.metas[usize::from(shard)];
            self.watch.decide(self.now, Shard(shard), meta, running)
        }

        /// The shards that go to the other one of two.
        fn shared_out(&self) -> usize {
            (0..self.metas.len())
                .filter(|n| self.watch.owner_of(self.now, Shard(*n as u16)) == "b")
                .count()
        }
    }

    #[test]
    fn a_lone_coordinator_takes_free_shards_at_once() {
        let mut scene = Scene::new(2);
        scene.beats = vec![("a".into(), 1), ("gone".into(), 7)];
        scene.pass(TICK, &["a"]);
        assert_eq!(scene.decide(0, false), Decision::Take);
        scene.pass(10 * PATIENCE, &["a"]);
        assert_eq!(scene.decide(0, true), Decision::Leave, "one that never moved has no share");
    }

    #[test]
    fn an_owner_that_stands_still_is_replaced() {
        let mut scene = Scene::new(1);
        scene.metas[0].owner = "b".into();
        scene.pass(2 * PATIENCE, &["b"]);
        assert_eq!(scene.decide(0, false), Decision::Leave);
        scene.pass(PATIENCE - TICK, &[]);
        assert_eq!(scene.decide(0, false), Decision::Leave);
        scene.pass(TICK, &[]);
        assert_eq!(scene.decide(0, false), Decision::Take);
    }

    #[test]
    fn nobody_is_judged_by_a_time_without_looks() {
        let mut scene = Scene::new(1);
        scene.metas[0].owner = "b".into();
        scene.pass(PATIENCE, &["b"]);
        scene.now += 10 * PATIENCE;
        scene.pass(TICK, &[]);
        assert_eq!(scene.decide(0, false), Decision::Leave);
        scene.pass(PATIENCE, &[]);
        assert_eq!(scene.decide(0, false), Decision::Take);
    }

    #[test]
    fn two_share_the_shards_and_give_back_what_is_not_theirs() {
        let mut scene = Scene::new(64);
        scene.beats = vec![("a".into(), 1), ("b".into(), 1)];
        scene.pass(PATIENCE, &["a", "b"]);
        assert_eq!(scene.shared_out(), 0, "one that has just come is waited for");
        scene.pass(PATIENCE, &["a", "b"]);
        let share = scene.shared_out();
        assert!((16..48).contains(&share), "{share} of 64");
        let given_back = (0..64).filter(|n| scene.decide(*n, true) == Decision::GiveBack).count();
        assert_eq!(given_back, share);
        scene.pass(PATIENCE, &["a"]);
        assert_eq!(scene.shared_out(), 0, "one that is gone has no share");
    }

    #[test]
    fn a_shard_that_its_coordinator_does_not_take_is_taken_by_another() {
        let mut scene = Scene::new(8);
        scene.beats = vec![("a".into(), 1), ("b".into(), 1)];
        scene.pass(2 * PATIENCE, &["a", "b"]);
        let others = (0..8).find(|n| scene.decide(*n, true) == Decision::GiveBack);
        let shard = others.expect("one of eight goes to b");
        assert_eq!(scene.decide(shard, false), Decision::Leave);
        scene.pass(PATIENCE + TICK, &["a", "b"]);
        assert_eq!(scene.decide(shard, false), Decision::Take);
    }

    #[test]
    fn a_term_of_its_own_that_ended_is_taken_up_at_once() {
        let mut scene = Scene::new(1);
        scene.metas[0].owner = "a".into();
        scene.metas[0].epoch = 4;
        scene.pass(TICK, &["a"]);
        assert_eq!(scene.decide(0, false), Decision::Leave, "an earlier process may be alive");
        scene.watch.took(Shard(0), 4);
        assert_eq!(scene.decide(0, false), Decision::Take);
    }
}
