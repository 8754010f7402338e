//! RabbitMQ: a cluster of the test's own, and its command line for any node.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::process::Command;

use crate::redis_server::free_port;
use crate::{Background, run, secs, until};

/// The queue of tickets.
pub const TICKETS: &str = "longshore.tickets.v2";

const SCRIPTS: &str = "/usr/lib/rabbitmq/bin";
const EPMD: &str = "/usr/bin/epmd";

/// A cluster on this machine. Dropping it kills its nodes.
pub struct RabbitmqCluster {
    nodes: Vec<Node>,
    epmd_port: u16,
    dir: TempDir,
    /// Ends after the nodes.
    _epmd: Background,
}

struct Node {
    name: String,
    port: u16,
    process: Background,
}

impl RabbitmqCluster {
    /// Starts so many nodes, and waits until each has all the others.
    pub async fn start(size: usize) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("ls-mq-").tempdir_in("/tmp")?;
        // What nodes show each other to be let in.
        let cookie = dir.path().join(".erlang.cookie");
        fs::write(&cookie, format!("LONGSHORE{:020}", fastrand::u64(..)))?;
        fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400))?;
        let epmd_port = free_port().await?;
        let mut epmd = Command::new(EPMD);
        epmd.args(["-address", "127.0.0.1", "-port", &epmd_port.to_string()]);
        let epmd = Background::start(epmd)?;

        let names: Vec<String> = (1..=size).map(|n| format!("node{n}@localhost")).collect();
        let mut nodes = Vec::new();
        for name in &names {
            let port = free_port().await?;
            let process =
                Background::start(node(dir.path(), name, port, &names, epmd_port).await?)?;
            nodes.push(Node { name: name.clone(), port, process });
        }
        let cluster = Self { nodes, epmd_port, dir, _epmd: epmd };
        for name in &names {
            cluster
                .ctl(name, &["await_online_nodes", &size.to_string(), "--timeout", "60"])
                .await?;
        }
        Ok(cluster)
    }

    /// The setting `rabbitmq.url`: all nodes.
    pub fn url(&self) -> String {
        let url = |node: &Node| format!("amqp://guest:guest@127.0.0.1:{}/%2f", node.port);
        self.nodes.iter().map(url).collect::<Vec<_>>().join(",")
    }

    /// The members of a queue, and the one that leads it, as a node sees it.
    pub async fn members(&self, queue: &str) -> Result<(String, Vec<String>)> {
        let args = ["list_queues", "--silent", "--no-table-headers", "name", "leader", "members"];
        let list = self.ctl(&self.nodes[0].name, &args).await?;
        let line = list.lines().find(|line| line.split('\t').next() == Some(queue));
        let mut fields = line.with_context(|| format!("no {queue} in {list:?}"))?.split('\t');
        let leader = fields.nth(1).context("a leader")?.to_owned();
        let members = fields.next().context("members")?.trim_matches(['[', ']']);
        Ok((leader, members.split(", ").map(str::to_owned).collect()))
    }

    /// SIGKILL to a node.
    pub async fn kill(&mut self, name: &str) -> Result<()> {
        let node = self.nodes.iter_mut().find(|node| node.name == name).context("a node")?;
        node.process.signal(Signal::KILL)?;
        node.process.ended(secs(10)).await.map(drop)
    }

    /// Runs `rabbitmqctl` against a node.
    async fn ctl(&self, node: &str, args: &[&str]) -> Result<String> {
        until(&format!("{node} answers"), secs(60), async || {
            let mut command = Command::new(format!("{SCRIPTS}/rabbitmqctl"));
            command.args(["--node", node]).args(args).env("HOME", self.dir.path());
            command.env("ERL_EPMD_PORT", self.epmd_port.to_string());
            let output = run(command).await?;
            // A node that has not begun to listen yet can't be reached.
            Ok(if output.code == 0 { Ok(output.stdout) } else { Err(output.to_string()) })
        })
        .await
    }
}

/// Runs `rabbitmqctl` against the node that this process is.
pub(crate) async fn rabbitmqctl(pid: i32, args: &[&str]) -> Result<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).context("the node's environment")?;
    let environment = String::from_utf8(environment)?;
    let wanted = ["HOME", "RABBITMQ_NODENAME", "ERL_EPMD_PORT"];
    let variables: Vec<(&str, &str)> = environment
        .split('\0')
        .filter_map(|variable| variable.split_once('='))
        .filter(|(name, _)| wanted.contains(name))
        .collect();
    ensure!(variables.len() == wanted.len(), "no node of RabbitMQ: {variables:?}");
    let mut command = Command::new(format!("{SCRIPTS}/rabbitmqctl"));
    command.args(args).envs(variables);
    run(command).await?.ok()
}

/// How a node of a cluster is started.
async fn node(
    home: &Path,
    name: &str,
    port: u16,
    all: &[String],
    epmd_port: u16,
) -> Result<Command> {
    let dir = home.join(name);
    fs::create_dir(&dir)?;
    let file = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).map(|()| path)
    };
    let mut configuration = format!(
        "listeners.tcp.local = 127.0.0.1:{port}\n\
         disk_free_limit.absolute = 50MB\n\
         raft.wal_max_size_bytes = 33554432\n\
         log.console = true\n\
         log.file = false\n\
         cluster_formation.peer_discovery_backend = classic_config\n"
    );
    for (at, name) in (1..).zip(all) {
        configuration += &format!("cluster_formation.classic_config.nodes.{at} = {name}\n");
    }
    let mut command = Command::new(format!("{SCRIPTS}/rabbitmq-server"));
    command
        .env("HOME", home)
        .env("RABBITMQ_NODENAME", name)
        .env("RABBITMQ_BASE", &dir)
        .env("RABBITMQ_MNESIA_BASE", dir.join("mnesia"))
        .env("RABBITMQ_LOG_BASE", dir.join("log"))
        .env("RABBITMQ_PID_FILE", dir.join("pid"))
        .env("RABBITMQ_GENERATED_CONFIG_DIR", dir.join("generated"))
        .env("RABBITMQ_SCHEMA_DIR", dir.join("schema"))
        .env("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf", &configuration)?)
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", file("advanced.config", "[].\n")?)
        .env("RABBITMQ_CONF_ENV_FILE", file("rabbitmq-env.conf", "")?)
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins", "[].\n")?)
        .env("RABBITMQ_DIST_PORT", free_port().await?.to_string())
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}",
        )
        .env("ERL_EPMD_PORT", epmd_port.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        // Makes the script become the server instead of its parent.
        .env("RUNNING_UNDER_SYSTEMD", "true");
    Ok(command)
}
