//! The store against a real Redis, which every test starts for itself on a free port. The same modules run
//! against a Redis Cluster in `tests/cluster`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod api;
mod common;
mod configs;
mod format;
mod full;
mod lease;
mod lost_reply;
mod output;
mod owner;
mod pods;
mod races;
mod restart;
mod server;
mod watch;
mod worker;
