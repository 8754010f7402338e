//! What the end-to-end tests share: local clusters of real parts, clients, a witness that judges from
//! Docker's own events what ran when, and a suite that takes everything down at the end.

mod api;
mod cluster;
mod engine;
mod gate;
pub mod history;
mod images;
mod job;
mod kubectl;
mod program;
mod proxy;
mod rabbitmq;
mod redis_server;
mod registry;
mod suite;
mod teardown;
mod wait;
mod witness;

pub use api::{Api, Reply, condition};
pub use cluster::{Cluster, Member, Options};
pub use engine::{Engine, docker};
pub use gate::{Gate, Traffic};
pub use images::Images;
pub use job::Job;
pub use kubectl::Kubectl;
pub use longshore_test_redis::RedisCluster;
pub use program::{Background, Output, build, program, repository, run, run_with_input};
pub use proxy::Proxy;
pub use rabbitmq::{RabbitmqCluster, TICKETS};
pub use redis_server::{RedisServer, Snapshot, free_port};
pub use registry::Registry;
pub use suite::{Shared, Suite};
pub use wait::until;
pub use witness::{Run, Witness};

use std::time::Duration;

/// Seconds, for the bounds that scenarios are full of.
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
