//! A Redis Cluster of three masters and three replicas on this machine, and what can be done to its nodes.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use redis::{Connection, FromRedisValue};
use tempfile::TempDir;

use crate::server::{start_server, url};

const NODES: usize = 6;

/// How long a node may say nothing before it counts as gone.
pub const NODE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a slow machine may take for any step.
const BOUND: Duration = Duration::from_secs(60);

/// Nodes are told apart by their numbers, from 0. Dropping it ends them all, and so does the end of the test
/// program, whatever ends it.
pub struct RedisCluster {
    nodes: Vec<Node>,
    dir: TempDir,
    /// Ends all nodes when its input ends.
    guard: Child,
}

struct Node {
    port: u16,
    bus: u16,
    dir: PathBuf,
    child: Child,
    frozen: bool,
}

impl RedisCluster {
    /// Starts one, and waits until all its nodes are at work.
    pub fn start() -> Result<Self> {
        let dir = TempDir::new()?;
        let guard = guard(dir.path())?;
        let mut cluster = Self { nodes: Vec::new(), dir, guard };
        for pair in free_ports()?.chunks(2) {
            let (port, bus) = (pair[0], pair[1]);
            let dir = cluster.dir.path().join(port.to_string());
            std::fs::create_dir(&dir)?;
            let child = start_node(port, bus, &dir)?;
            cluster.nodes.push(Node { port, bus, dir, child, frozen: false });
        }
        let hosts =
            cluster.nodes.iter().map(|node| format!("127.0.0.1:{}@{}", node.port, node.bus));
        let created = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(hosts)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .context("redis-cli is installed")?;
        ensure!(created.status.success(), "{created:?}");
        cluster.whole()?;
        Ok(cluster)
    }

    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port).collect()
    }

    /// The setting `redis.url`: all nodes.
    pub fn url(&self) -> String {
        url(&self.ports())
    }

    /// The folders of the nodes' append-only files.
    pub fn data(&self) -> impl Iterator<Item = PathBuf> {
        self.nodes.iter().map(|node| node.dir.join("appendonlydir"))
    }

    /// Asks a node.
    pub fn ask<T: FromRedisValue>(&self, at: usize, cmd: &[&str]) -> Result<T> {
        let (name, args) = cmd.split_first().context("a command has a name")?;
        Ok(redis::cmd(name).arg(args).query(&mut self.connect(at)?)?)
    }

    /// A connection to one node.
    pub fn connect(&self, at: usize) -> Result<Connection> {
        let node = &self.nodes[at];
        ensure!(!node.frozen, "node {at} is frozen");
        let client = redis::Client::open(url(&[node.port]))?;
        let connection = client.get_connection_with_timeout(Duration::from_secs(1))?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(connection)
    }

    /// The nodes that say that they are masters.
    pub fn masters(&self) -> Vec<usize> {
        let is_master = |at: &usize| self.says(*at, &["INFO", "replication"], "role:master");
        (0..NODES).filter(is_master).collect()
    }

    /// The master that says that it has the slot of a key.
    pub fn master_of(&self, key: &str) -> Result<usize> {
        let masters = self.masters();
        let first = *masters.first().context("no master answers")?;
        let slot: u16 = self.ask(first, &["CLUSTER", "KEYSLOT", key])?;
        let has = |at: &usize| self.slots_of(*at).is_ok_and(|slots| slots.contains(&slot));
        masters.into_iter().find(has).with_context(|| format!("no master has slot {slot} of {key}"))
    }

    /// The replica of a master.
    pub fn replica_of(&self, master: usize) -> Result<usize> {
        let line = format!("master_port:{}", self.nodes[master].port);
        let follows = |at: &usize| self.says(*at, &["INFO", "replication"], &line);
        (0..NODES).find(follows).with_context(|| format!("node {master} has no replica"))
    }

    /// The id by which a cluster's nodes know each other.
    pub fn id(&self, at: usize) -> Result<String> {
        self.ask(at, &["CLUSTER", "MYID"])
    }

    /// SIGKILL, as it stands.
    pub fn kill(&mut self, at: usize) -> Result<()> {
        let node = &mut self.nodes[at];
        node.child.kill()?;
        node.child.wait()?;
        node.frozen = false;
        // The id may be another process' by the time that all are ended.
        std::fs::remove_file(node.dir.join("pid"))?;
        Ok(())
    }

    /// SIGSTOP: it keeps its connections and says nothing.
    pub fn freeze(&mut self, at: usize) -> Result<()> {
        self.nodes[at].signal("STOP")?;
        self.nodes[at].frozen = true;
        Ok(())
    }

    /// SIGCONT.
    pub fn thaw(&mut self, at: usize) -> Result<()> {
        self.nodes[at].signal("CONT")?;
        self.nodes[at].frozen = false;
        Ok(())
    }

    /// Starts the nodes that have ended, thaws the frozen, and waits until all are at work.
    pub fn repair(&mut self) -> Result<()> {
        for at in 0..NODES {
            if self.nodes[at].frozen {
                self.thaw(at)?;
            }
            let node = &mut self.nodes[at];
            if node.child.try_wait()?.is_some() {
                node.child = start_node(node.port, node.bus, &node.dir)?;
            }
        }
        self.whole()
    }

    /// Deletes the files of a node that has ended.
    pub fn forget(&self, at: usize) -> Result<()> {
        Ok(std::fs::remove_dir_all(self.nodes[at].dir.join("appendonlydir"))?)
    }

    /// Waits until every replica has all that its master has written.
    pub fn replicated(&self) -> Result<()> {
        until("the replicas have everything", || {
            self.masters().into_iter().all(|at| {
                let info: Result<String> = self.ask(at, &["INFO", "replication"]);
                info.is_ok_and(|info| has_been_followed(&info))
            })
        })
    }

    fn whole(&self) -> Result<()> {
        until("the cluster is whole", || {
            let ok = |at: usize| self.says(at, &["CLUSTER", "INFO"], "cluster_state:ok");
            let linked =
                |at: &usize| self.says(*at, &["INFO", "replication"], "master_link_status:up");
            let linked = (0..NODES).filter(linked).count();
            (0..NODES).all(ok) && linked == NODES / 2 && self.masters().len() == NODES / 2
        })
    }

    /// Whether a node answers, and with such a line.
    fn says(&self, at: usize, cmd: &[&str], line: &str) -> bool {
        let said: Result<String> = self.ask(at, cmd);
        said.is_ok_and(|said| said.lines().any(|one| one.trim() == line))
    }

    /// The slots that a node says it has.
    fn slots_of(&self, at: usize) -> Result<Vec<u16>> {
        let nodes: String = self.ask(at, &["CLUSTER", "NODES"])?;
        let own = nodes.lines().find(|line| line.contains("myself")).context("its own line")?;
        let mut slots = Vec::new();
        // A slot that is on the move is in brackets, besides.
        for range in own.split(' ').skip(8).filter(|range| !range.starts_with('[')) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            slots.extend(first.parse::<u16>()?..=last.parse()?);
        }
        Ok(slots)
    }
}

