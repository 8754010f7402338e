//! A Redis of the test's own, for tests that stand between it and a cluster.

use anyhow::Result;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::{Background, secs, until};

/// A running `redis-server`. Dropping it kills it.
pub struct RedisServer {
    _process: Background,
    _dir: TempDir,
    port: u16,
}

impl RedisServer {
    pub async fn start() -> Result<Self> {
        Self::start_on(free_port().await?).await
    }

    pub async fn start_on(port: u16) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--dir"]).arg(dir.path());
        let server = Self { _process: Background::start(command)?, _dir: dir, port };
        let client = redis::Client::open(server.url())?;
        until("redis answers", secs(20), async || {
            Ok(client.get_multiplexed_async_connection().await.map(drop).map_err(|e| e.to_string()))
        })
        .await?;
        Ok(server)
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }
}

/// A port that nobody listens on at the moment.
pub async fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}
