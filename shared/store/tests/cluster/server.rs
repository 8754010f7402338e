//! The Redis of a test: a cluster, which the tests of this program have one after the other, each finding it
//! empty.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use longshore_test_redis::{RedisCluster, url};

static CLUSTER: LazyLock<Mutex<RedisCluster>> =
    LazyLock::new(|| Mutex::new(RedisCluster::start().unwrap()));

pub(crate) struct Server {
    pub(crate) nodes: MutexGuard<'static, RedisCluster>,
    /// The files before this test, and how long they were.
    before: HashMap<PathBuf, usize>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut nodes = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.repair().unwrap();
        for at in nodes.masters() {
            let _: () = nodes.ask(at, &["FLUSHALL"]).unwrap();
        }
        let before = files(&nodes).map(|(file, data)| (file, data.len())).collect();
        Self { nodes, before }
    }

    pub(crate) fn ports(&self) -> Vec<u16> {
        self.nodes.ports()
    }

    pub(crate) fn url(&self) -> String {
        self.nodes.url()
    }

    /// For commands that the store doesn't have.
    pub(crate) fn connection(&self) -> Box<dyn redis::ConnectionLike> {
        let urls = self.ports().into_iter().map(|port| url(&[port]));
        let client = redis::cluster::ClusterClient::new(urls).unwrap();
        Box::new(client.get_connection().unwrap())
    }

    /// All that the nodes have written to their files since the test began.
    pub(crate) fn data(&self) -> Vec<u8> {
        let new = files(&self.nodes).flat_map(|(file, data)| {
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
        let masters = self.nodes.masters();
        for at in &masters {
            self.nodes.kill(*at).unwrap();
            if empty {
                self.nodes.forget(*at).unwrap();
            }
        }
        self.nodes.repair().unwrap();
        assert_eq!(self.nodes.masters(), masters, "no replica took over");
    }

    /// Ends all nodes.
    pub(crate) fn kill(&mut self) {
        for at in 0..self.ports().len() {
            self.nodes.kill(at).unwrap();
        }
    }
}

fn files(nodes: &RedisCluster) -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
    let entries = nodes.data().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    // One that a replica has replaced since has nothing in it that another hasn't.
    entries.filter_map(|entry| {
        let file = entry.unwrap().path();
        let data = std::fs::read(&file).ok()?;
        Some((file, data))
    })
}
