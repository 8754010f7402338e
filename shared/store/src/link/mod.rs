//! The way to Redis: one server, or the nodes of a Redis Cluster.
//!
//! Both are a connection to the crate that speaks Redis' protocol, so that commands, pipelines and scripts
//! are written once. Which of the two it is, the server says.

mod cluster;
mod node;
mod url;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager};
use redis::{Cmd, ConnectionInfo, Pipeline, RedisFuture, RedisResult, Value};

use cluster::{Cluster, Route};
use node::Node;

/// How long a server may take.
#[derive(Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) response: Duration,
}

/// The servers that the settings name, of which one that answers is enough.
pub(crate) struct Seeds {
    servers: Vec<ConnectionInfo>,
    timeouts: Timeouts,
}

pub(crate) enum Link {
    Server(Arc<Node>),
    Cluster(Arc<Cluster>),
}

/// One call's connection.
pub(crate) enum Way {
    Server(ConnectionManager),
    Cluster(Route),
}

impl Seeds {
    /// Reads `redis://[user:password@]host:port[,host:port...][/db]`.
    pub(crate) fn parse(url: &str, timeouts: Timeouts) -> RedisResult<Self> {
        Ok(Self { servers: url::servers(url)?, timeouts })
    }

    pub(crate) fn len(&self) -> usize {
        self.servers.len()
    }

    /// Asks one after the other, until one says whether it is a node of a cluster.
    pub(crate) async fn link(&self) -> RedisResult<Link> {
        let mut nodes = Vec::new();
        for info in &self.servers {
            nodes.push(Node::new(info.clone(), self.timeouts)?);
        }
        let mut failed = None;
        for at in 0..nodes.len() {
            match nodes[at].is_of_a_cluster().await {
                Ok(false) => return Ok(Link::Server(Arc::new(nodes.swap_remove(at)))),
                Ok(true) => {
                    let like = self.servers[at].clone();
                    return Ok(Link::Cluster(Arc::new(Cluster::new(like, self.timeouts, nodes))));
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(url::names_none))
    }
}

/// Their addresses, as messages name them.
impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> =
            self.servers.iter().map(|info| info.addr().to_string()).collect();
        f.write_str(&addresses.join(", "))
    }
}

impl Link {
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// The connection for one call. What names no key goes to the node that has `near`.
    pub(crate) fn way(&self, near: Option<&str>) -> Way {
        match self {
            Self::Server(node) => Way::Server(node.connection()),
            Self::Cluster(cluster) => Way::Cluster(Route::new(Arc::clone(cluster), near)),
        }
    }

    /// Runs a command that may wait in Redis, on a connection of its own; a server that says nothing for
    /// longer than `bound` counts as away.
    pub(crate) async fn wait(&self, cmd: &Cmd, bound: Duration) -> RedisResult<Value> {
        match self {
            Self::Server(node) => node.wait(cmd, bound).await,
            Self::Cluster(cluster) => Route::new(Arc::clone(cluster), None).wait(cmd, bound).await,
        }
    }
}

impl ConnectionLike for Way {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(cmd),
            Self::Cluster(route) => route.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(route) => route.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(route) => route.get_db(),
        }
    }
}
