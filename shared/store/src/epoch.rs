//! What fences an owner's writes.

use std::fmt;

use redis::{RedisWrite, ToRedisArgs};

/// One term of a shard's owner: its number, and the run of Redis under which it began. The number alone
/// comes again when Redis is started with an older file, and with it what the owner before still sends
/// would count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    pub number: u64,
    run: [u8; RUN_ID],
}

/// The length of the id of a run.
const RUN_ID: usize = 40;

impl Epoch {
    /// Reads `NUMBER@RUN`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (number, run) = text.split_once('@')?;
        Some(Self { number: number.parse().ok()?, run: run.as_bytes().try_into().ok()? })
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.number, String::from_utf8_lossy(&self.run))
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({self})")
    }
}

impl ToRedisArgs for Epoch {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        out.write_arg_fmt(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_read_as_it_is_written() {
        let text = format!("7@{}", "ab".repeat(20));
        assert_eq!(Epoch::parse(&text).map(|epoch| epoch.to_string()), Some(text));
        for wrong in ["", "7", "7@", "7@ab", "x@0123456789012345678901234567890123456789"] {
            assert_eq!(Epoch::parse(wrong), None, "{wrong}");
        }
    }
}
