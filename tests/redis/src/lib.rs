//! Real Redis for tests: one server, or the nodes of a Redis Cluster.

mod cluster;
mod server;

pub use cluster::{NODE_TIMEOUT, RedisCluster};
pub use server::{start_server, url};
