//! Docker engines: the machine's, and private ones that may be killed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bollard::Docker;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::Command;

use crate::program::mount_disk;
use crate::teardown::Teardown;
use crate::{repository, run, secs, until};

/// A Docker engine of the test's own. Dropping it stops it and ends its containers.
pub struct Engine {
    name: String,
    /// Further arguments of the daemon.
    args: Vec<String>,
    // Before the folder, so that nothing is mounted there any more when that goes.
    _stop: Teardown,
    dir: TempDir,
}

impl Engine {
    /// Starts an engine; `name` is that of its network bridge, at most 15 characters long.
    pub async fn start(name: &str) -> Result<Self> {
        Self::start_with(name, &[], None).await
    }

    /// One that leaves its containers running when its daemon ends.
    pub async fn start_with_live_restore(name: &str) -> Result<Self> {
        Self::start_with(name, &["--live-restore"], None).await
    }

    /// One whose images and containers are on a disk of so many MiB.
    pub async fn start_on_a_disk_of(name: &str, mib: u32) -> Result<Self> {
        Self::start_with(name, &[], Some(mib)).await
    }

    async fn start_with(name: &str, args: &[&str], disk: Option<u32>) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("ls-engine-").tempdir_in("/tmp")?;
        let stop = Teardown::new([
            script("docker-engine").display().to_string(),
            "stop".to_owned(),
            "--dir".to_owned(),
            dir.path().display().to_string(),
        ]);
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let engine = Self { name: name.to_owned(), args, _stop: stop, dir };
        if let Some(mib) = disk {
            fs::create_dir_all(engine.data())?;
            mount_disk(mib, &engine.data()).await?;
        }
        engine.start_again().await?;
        let mut images = Command::new(script("local-images"));
        images.arg("busybox").env("DOCKER_HOST", engine.host());
        run(images).await?.ok()?;
        Ok(engine)
    }

    pub fn host(&self) -> String {
        format!("unix://{}/docker.sock", self.dir.path().display())
    }

    /// Where its images and containers are.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Kills the daemon as it stands; its containers live on for now.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// Sends a signal to the daemon.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = std::fs::read_to_string(self.dir.path().join("dockerd.pid"))?;
        let pid = Pid::from_raw(pid.trim().parse()?).context("a process id is above 0")?;
        kill_process(pid, signal).context("dockerd")
    }

    /// Ends the daemon as an upgrade would, and starts it again.
    pub async fn restart(&self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let pid = self.dir.path().join("dockerd.pid");
        until("the daemon has ended", secs(60), async || {
            Ok(if pid.exists() { Err(()) } else { Ok(()) })
        })
        .await?;
        self.start_again().await
    }

    /// The daemon and all its containers are gone at once, as when the host loses its power.
    pub async fn lose(&self) -> Result<()> {
        self.kill()?;
        let mut command = Command::new(script("docker-engine"));
        command.arg("stop").arg("--dir").arg(self.dir.path());
        run(command).await?.ok()?;
        Ok(())
    }

    pub async fn start_again(&self) -> Result<()> {
        let mut command = Command::new(script("docker-engine"));
        command.arg("start").arg("--dir").arg(self.dir.path());
        command.args(["--host", &self.host(), "--bridge", &self.name]);
        command.arg("--").args(&self.args);
        run(command).await?.ok()?;
        Ok(())
    }
}

/// A client for the engine at the address, or for the machine's.
pub fn docker(host: Option<&str>) -> Result<Docker> {
    Ok(match host {
        Some(host) => Docker::connect_with_host(host)?,
        None => Docker::connect_with_defaults()?,
    })
}

fn script(name: &str) -> PathBuf {
    Path::new(repository()).join("deploy").join(name)
}
