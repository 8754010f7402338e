//! One server: a connection that all calls share, and some for reads that block.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use longshore_support::retry::Server;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, RedisResult, Value};

use super::Timeouts;

/// Idle connections kept for blocking reads.
const IDLE_READERS: usize = 64;

pub(crate) struct Node {
    address: String,
    /// Whether it answered last, where it is one of several.
    pub(super) server: Server,
    timeouts: Timeouts,
    client: Client,
    /// For all that doesn't block; connects anew by itself.
    manager: ConnectionManager,
    /// Connections of blocking reads, which would hold up everything else on a shared one.
    readers: Mutex<Vec<MultiplexedConnection>>,
}

impl Node {
    /// Connects at the first use.
    pub(super) fn new(info: ConnectionInfo, timeouts: Timeouts) -> RedisResult<Self> {
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(
                TcpKeepalive::new()
                    .with_time(Duration::from_secs(5))
                    .with_interval(Duration::from_secs(2))
                    .with_retries(3),
            )
            .set_user_timeout(Duration::from_secs(8));
        let address = info.addr().to_string();
        let client = Client::open(info.set_tcp_settings(tcp))?;
        // The tries and their waits are the store's, so the manager makes one of its own.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(200))
            .set_connection_timeout(Some(timeouts.connect))
            .set_response_timeout(Some(timeouts.response));
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config)?;
        let server = Server::new("Redis", &address);
        Ok(Self { address, server, timeouts, client, manager, readers: Mutex::default() })
    }

    /// `host:port`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn connection(&self) -> ConnectionManager {
        self.manager.clone()
    }

    pub(super) async fn is_of_a_cluster(&self) -> RedisResult<bool> {
        let info: String =
            redis::cmd("INFO").arg("cluster").query_async(&mut self.connection()).await?;
        Ok(info.lines().any(|line| line.trim() == "cluster_enabled:1"))
    }

    /// Runs a command that may wait in Redis, for at most `bound`.
    pub(super) async fn wait(&self, cmd: &Cmd, bound: Duration) -> RedisResult<Value> {
        let read = async {
            let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut reader = match idle {
                Some(reader) => reader,
                None => {
                    let config = AsyncConnectionConfig::new()
                        .set_connection_timeout(Some(self.timeouts.connect))
                        .set_response_timeout(None);
                    self.client.get_multiplexed_async_connection_with_config(&config).await?
                }
            };
            let value = cmd.query_async(&mut reader).await?;
            // One that failed or was dropped on the way is never used again.
            let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
            if readers.len() < IDLE_READERS {
                readers.push(reader);
            }
            Ok(value)
        };
        let result: RedisResult<Value> = match tokio::time::timeout(bound, read).await {
            Ok(result) => result,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        };
        if result.as_ref().is_err_and(|error| error.is_io_error()) {
            // The other idle ones are as old.
            self.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        result
    }
}
