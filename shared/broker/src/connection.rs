//! One connection to RabbitMQ.

use std::time::Duration;

use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use tokio::time::timeout;

use crate::BrokerError;

/// How long any one step with the broker may take: a frozen broker must look like a broken one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds between heartbeats; a peer is given up after two missed.
const HEARTBEAT: u16 = 5;

/// Where RabbitMQ is.
#[derive(Clone)]
pub struct BrokerSettings {
    uri: AMQPUri,
}

impl BrokerSettings {
    /// Reads an `amqp://` or `amqps://` URL; the error says what is wrong with it.
    pub fn new(url: &str) -> Result<Self, String> {
        let mut uri: AMQPUri = url.parse()?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        Ok(Self { uri })
    }

    /// The server's address, fit to be shown: without the password.
    pub fn server(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }
}

impl std::fmt::Debug for BrokerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerSettings").field("server", &self.server()).finish_non_exhaustive()
    }
}

/// Connects once, without recovery: whoever holds the connection makes a new one when it breaks.
pub(crate) async fn connect(
    settings: &BrokerSettings,
    name: &str,
) -> Result<Connection, BrokerError> {
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    within(settings, Connection::connect_uri(settings.uri.clone(), properties)).await
}

/// Bounds a step with the broker.
pub(crate) async fn within<T>(
    settings: &BrokerSettings,
    step: impl Future<Output = lapin::Result<T>>,
) -> Result<T, BrokerError> {
    match timeout(PATIENCE, step).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => {
            Err(BrokerError::Unusable { server: settings.server(), source: Box::new(source) })
        }
        Err(_) => {
            Err(BrokerError::Silent { server: settings.server(), seconds: PATIENCE.as_secs() })
        }
    }
}
