//! A Redis and a RabbitMQ of the test's own, and the machine's Docker.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use longshore_broker::{BrokerSettings, Publisher};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// No state is waited for longer.
const BOUND: Duration = Duration::from_secs(60);

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < BOUND, "waited for nothing: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Runs the Docker command line and gives what it prints.
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A private Redis; it ends with this value.
pub(crate) struct Redis {
    port: u16,
    child: Child,
    _dir: TempDir,
}

impl Redis {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let [port] = free_ports();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(start.elapsed() < BOUND, "Redis does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { port, child, _dir: dir }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signalled");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A private RabbitMQ; it ends with this value.
pub(crate) struct RabbitMq {
    port: u16,
    epmd: u16,
    child: Child,
    _dir: TempDir,
}

impl RabbitMq {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("ls-mq-").tempdir_in("/tmp").expect("a folder");
        let [port, distribution, epmd] = free_ports();
        let in_dir = |name: &str| dir.path().join(name);
        std::fs::write(in_dir("plugins"), "[].").expect("written");
        let log = std::fs::File::create(in_dir("log")).expect("a file");
        let child = Command::new("/usr/lib/rabbitmq/bin/rabbitmq-server")
            .env("HOME", dir.path())
            .env("RABBITMQ_NODENAME", format!("test{port}@localhost"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("RABBITMQ_MNESIA_BASE", in_dir("data"))
            .env("RABBITMQ_LOG_BASE", in_dir("logs"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", in_dir("plugins"))
            .env("RABBITMQ_CONF_ENV_FILE", in_dir("none"))
            .env("RABBITMQ_CONFIG_FILE", in_dir("none"))
            .env("ERL_EPMD_PORT", epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the same file"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("RabbitMQ is installed");
        let server = Self { port, epmd, child, _dir: dir };
        let settings = BrokerSettings::new(&server.url()).expect("a URL");
        let start = Instant::now();
        while Publisher::new(settings.clone(), "ready").check().await.is_err() {
            assert!(start.elapsed() < BOUND, "RabbitMQ does not start");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        // The shell script, the Erlang machine and its helpers are one process group.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        // Started in a session of its own, it outlives the group.
        let port = self.epmd.to_string();
        let _ = Command::new("/usr/bin/epmd")
            .args(["-port", &port, "-kill"])
            .stdout(Stdio::null())
            .status();
    }
}

fn free_ports<const N: usize>() -> [u16; N] {
    let held: Vec<_> =
        (0..N).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    std::array::from_fn(|n| held[n].local_addr().expect("an address").port())
}
