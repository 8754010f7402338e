//! The tests of the store, the same as against one server, against a real Redis Cluster of six nodes; and
//! what only a cluster does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../store/api.rs"]
mod api;
#[path = "../store/common.rs"]
mod common;
#[path = "../store/configs.rs"]
mod configs;
mod failover;
#[path = "../store/format.rs"]
mod format;
#[path = "../store/full.rs"]
mod full;
#[path = "../store/lease.rs"]
mod lease;
#[path = "../store/lost_reply.rs"]
mod lost_reply;
#[path = "../store/output.rs"]
mod output;
#[path = "../store/owner.rs"]
mod owner;
#[path = "../store/pods.rs"]
mod pods;
#[path = "../store/races.rs"]
mod races;
#[path = "../store/restart.rs"]
mod restart;
mod server;
#[path = "../store/watch.rs"]
mod watch;
#[path = "../store/worker.rs"]
mod worker;
