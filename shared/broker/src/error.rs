//! What can go wrong with RabbitMQ.

use longshore_support::chain::Chain;

/// An error of the broker, or of the way to it. Every write is safe to repeat.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("RabbitMQ at {server} can't be used")]
    Unusable { server: String, source: Box<lapin::Error> },
    #[error("RabbitMQ at {server} did not answer within {seconds} s")]
    Silent { server: String, seconds: u64 },
    #[error("RabbitMQ at {server} did not take a ticket: {why}")]
    Refused { server: String, why: &'static str },
    /// It has raised an alarm, and takes nothing until that is over.
    #[error("RabbitMQ at {server} takes no messages at the moment")]
    Blocked { server: String },
    /// Why each node of the cluster can't be used.
    #[error("{}", each(.0))]
    NoNode(Vec<BrokerError>),
}

fn each(errors: &[BrokerError]) -> String {
    let all: Vec<String> = errors.iter().map(|error| Chain(error).to_string()).collect();
    all.join("; ")
}
