//! A Redis of the test's own, for tests that stand between it and a cluster, or that take it away.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::program::mount_disk;
use crate::teardown::Teardown;
use crate::{Background, run, secs, until};

/// A `redis-server`, with its files. Dropping it kills it.
pub struct RedisServer {
    process: Option<Background>,
    _disk: Option<Teardown>,
    dir: TempDir,
    port: u16,
    clock: Clock,
}

/// A copy of what Redis had stored at a time.
pub struct Snapshot {
    dir: TempDir,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Clock {
    OfTheHost,
    /// Can be put forward and back: the `clock` file says by how much.
    Movable,
}

/// What gives a process a clock that can be moved.
const CLOCK_SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/redis_server/clock.c");

impl RedisServer {
    pub async fn start() -> Result<Self> {
        Self::start_on(free_port().await?).await
    }

    pub async fn start_on(port: u16) -> Result<Self> {
        Self::start_with(port, Clock::OfTheHost, None).await
    }

    /// One whose files are on a disk of so many MiB.
    pub async fn start_on_a_disk_of(mib: u32) -> Result<Self> {
        Self::start_with(free_port().await?, Clock::OfTheHost, Some(mib)).await
    }

    /// One whose clock can be moved.
    pub async fn start_with_a_clock() -> Result<Self> {
        Self::start_with(free_port().await?, Clock::Movable, None).await
    }

    async fn start_with(port: u16, clock: Clock, disk: Option<u32>) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("ls-redis-").tempdir()?;
        let mut server = Self { process: None, _disk: None, dir, port, clock };
        if let Some(mib) = disk {
            let data = server.data();
            mount_disk(mib, &data).await?;
            let data = data.display().to_string();
            server._disk = Some(Teardown::new(["umount", "--lazy", &data].map(str::to_owned)));
        }
        if clock == Clock::Movable {
            server.move_clock(0)?;
            let mut compile = Command::new("cc");
            compile.args(["-O2", "-Wall", "-Werror", "-shared", "-fPIC", CLOCK_SOURCE, "-o"]);
            compile.arg(server.clock_library());
            run(compile).await?.ok()?;
        }
        server.start_again().await?;
        Ok(server)
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// SIGKILL, as it stands.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::KILL)?;
            process.ended(secs(10)).await?;
        }
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self, bound: Duration) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.ended(bound).await?;
        }
        Ok(())
    }

    /// Starts it with the files that it has, and waits until it answers.
    pub async fn start_again(&mut self) -> Result<()> {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--dir"]).arg(self.data());
        // A snapshot is a copy of files that must stand still but for their end.
        command.args(["--auto-aof-rewrite-percentage", "0"]);
        if self.clock == Clock::Movable {
            command.env("LD_PRELOAD", self.clock_library()).env("STEPPED_CLOCK", self.clock_file());
        }
        self.process = Some(Background::start(command)?);
        let client = redis::Client::open(self.url())?;
        until("redis answers", secs(20), async || {
            let pong = async {
                let mut connection = client.get_multiplexed_async_connection().await?;
                redis::cmd("PING").query_async::<String>(&mut connection).await
            };
            Ok(pong.await.map(drop).map_err(|e| e.to_string()))
        })
        .await
    }

    /// Steps the clock that it sees to so many seconds from the host's.
    pub fn move_clock(&self, seconds: i64) -> Result<()> {
        let mut file =
            OpenOptions::new().create(true).truncate(false).write(true).open(self.clock_file())?;
        // In place: the server has it mapped.
        Ok(file.write_all(&seconds.to_ne_bytes())?)
    }

    /// Copies what is stored just now.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let dir = tempfile::Builder::new().prefix("ls-redis-").tempdir()?;
        copy(&self.data(), dir.path()).await?;
        Ok(Snapshot { dir })
    }

    /// Kills it and starts it with what it had stored when the snapshot was taken.
    pub async fn rewind(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.kill().await?;
        fs::remove_dir_all(self.data())?;
        copy(snapshot.dir.path(), &self.data()).await?;
        self.start_again().await
    }

    /// Where its files are.
    pub fn data(&self) -> PathBuf {
        let data = self.dir.path().join("data");
        // The start says what is wrong if it can't be made.
        let _ = fs::create_dir_all(&data);
        data
    }

    fn clock_file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    fn clock_library(&self) -> PathBuf {
        self.dir.path().join("clock.so")
    }
}

async fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut command = Command::new("cp");
    command.arg("-r").arg(from.join(".")).arg(to);
    run(command).await?.ok()?;
    Ok(())
}

/// A port that nobody listens on at the moment.
pub async fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn time(server: &RedisServer) -> Result<i64> {
        let client = redis::Client::open(server.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let (seconds, _): (i64, i64) = redis::cmd("TIME").query_async(&mut connection).await?;
        Ok(seconds)
    }

    #[tokio::test]
    async fn it_comes_back_with_an_older_file_and_another_clock() -> Result<()> {
        let mut server = RedisServer::start_with_a_clock().await?;
        let client = redis::Client::open(server.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("SET").arg("key").arg("old").exec_async(&mut connection).await?;
        let snapshot = server.snapshot().await?;
        redis::cmd("SET").arg("key").arg("new").exec_async(&mut connection).await?;
        let before = time(&server).await?;
        server.move_clock(3600)?;
        assert!(time(&server).await? - before >= 3600);

        server.rewind(&snapshot).await?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let value: String = redis::cmd("GET").arg("key").query_async(&mut connection).await?;
        assert_eq!(value, "old");
        assert!(time(&server).await? - before >= 3600);
        Ok(())
    }
}
