//! Tickets over RabbitMQ.
//!
//! RabbitMQ carries references to work, never the truth: a ticket may be lost, doubled, delayed or
//! reordered without harm, because Redis decides who runs an attempt. What this crate adds to
//! `lapin` is one code path for the first start and for every recovery: connect, declare, consume,
//! and when anything breaks, all of it again.

mod connection;
mod consumer;
mod error;
mod publisher;
mod set_aside;
mod ticket;
mod topology;

pub use connection::BrokerSettings;
pub use consumer::{Consumer, Delivery, Slot};
pub use error::BrokerError;
pub use publisher::Publisher;
pub use set_aside::{SetAside, hear_set_aside};
pub use ticket::Ticket;
