//! Positions in Redis' streams, and Kubernetes' resourceVersion made of one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The id of a stream's entry: milliseconds and a sequence number within them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    pub ms: u64,
    pub seq: u64,
}

impl StreamId {
    /// Before every entry.
    pub const START: StreamId = StreamId { ms: 0, seq: 0 };
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl FromStr for StreamId {
    type Err = BadStreamId;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (ms, seq) = s.split_once('-')?;
            Some(StreamId { ms: ms.parse().ok()?, seq: seq.parse().ok()? })
        };
        parse().ok_or_else(|| BadStreamId(s.to_owned()))
    }
}

/// A text that is no stream id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a stream id")]
pub struct BadStreamId(String);

/// Bits of a resourceVersion that hold the sequence number.
const SEQ_BITS: u32 = 20;

/// A position in the change log, as Kubernetes' opaque resourceVersion: a decimal number that grows.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ResourceVersion(pub u64);

impl ResourceVersion {
    pub fn stream_id(self) -> StreamId {
        StreamId { ms: self.0 >> SEQ_BITS, seq: self.0 & ((1 << SEQ_BITS) - 1) }
    }
}

impl From<StreamId> for ResourceVersion {
    /// A million entries in one millisecond are out of Redis' reach, so nothing is cut in practice;
    /// should its clock jump back so far, positions stand still rather than run into the next one.
    fn from(id: StreamId) -> Self {
        Self((id.ms << SEQ_BITS) | id.seq.min((1 << SEQ_BITS) - 1))
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ResourceVersion {
    type Err = std::num::ParseIntError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        s.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_version_is_a_stream_id() {
        let id: StreamId = "1764025200123-41".parse().expect("a stream id");
        let rv = ResourceVersion::from(id);
        assert_eq!(rv.to_string().parse(), Ok(rv));
        assert_eq!(rv.stream_id(), id);
        assert!(i64::try_from(rv.0).is_ok(), "clients may read it as a signed number");
        assert!(ResourceVersion::from(StreamId { ms: id.ms, seq: 42 }) > rv);
        assert!(ResourceVersion::from(StreamId { ms: id.ms + 1, seq: 0 }) > rv);
    }

    #[test]
    fn other_texts_are_no_stream_ids() {
        for text in ["", "1", "1-", "-1", "a-b", "1-2-3"] {
            assert!(text.parse::<StreamId>().is_err(), "{text}");
        }
    }
}
