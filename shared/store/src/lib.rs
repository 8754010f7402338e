//! Longshore's store: everything that is true about Jobs, workers and leases lives in Redis, and this
//! crate is the only way to it.
//!
//! Every write is one Lua script (`src/scripts/`), so a step happens as a whole or not at all, and
//! every script may be sent twice with one effect: a call whose reply is lost is simply made again,
//! until [`StoreSettings::patience`] runs out. Reads are pipelined and bounded.
//!
//! | who | module |
//! | --- | --- |
//! | API server | [`api`](Store::create), [`configs`](Store::create_config), [`log`](Store::log_read), [`nodes`](Store::nodes) |
//! | all | [`format`](Store::follow_format) |
//! | owner of a shard | [`owner`](Store::own), [`Commit`], [`load`](Store::load_shard), [`purge`](Store::purge) |
//! | worker | [`worker`](Store::claim), [`output`](Store::append_output) |

mod api;
mod attempts;
mod client;
mod commit;
mod configs;
mod epoch;
mod error;
mod events;
mod format;
mod keys;
mod line;
mod link;
mod load;
mod log;
mod nodes;
mod output;
mod owner;
mod purge;
mod record;
mod refs;
mod scripts;
mod seal;
mod stream;
mod worker;

pub use api::{Created, Deleted, NewJob, PodDeleted, Update, Updated};
pub use client::{Store, StoreSettings};
pub use commit::{Commit, Committed};
pub use configs::{ConfigKind, ConfigRef, ConfigWritten, StoredConfig};
pub use epoch::Epoch;
pub use error::StoreError;
pub use events::{EventRecord, StoredEvent};
pub use line::StoredLine;
pub use load::LoadedJob;
pub use log::{Change, LogWindow, OutEntry, Subject, Verb};
pub use nodes::{CoordinatorRecord, NodeRecord};
pub use output::{OutputBatch, OutputInfo};
pub use owner::{Granted, InEntry, Owned, Reported, Revoked, ShardMeta, Stopped};
pub use record::StoredJob;
pub use refs::{AttemptKey, JobRef, Shard, shard_of};
pub use seal::{Seal, SealError};
pub use stream::{ResourceVersion, StreamId};
pub use worker::{Claimed, Grant, Held, Kept, Progress, Renewal, Renewed, Verdict, Written};

pub use longshore_job::{Index, Millis};
