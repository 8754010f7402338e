//! A RabbitMQ of the test's own.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use longshore_broker::{BrokerSettings, Publisher};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// A private server on free ports; it ends with this value.
pub(crate) struct RabbitMq {
    dir: TempDir,
    port: u16,
    distribution: u16,
    epmd: u16,
    child: Child,
}

impl RabbitMq {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("ls-mq-").tempdir_in("/tmp").unwrap();
        let [port, distribution, epmd] = free_ports();
        let child = spawn(dir.path(), port, distribution, epmd);
        let server = Self { dir, port, distribution, epmd, child };
        server.ready().await;
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    pub(crate) fn settings(&self) -> BrokerSettings {
        BrokerSettings::new(&self.url()).unwrap()
    }

    /// Stops the server and starts it again with its data. Stopped, not killed: RabbitMQ loses what
    /// was declared in the seconds before a kill.
    pub(crate) async fn restart(&mut self) {
        self.end(Signal::TERM);
        self.child = spawn(self.dir.path(), self.port, self.distribution, self.epmd);
        self.ready().await;
    }

    async fn ready(&self) {
        let start = Instant::now();
        while Publisher::new(self.settings(), "ready").check().await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "RabbitMQ does not start");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn end(&mut self, signal: Signal) {
        // The shell script, the Erlang machine, its helpers and epmd are one process group.
        let group = Pid::from_child(&self.child);
        let _ = kill_process_group(group, signal);
        let _ = self.child.wait();
        // Started by the Erlang machine in a session of its own, it outlives the group.
        let epmd = ["/usr/bin/epmd", "-port", &self.epmd.to_string(), "-kill"].map(str::to_owned);
        let _ = Command::new(&epmd[0]).args(&epmd[1..]).stdout(Stdio::null()).status();
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.end(Signal::KILL);
    }
}

fn spawn(dir: &Path, port: u16, distribution: u16, epmd: u16) -> Child {
    let in_dir = |name: &str| dir.join(name);
    std::fs::write(in_dir("plugins"), "[].").unwrap();
    let log = std::fs::File::create(in_dir("log")).unwrap();
    Command::new(PROGRAM)
        .env("HOME", dir)
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
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0)
        .spawn()
        .unwrap()
}

fn free_ports() -> [u16; 3] {
    let held: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    [0, 1, 2].map(|i| held[i].local_addr().unwrap().port())
}
