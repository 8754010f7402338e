//! The Redis of a test: a cluster of three masters and three replicas, which the tests of this program have
//! one after the other, each finding it empty.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{ErrorKind, RedisResult, Value};
use tempfile::TempDir;

use crate::common::{spawn, url};

const NODES: usize = 6;

/// How soon a node that says nothing counts as gone.
const NODE_TIMEOUT: &str = "2000";

static CLUSTER: LazyLock<Mutex<Cluster>> = LazyLock::new(|| Mutex::new(Cluster::create()));

pub(crate) struct Server {
    cluster: MutexGuard<'static, Cluster>,
    /// The files before this test, and how long they were.
    before: HashMap<PathBuf, usize>,
}

struct Cluster {
    dir: TempDir,
    nodes: Vec<Node>,
}

struct Node {
    port: u16,
    bus: u16,
    dir: PathBuf,
    child: Child,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut cluster = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
        cluster.repair();
        for at in cluster.masters() {
            let _: () = cluster.nodes[at].ask(&["FLUSHALL"]).unwrap();
        }
        let before = cluster.files().map(|(file, data)| (file, data.len())).collect();
        Self { cluster, before }
    }

    pub(crate) fn ports(&self) -> Vec<u16> {
        self.cluster.ports()
    }

    pub(crate) fn url(&self) -> String {
        url(&self.ports())
    }

    /// For commands that the store doesn't have.
    pub(crate) fn connection(&self) -> Box<dyn redis::ConnectionLike> {
        let urls = self.ports().into_iter().map(|port| url(&[port]));
        let client = redis::cluster::ClusterClient::new(urls).unwrap();
        Box::new(client.get_connection().unwrap())
    }

    /// All that the nodes have written to their files since the test began.
    pub(crate) fn data(&self) -> Vec<u8> {
        let new = self.cluster.files().flat_map(|(file, data)| {
            let from = self.before.get(&file).copied().unwrap_or(0);
            data[from..].to_vec()
        });
        new.collect()
    }

    /// Ends all masters without a chance to write anything, and starts them again on their data, before
    /// anybody misses them.
    pub(crate) fn restart(&mut self) {
        self.restart_masters(false);
    }

    /// The same with their data gone, and soon that of their replicas.
    pub(crate) fn restart_empty(&mut self) {
        self.restart_masters(true);
    }

    fn restart_masters(&mut self, empty: bool) {
        let masters = self.cluster.masters();
        for at in &masters {
            self.cluster.nodes[*at].kill();
            if empty {
                let files = self.cluster.nodes[*at].dir.join("appendonlydir");
                std::fs::remove_dir_all(files).unwrap();
            }
        }
        self.cluster.repair();
        assert_eq!(self.cluster.masters(), masters, "no replica took over");
    }

    /// Ends all nodes.
    pub(crate) fn kill(&mut self) {
        self.cluster.nodes.iter_mut().for_each(Node::kill);
    }
}

impl Cluster {
    fn create() -> Self {
        let dir = TempDir::new().unwrap();
        // All at once, so that they differ; what takes one in between makes its node fail to start.
        let free: Vec<TcpListener> =
            (0..2 * NODES).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = free.iter().map(|one| one.local_addr().unwrap().port()).collect();
        drop(free);
        let nodes = ports.chunks(2).map(|pair| {
            let (port, bus) = (pair[0], pair[1]);
            let dir = dir.path().join(port.to_string());
            std::fs::create_dir(&dir).unwrap();
            let child = start(port, bus, &dir);
            Node { port, bus, dir, child }
        });
        let mut cluster = Self { nodes: nodes.collect(), dir };
        cluster.end_with_the_tests();
        let hosts =
            cluster.nodes.iter().map(|node| format!("127.0.0.1:{}@{}", node.port, node.bus));
        let created = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(hosts)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .expect("redis-cli is installed");
        assert!(created.status.success(), "{created:?}");
        cluster.repair();
        cluster
    }

    /// The test program ends without dropping what is static. Then, or when it is killed, this hears the
    /// end of its input.
    fn end_with_the_tests(&self) {
        let dir = self.dir.path();
        let script = "cat; kill -9 $(cat $0/*/pid); rm -r $0";
        let mut watch = Command::new("sh");
        watch.args(["-c", script]).arg(dir).stdin(Stdio::piped()).stdout(Stdio::null());
        std::mem::forget(watch.spawn().unwrap());
    }

    fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port).collect()
    }

    /// Starts the nodes that have ended, and waits until all are at work.
    fn repair(&mut self) {
        for node in &mut self.nodes {
            if node.child.try_wait().unwrap().is_some() {
                node.child = start(node.port, node.bus, &node.dir);
            }
        }
        until("the cluster is whole", || {
            let ok = |node: &Node| node.info("CLUSTER", "INFO", "cluster_state:ok");
            let linked = |node: &Node| node.info("INFO", "replication", "master_link_status:up");
            let linked = self.nodes.iter().filter(|node| linked(node)).count();
            self.nodes.iter().all(ok) && linked == NODES / 2 && self.masters().len() == NODES / 2
        });
    }

    fn masters(&self) -> Vec<usize> {
        let is_master = |node: &Node| node.info("INFO", "replication", "role:master");
        (0..NODES).filter(|at| is_master(&self.nodes[*at])).collect()
    }

    fn files(&self) -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
        let folders = self.nodes.iter().map(|node| node.dir.join("appendonlydir"));
        let entries = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
        // One that a replica has replaced since has nothing in it that another hasn't.
        entries.filter_map(|entry| {
            let file = entry.unwrap().path();
            let data = std::fs::read(&file).ok()?;
            Some((file, data))
        })
    }
}

impl Node {
    fn ask<T: redis::FromRedisValue>(&self, cmd: &[&str]) -> RedisResult<T> {
        ask(self.port, cmd)
    }

    fn info(&self, command: &str, section: &str, line: &str) -> bool {
        let info: RedisResult<String> = self.ask(&[command, section]);
        info.is_ok_and(|info| info.lines().any(|one| one.trim() == line))
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

fn start(port: u16, bus: u16, dir: &std::path::Path) -> Child {
    let (bus, pid) = (bus.to_string(), dir.join("pid").display().to_string());
    let more = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--pidfile", &pid];
    let quick = ["--cluster-node-timeout", NODE_TIMEOUT, "--repl-diskless-sync-delay", "0"];
    spawn(port, dir, &[&more[..], &quick].concat()).expect("a node starts on its port")
}

fn ask<T: redis::FromRedisValue>(port: u16, cmd: &[&str]) -> RedisResult<T> {
    let client = redis::Client::open(url(&[port]))?;
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(1))?;
    connection.set_read_timeout(Some(Duration::from_secs(1)))?;
    let (name, args) = cmd.split_first().ok_or((ErrorKind::Client, "no command"))?;
    let value: Value = redis::cmd(name).arg(args).query(&mut connection)?;
    Ok(redis::from_redis_value(value)?)
}

/// Waits for a state, for as long as a slow machine may take.
fn until(what: &str, reached: impl Fn() -> bool) {
    let bound = Instant::now() + Duration::from_secs(60);
    while !reached() {
        assert!(Instant::now() < bound, "not within 60 s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
