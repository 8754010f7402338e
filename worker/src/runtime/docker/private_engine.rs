//! Docker engines whose daemons a test may end.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::timeout;
use uuid::Uuid;

use super::bench::{BOUND, IMAGE};

/// A Docker engine of the test's own; it ends with this value.
pub(super) struct PrivateEngine {
    pub(super) host: String,
    bridge: String,
    dir: tempfile::TempDir,
}

impl PrivateEngine {
    pub(super) fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("ls-engine-").tempdir_in("/tmp");
        let dir = dir.expect("a folder");
        let host = format!("unix://{}/docker.sock", dir.path().display());
        // An interface's name has 15 characters at most.
        let bridge = format!("ls-{}", &Uuid::new_v4().simple().to_string()[..8]);
        let engine = Self { host, bridge, dir };
        engine.control("start");
        let image = Command::new("sh")
            .arg("-c")
            .arg(format!("docker save {IMAGE} | docker --host {} load", engine.host))
            .stdout(Stdio::null())
            .status();
        assert!(image.expect("sh").success(), "{IMAGE} is there: deploy/local-images");
        engine
    }

    /// Ends the daemon as an upgrade would, and starts it again.
    pub(super) async fn restart(&self) {
        self.end_daemon("-TERM").await;
        self.control("start");
    }

    /// The daemon is dead, and its containers live on.
    pub(super) async fn kill(&self) {
        self.end_daemon("-KILL").await;
    }

    async fn end_daemon(&self, signal: &str) {
        let daemon = std::fs::read_to_string(self.dir.path().join("dockerd.pid"));
        let daemon = daemon.expect("it runs").trim().to_owned();
        let ended = Command::new("kill").args([signal, &daemon]).status();
        assert!(ended.expect("kill").success());
        let process = Path::new("/proc").join(&daemon);
        let gone = async {
            // Its parent is gone, so nobody may reap it here.
            while std::fs::read_to_string(process.join("stat"))
                .is_ok_and(|stat| !stat.contains(") Z "))
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(BOUND, gone).await.expect("the daemon ends");
    }

    fn control(&self, action: &str) {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/docker-engine");
        let status = Command::new(program)
            // A bridge of its own: a daemon told to have none removes every other daemon's docker0.
            .args([action, "--bridge", &self.bridge, "--host", &self.host, "--dir"])
            .arg(self.dir.path())
            .stdout(Stdio::null())
            .status();
        assert!(status.expect("deploy/docker-engine").success());
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        self.control("stop");
    }
}
