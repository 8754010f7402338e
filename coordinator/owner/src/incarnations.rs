//! The incarnations of tokens that this coordinator has seen: Redis may come back without the latest.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use longshore_store::{Shard, ShardMeta};

/// The highest of each shard, by its number.
#[derive(Debug, Default)]
pub(crate) struct Incarnations(Mutex<Vec<u64>>);

impl Incarnations {
    /// Takes in what is stored now, which may be less than before.
    pub(crate) fn see(&self, metas: &[ShardMeta]) {
        let mut highest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let len = metas.len().max(highest.len());
        highest.resize(len, 0);
        for (highest, meta) in highest.iter_mut().zip(metas) {
            *highest = meta.incarnation.max(*highest);
        }
    }

    /// An incarnation above all that a shard has had: by what was seen, and by this host's clock for a
    /// coordinator that has not seen them.
    pub(crate) fn next(&self, shard: Shard) -> u64 {
        let highest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = highest.get(usize::from(shard.0)).copied().unwrap_or(0);
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        clock.max(seen + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_not_forgotten_when_redis_does() {
        let incarnations = Incarnations::default();
        let clock = incarnations.next(Shard(1));
        let meta = |incarnation| ShardMeta { incarnation, ..ShardMeta::default() };
        incarnations.see(&[meta(0), meta(clock + 5000)]);
        incarnations.see(&[meta(0), meta(clock - 9)]);
        assert_eq!(incarnations.next(Shard(1)), clock + 5001);
        assert!(incarnations.next(Shard(0)) < clock + 5000);
    }
}
