//! The link to a Docker daemon, and which instance of the daemon is at its other end.

use std::fs;
use std::io;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::runtime::{Facts, RuntimeError};

/// How long any one answer may take; longer means that nobody knows what became of the request.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the daemon may take to say what the machine is.
const FACTS_PATIENCE: Duration = Duration::from_secs(5);

/// How long a daemon may stay silent before what waits for it to start gives up.
const START_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Engine {
    pub(super) docker: Docker,
    host: String,
    /// Since when the daemon has not said what the machine is, though it was asked.
    silent_since: watch::Sender<Option<Instant>>,
}

impl Engine {
    pub(super) async fn connect(host: &str) -> Result<Self, RuntimeError> {
        let failure = |source| failure(host, source);
        let docker = Docker::connect_with_host(host).map_err(failure)?.with_timeout(PATIENCE);
        let negotiated = timeout(FACTS_PATIENCE, docker.negotiate_version()).await;
        let docker = negotiated.map_err(|_| silent(host, FACTS_PATIENCE))?.map_err(failure)?;
        Ok(Self { docker, host: host.to_owned(), silent_since: watch::channel(None).0 })
    }

    pub(super) async fn facts(&self) -> Result<Facts, RuntimeError> {
        let info = timeout(FACTS_PATIENCE, self.docker.info()).await;
        self.silent_since.send_if_modified(|since| {
            let before = *since;
            *since = info.is_err().then(|| before.unwrap_or_else(Instant::now));
            *since != before
        });
        let info =
            info.map_err(|_| self.silent(FACTS_PATIENCE))?.map_err(|error| self.failure(error))?;
        Ok(Facts {
            runtime_version: info.server_version.unwrap_or_default(),
            os: info.os_type.unwrap_or_default(),
            arch: architecture(&info.architecture.unwrap_or_default()),
            kernel: info.kernel_version.unwrap_or_default(),
            os_image: info.operating_system.unwrap_or_default(),
            cpus: info.ncpu.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
            memory: info.mem_total.and_then(|n| u64::try_from(n).ok()).unwrap_or_default(),
        })
    }

    /// Waits until the daemon has been silent for so long that a start that waits for it is to be given
    /// up.
    pub(super) async fn hangs(&self) {
        let mut silent = self.silent_since.subscribe();
        loop {
            let since = *silent.borrow_and_update();
            let patience = async {
                match since {
                    Some(since) => sleep_until(since + START_PATIENCE).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = patience => return,
                // Its sender is this.
                _ = silent.changed() => {}
            }
        }
    }

    /// Which instance of the daemon answers a fresh connection: its process and when that started.
    /// `None` if that can't be known: a daemon on another host, or behind a socket of systemd.
    pub(super) async fn instance(&self) -> io::Result<Option<String>> {
        let Some(path) = self.host.strip_prefix("unix://") else { return Ok(None) };
        let stream = timeout(FACTS_PATIENCE, UnixStream::connect(path)).await??;
        let peer = stream.peer_cred()?.pid().and_then(|pid| instance_of(&pid.to_string()));
        Ok(peer.or_else(|| instance_of(fs::read_to_string(DOCKER_PID).ok()?.trim())))
    }

    pub(super) fn failure(&self, source: Error) -> RuntimeError {
        failure(&self.host, source)
    }

    /// It did not answer for so long.
    pub(super) fn silent(&self, time: Duration) -> RuntimeError {
        silent(&self.host, time)
    }
}

/// The HTTP status with which the daemon refused something; `None` if it didn't answer.
pub(super) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// What the daemon said when it refused something.
pub(super) fn message(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::DockerStreamError { error } => error.clone(),
        other => other.to_string(),
    }
}

/// Where a daemon that systemd listens for leaves its process id.
const DOCKER_PID: &str = "/var/run/docker.pid";

fn instance_of(pid: &str) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    if name.trim_end() != "dockerd" {
        return None;
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The 22nd field, counted from behind the name, which can hold anything.
    let started = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?;
    Some(format!("{pid}-{started}"))
}

/// The architecture in the words of Kubernetes.
fn architecture(machine: &str) -> String {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
    .to_owned()
}

fn failure(host: &str, source: Error) -> RuntimeError {
    RuntimeError::Docker { host: host.to_owned(), source: Box::new(source) }
}

fn silent(host: &str, time: Duration) -> RuntimeError {
    RuntimeError::Silent { host: host.to_owned(), seconds: time.as_secs() }
}
