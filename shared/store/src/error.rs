//! What can go wrong between Longshore and Redis.

use std::time::Duration;

use longshore_support::format::Format;
use longshore_support::retry::Server;
use redis::RedisError;
use thiserror::Error;

/// An error of the store. Its text names the server and where it is, never a password.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("the URL of Redis can't be used")]
    Url(#[source] RedisError),
    /// No answer within the patience; whether the write happened is unknown.
    #[error("{server} did not answer within {:.1} s ({doing})", .after.as_secs_f64())]
    Unreachable {
        server: Server,
        doing: &'static str,
        after: Duration,
        #[source]
        source: Option<RedisError>,
    },
    /// Redis answered with an error: out of memory or disk, not permitted, a bug in a script.
    #[error("{server} refused: {doing}")]
    Refused {
        server: Server,
        doing: &'static str,
        #[source]
        source: RedisError,
    },
    /// A script's reply was not what it should be.
    #[error("{server} gave a reply that can't be understood ({doing}): {reply}")]
    Reply { server: Server, doing: &'static str, reply: String },
    /// A stored record can't be read.
    #[error("the record {key} in Redis can't be read")]
    Record {
        key: String,
        #[source]
        source: serde_json::Error,
    },
    /// A Secret can't be sealed or opened. `secret` is `namespace/name`.
    #[error("the Secret {secret} can't be used")]
    Seal {
        secret: String,
        #[source]
        source: crate::SealError,
    },
    /// A record that can't be written as JSON.
    #[error("a record can't be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// The number of shards is fixed when the cluster's first coordinator starts.
    #[error("{server} holds a cluster of {stored} shards, but {configured} are configured")]
    Shards { server: Server, stored: u16, configured: u16 },
    /// The format rises once every member reads it, so this program was away, or is new and too old.
    #[error(
        "the cluster in {server} writes format {stored}, and this release reads up to {newest}: \
         install the release that the other members have"
    )]
    Format { server: Server, stored: Format, newest: Format },
    /// Several servers are one store only as the nodes of a Redis Cluster.
    #[error(
        "the URL of Redis names several servers, and the one that answered is no node of a cluster ({server})"
    )]
    NotACluster { server: Server },
    /// No coordinator has started on this Redis yet.
    #[error("{server} holds no cluster yet: no coordinator has started")]
    NoCluster { server: Server },
}

/// What Redis says when it can read only: at its `maxmemory`, with a disk that takes nothing, without the
/// replicas that it must have, or as a replica itself.
const CANT_WRITE: [&str; 4] = ["OOM", "MISCONF", "NOREPLICAS", "READONLY"];

/// What the nodes of a cluster say of a slot that is on its way from one to another.
const ON_THE_MOVE: [&str; 3] = ["ASK", "MOVED", "TRYAGAIN"];

impl StoreError {
    /// Whether the store has said so in the log: that Redis can't be reached it says once, and once that it is
    /// back. A node of a cluster can be reached while a slot is on the move.
    pub fn is_logged(&self) -> bool {
        let Self::Unreachable { source, .. } = self else { return false };
        let code = source.as_ref().and_then(RedisError::code);
        !code.is_some_and(|code| ON_THE_MOVE.contains(&code))
    }

    /// Whether trying again later may help: Redis is away, not set up yet, or can't write for now.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NoCluster { .. } => true,
            Self::Refused { source, .. } => {
                source.code().is_some_and(|code| CANT_WRITE.contains(&code))
            }
            _ => false,
        }
    }
}
