//! What names a shard, a Job and an attempt inside Longshore.

use std::fmt;
use std::str::FromStr;

use longshore_job::Index;
use serde::{Deserialize, Serialize};

/// One of the cluster's partitions of all Jobs.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Shard(pub u16);

/// Written as in the keys: at least two digits.
impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

/// The shard of a Job, by its namespace and name (64-bit FNV-1a): the same in every program, for ever.
pub fn shard_of(namespace: &str, name: &str, shards: u16) -> Shard {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in namespace.bytes().chain([b'/']).chain(name.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // FNV's low bits are its weakest.
    let spread = (hash >> 32) ^ hash;
    let shard = spread % u64::from(shards.max(1));
    Shard(u16::try_from(shard).expect("a remainder of a u16 fits in one"))
}

/// A Job by its uid, with the shard that keeps it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobRef {
    pub shard: Shard,
    pub uid: String,
}

impl JobRef {
    pub fn new(shard: Shard, uid: impl Into<String>) -> Self {
        Self { shard, uid: uid.into() }
    }

    pub fn attempt(&self, index: Index, attempt: u32) -> AttemptKey {
        AttemptKey { job: self.clone(), index, attempt }
    }
}

impl fmt::Display for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.shard, self.uid)
    }
}

/// One attempt at one index of a Job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    pub job: JobRef,
    pub index: Index,
    pub attempt: u32,
}

/// Written as `07/<uid>/<index>.<attempt>`.
impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{}", self.job, self.index, self.attempt)
    }
}

/// Reads what [`AttemptKey`]'s Display writes.
impl FromStr for AttemptKey {
    type Err = BadAttemptKey;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (shard, rest) = s.split_once('/')?;
            let (uid, rest) = rest.split_once('/')?;
            let (index, attempt) = rest.split_once('.')?;
            Some(AttemptKey {
                job: JobRef::new(Shard(shard.parse().ok()?), uid),
                index: index.parse().ok()?,
                attempt: attempt.parse().ok()?,
            })
        };
        parse().ok_or_else(|| BadAttemptKey(s.to_owned()))
    }
}

/// A text that names no attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an attempt: expected SHARD/UID/INDEX.ATTEMPT")]
pub struct BadAttemptKey(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_stable_and_spread() {
        assert_eq!(shard_of("default", "pi", 16), shard_of("default", "pi", 16));
        assert_eq!(shard_of("default", "pi", 1), Shard(0));
        let mut counts = [0_u32; 16];
        for n in 0..16_000 {
            counts[usize::from(shard_of("default", &format!("job-{n}"), 16).0)] += 1;
        }
        assert!(counts.iter().all(|&count| (800..1200).contains(&count)), "{counts:?}");
    }

    #[test]
    fn namespace_and_name_do_not_run_together() {
        let spread = (0..100).filter(|n| {
            let name = format!("x{n}");
            shard_of("a", &format!("b{name}"), 1024) != shard_of("ab", &name, 1024)
        });
        assert!(spread.count() > 90);
    }

    #[test]
    fn an_attempt_reads_back_as_written() {
        let key = JobRef::new(Shard(7), "a-b").attempt(3, 12);
        assert_eq!(key.to_string(), "07/a-b/3.12");
        assert_eq!("07/a-b/3.12".parse(), Ok(key));
        assert!("07/a-b/3".parse::<AttemptKey>().is_err());
        assert!("".parse::<AttemptKey>().is_err());
    }
}