impl Drop for RedisCluster {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let nodes = self.nodes.iter_mut().map(|node| &mut node.child);
        for child in std::iter::once(&mut self.guard).chain(nodes) {
            if let Err(error) = child.wait() {
                eprintln!("ending a Redis Cluster: {error}");
            }
        }
    }
}

impl Node {
    fn signal(&self, signal: &str) -> Result<()> {
        let sent = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        ensure!(sent?.success(), "{signal} to the node on port {}", self.port);
        Ok(())
    }
}

/// Hears the end of the test program as the end of its own input, also when that is killed.
fn guard(dir: &Path) -> Result<Child> {
    let script = "cat; kill -9 $(cat $0/*/pid); rm -r $0";
    let mut guard = Command::new("sh");
    guard.args(["-c", script]).arg(dir);
    guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(guard.spawn()?)
}

/// Two for each node.
fn free_ports() -> Result<Vec<u16>> {
    // All at once, so that they differ; what takes one in between makes its node fail to start.
    let free: std::io::Result<Vec<TcpListener>> =
        (0..2 * NODES).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    free?.iter().map(|one| Ok(one.local_addr()?.port())).collect()
}

fn start_node(port: u16, bus: u16, dir: &Path) -> Result<Child> {
    let (bus, pid) = (bus.to_string(), dir.join("pid").display().to_string());
    let timeout = NODE_TIMEOUT.as_millis().to_string();
    let more = [
        ["--cluster-enabled", "yes"],
        ["--cluster-port", &bus],
        ["--cluster-node-timeout", &timeout],
        ["--repl-diskless-sync-delay", "0"],
        ["--pidfile", &pid],
    ];
    start_server(port, dir, more.as_flattened())
}

/// Whether a master's only replica has acknowledged all that there is.
fn has_been_followed(info: &str) -> bool {
    let field = |name: &str| info.lines().find_map(|line| line.trim().strip_prefix(name));
    let offset = field("master_repl_offset:");
    let replica = field("slave0:").and_then(|replica| replica.split(",offset=").nth(1));
    offset.is_some() && replica.and_then(|offset| offset.split(',').next()) == offset
}

fn until(what: &str, reached: impl Fn() -> bool) -> Result<()> {
    let bound = Instant::now() + BOUND;
    while !reached() {
        if Instant::now() > bound {
            bail!("not within {BOUND:?}: {what}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
