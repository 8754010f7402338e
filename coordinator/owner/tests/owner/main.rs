//! The owner against a real Redis, with the worker's part played through the store. RabbitMQ is away all
//! the time, which must not keep anything but tickets waiting.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod archive;
mod faults;
mod rules;
mod stage;
