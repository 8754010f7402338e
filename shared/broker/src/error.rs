//! What can go wrong with RabbitMQ.

/// An error of the broker, or of the way to it. Every write is safe to repeat.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("RabbitMQ at {server} can't be used")]
    Unusable { server: String, source: Box<lapin::Error> },
    #[error("RabbitMQ at {server} did not answer within {seconds} s")]
    Silent { server: String, seconds: u64 },
    #[error("RabbitMQ at {server} did not take a ticket: {why}")]
    Refused { server: String, why: &'static str },
}
