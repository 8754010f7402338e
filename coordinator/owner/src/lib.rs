//! The owners of shards: one task per shard is the only writer of its Jobs' state.
//!
//! Every coordinator runs [`run`]. The coordinators that are alive share the shards out among
//! themselves without talking to each other ([`watch`]); who has a shard holds it for one *term*
//! ([`term`]), which ends when the shard is given back or when Redis says that it has another owner. A
//! term may end at any point, as by a crash: whatever was not stored is worked out again by the next
//! owner from what was.
//!
//! | module | what it does |
//! | --- | --- |
//! | `watch`, `supervise` | who owns what |
//! | `term` | one term: what runs side by side in it |
//! | `owner`, `jobs`, `compose`, `act` | the loop: read events, apply, commit, then act |
//! | `tickets`, `outbox` | tickets and nudges to RabbitMQ, and tickets that were lost |
//! | `set_aside` | tickets that no worker survives |
//! | `expiry` | leases that have run out |
//! | `forward` | changes to the log that watches read |
//! | `archive` | finished attempts to the archive, and the wait for it before a Job is removed |
//! | `notes` | Kubernetes Events, merged as Kubernetes merges them |

mod act;
mod archive;
mod clock;
mod compose;
mod expiry;
mod forward;
mod incarnations;
mod jobs;
mod notes;
mod outbox;
mod owner;
mod patient;
mod set_aside;
mod supervise;
mod term;
mod tickets;
mod watch;

use longshore_api::spec::ClusterDefaults;
use longshore_archive::Archive;
use longshore_broker::Publisher;
use longshore_store::Store;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// What the owner tasks of a coordinator need to know.
#[derive(Clone, Debug)]
pub struct OwnerSettings {
    /// The coordinator's name, unique in the cluster.
    pub name: String,
    /// Where its API server listens, for others to see.
    pub listen: String,
    /// What Jobs may override.
    pub defaults: ClusterDefaults,
    /// Where finished attempts are kept beyond their Jobs, if anywhere.
    pub archive: Option<Archive>,
}

/// Why the owner tasks ended. An unreachable Redis or RabbitMQ is no reason: they try on.
#[derive(Debug, Error)]
pub enum OwnerError {
    /// A task ended by a bug; the next owner starts from what is stored.
    #[error("the owner of a shard ended unexpectedly")]
    Broken(#[source] tokio::task::JoinError),
    /// The cluster writes a format that this release can't read.
    #[error("this coordinator has been left behind")]
    Outdated(#[source] longshore_store::StoreError),
}

/// Owns this coordinator's share of the shards until `shutdown`, and gives them back then.
///
/// # Errors
/// [`OwnerError::Broken`]; the process is best started again. [`OwnerError::Outdated`]; with a newer release.
pub async fn run(
    settings: OwnerSettings,
    store: Store,
    publisher: Publisher,
    shutdown: CancellationToken,
) -> Result<(), OwnerError> {
    tokio::select! {
        result = supervise::run(settings, store.clone(), publisher.clone(), shutdown) => result,
        () = set_aside::run(&store, &publisher) => Ok(()),
    }
}
