//! Connections to RabbitMQ: where its nodes are, and one connection to whichever of them answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use longshore_support::config::split_urls;
use tokio::time::timeout;

use crate::BrokerError;

/// How long any one step with the broker may take: a frozen broker must look like a broken one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The same for a connection where there is another node to try.
const NODE_PATIENCE: Duration = Duration::from_secs(4);
/// Seconds between heartbeats; a peer is given up after two missed.
const HEARTBEAT: u16 = 5;

/// Where RabbitMQ is: one node, or the nodes of a cluster. Clones take turns in where they connect.
#[derive(Clone)]
pub struct BrokerSettings {
    nodes: Arc<[AMQPUri]>,
    /// The node that is tried first by the next connection.
    turn: Arc<AtomicUsize>,
}

/// A connection, and the address of the node that it is to.
pub(crate) struct Connected {
    pub(crate) connection: Connection,
    pub(crate) server: Arc<str>,
}

impl BrokerSettings {
    /// Reads one `amqp://` or `amqps://` URL, or several separated by commas; the error says what is wrong
    /// with which.
    pub fn new(urls: &str) -> Result<Self, String> {
        let urls: Vec<&str> = split_urls(urls).collect();
        let read = |(at, url): (usize, &&str)| match url.parse::<AMQPUri>() {
            Ok(mut uri) => {
                uri.query.heartbeat.get_or_insert(HEARTBEAT);
                Ok(uri)
            }
            Err(why) if urls.len() == 1 => Err(why),
            Err(why) => Err(format!("URL {}: {why}", at + 1)),
        };
        let nodes = urls.iter().enumerate().map(read).collect::<Result<Arc<[_]>, _>>()?;
        // At random, so that the members of a fleet don't all sit on the first node.
        let turn = Arc::new(AtomicUsize::new(fastrand::usize(..nodes.len())));
        Ok(Self { nodes, turn })
    }

    /// The address of the server, or of all its nodes, fit to be shown: without passwords.
    pub fn server(&self) -> String {
        let all: Vec<String> = self.nodes.iter().map(address).collect();
        all.join(",")
    }

    /// All nodes, each once, beginning with another one each time.
    fn in_turn(&self) -> impl Iterator<Item = &AMQPUri> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.nodes.len();
        self.nodes.iter().cycle().skip(first).take(self.nodes.len())
    }
}

impl std::fmt::Debug for BrokerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerSettings").field("server", &self.server()).finish_non_exhaustive()
    }
}

/// Connects to the first node that answers, without recovery: whoever holds the connection makes a new one
/// when it breaks.
pub(crate) async fn connect(
    settings: &BrokerSettings,
    name: &str,
) -> Result<Connected, BrokerError> {
    let patience = if settings.nodes.len() == 1 { PATIENCE } else { NODE_PATIENCE };
    let mut failures = Vec::new();
    for uri in settings.in_turn() {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let server = address(uri);
        let step = Connection::connect_uri(uri.clone(), properties);
        match bounded(&server, patience, step).await {
            Ok(connection) => return Ok(Connected { connection, server: server.into() }),
            Err(error) => failures.push(error),
        }
    }
    match failures.pop() {
        Some(only) if failures.is_empty() => Err(only),
        last => {
            failures.extend(last);
            Err(BrokerError::NoNode(failures))
        }
    }
}

/// Bounds a step with the broker.
pub(crate) async fn within<T>(
    server: &str,
    step: impl Future<Output = lapin::Result<T>>,
) -> Result<T, BrokerError> {
    bounded(server, PATIENCE, step).await
}

async fn bounded<T>(
    server: &str,
    patience: Duration,
    step: impl Future<Output = lapin::Result<T>>,
) -> Result<T, BrokerError> {
    match timeout(patience, step).await {
        Ok(result) => result.map_err(|source| unusable(server, source)),
        Err(_) => Err(silent(server, patience)),
    }
}

pub(crate) fn unusable(server: &str, source: lapin::Error) -> BrokerError {
    BrokerError::Unusable { server: server.to_owned(), source: Box::new(source) }
}

pub(crate) fn silent(server: &str, patience: Duration) -> BrokerError {
    BrokerError::Silent { server: server.to_owned(), seconds: patience.as_secs() }
}

fn address(uri: &AMQPUri) -> String {
    format!("{}:{}", uri.authority.host, uri.authority.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: &str = "amqp://u:a,b@h1:1/%2f,amqp://u:secret@h2:2/%2f, amqps://u:p@h3:3/%2f";

    #[test]
    fn each_connection_begins_at_the_next_node() {
        let settings = BrokerSettings::new(THREE).expect("three URLs");
        assert_eq!(settings.server(), "h1:1,h2:2,h3:3");
        let order = || settings.in_turn().map(address).collect::<Vec<_>>();
        let firsts: Vec<_> = (0..3).map(|_| order()[0].clone()).collect();
        let (all, mut sorted) = (["h1:1", "h2:2", "h3:3"], firsts.clone());
        sorted.sort();
        assert_eq!(sorted, all, "each is the first once");
        let mut again = order();
        assert_eq!(again[0], firsts[0]);
        again.sort();
        assert_eq!(again, all, "each is tried");
    }

    #[test]
    fn the_url_that_is_wrong_is_named() {
        let error = BrokerSettings::new("amqp://h1,amqp://u:secret@h2:port").expect_err("no port");
        assert!(error.starts_with("URL 2: "), "{error}");
        assert!(!error.contains("secret"), "{error}");
        let shown = format!("{:?}", BrokerSettings::new(THREE));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
