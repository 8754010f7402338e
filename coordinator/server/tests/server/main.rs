//! The API server against a real Redis: real requests over HTTP, and real kubectl.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod archived;
mod common;
mod configs;
mod errors;
mod jobs;
mod kubectl;
mod pods;
mod watches;
