//! The program under test.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::servers::until;

/// A worker that can be started again under its name and with its folder.
pub(crate) struct Worker {
    name: String,
    redis: String,
    amqp: String,
    state: TempDir,
    child: Option<Child>,
}

impl Worker {
    pub(crate) fn new(name: &str, redis: &str, amqp: &str) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        Self { name: name.into(), redis: redis.into(), amqp: amqp.into(), state, child: None }
    }

    pub(crate) fn start(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_longshore-worker"))
            .args(["--name", &self.name, "--slots", "2", "--state-dir"])
            .arg(self.state.path())
            .env("LONGSHORE__REDIS__URL", &self.redis)
            .env("LONGSHORE__RABBITMQ__URL", &self.amqp)
            .env("LONGSHORE__WORKER__DRAIN_TIMEOUT", "1s")
            .spawn()
            .expect("the worker is built");
        self.child = Some(child);
    }

    /// The most memory that it has had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let child = self.child.as_ref().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let status = status.expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.expect("a number of kB") * 1024
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            let status = child.wait().expect("ended");
            assert_eq!(status.signal(), Some(9), "it had ended by itself");
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("signalled");
    }

    /// SIGTERM, and waits until it has ended.
    pub(crate) async fn end(&mut self) {
        self.signal(Signal::TERM);
        let mut child = self.child.take().expect("it runs");
        until("the worker ends", || child.try_wait().expect("known").is_some()).await;
        assert!(child.wait().expect("ended").success());
    }

    /// SIGTERM, and waits until it has drained.
    pub(crate) async fn terminate(&mut self) {
        self.end().await;
        for folder in ["attempts", "volumes"] {
            let left = std::fs::read_dir(self.state.path().join(folder)).expect("there").count();
            assert_eq!(left, 0, "{folder} are left");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
