//! The nodes of a Redis Cluster, and which of them has a key.
//!
//! A node that is asked for a key that it doesn't have names the one that has it (`MOVED`). So what has to
//! be known is learned by asking, and forgotten when a node fails: whichever other is asked next knows
//! whether a replica has taken over.
//!
//! `ASK` is never followed. It is what a node says of a key that isn't there while its slot is being moved
//! away, and the node that it names has only a part of the slot yet. A script derives its keys from the
//! shard's prefix, which is no key itself, so while the slot of a shard moves its scripts are refused on
//! both nodes, and none ever sees half a shard. They are tried again until the slot has moved.
//!
//! This, and that a node which hangs without closing its connections is noticed and holds up nothing but
//! its own keys, is what the `ClusterConnection` of the redis crate doesn't give.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use redis::aio::ConnectionLike;
use redis::cluster_routing::Slot;
use redis::{
    Arg, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, Pipeline, RedisFuture, RedisResult,
    ServerErrorKind, Value,
};

use super::Timeouts;
use super::node::Node;
use crate::keys;

/// How often one call is sent on at once. More than a node or two that know no better can't be.
const REDIRECTS: usize = 4;

pub(crate) struct Cluster {
    /// How nodes are reached, but for the address.
    like: ConnectionInfo,
    timeouts: Timeouts,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    nodes: Vec<Entry>,
    /// Which of the nodes has a slot, for the slots that were asked for.
    homes: HashMap<Slot, usize>,
    /// The node that was asked last of those that might know.
    turn: usize,
}

struct Entry {
    node: Arc<Node>,
    /// Whether it failed when it was asked last.
    failed: bool,
}

/// One call's way through the cluster.
#[derive(Clone)]
pub(crate) struct Route {
    cluster: Arc<Cluster>,
    /// Where a command without a key goes: to the node that has this slot,
    near: Option<Slot>,
    /// or else to the one that was asked last, as it said that it has to be given a script.
    last: Option<usize>,
}

/// What is sent to one node as a whole.
#[derive(Clone, Copy)]
enum Load<'a> {
    Command(&'a Cmd),
    Pipeline { pipeline: &'a Pipeline, offset: usize, count: usize },
    Blocking { cmd: &'a Cmd, bound: Duration },
}

/// The commands of a pipeline that are for one slot, and their places in it.
struct Part {
    slot: Option<Slot>,
    pipeline: Pipeline,
    places: Vec<usize>,
}

impl Cluster {
    /// The nodes that are known at first; there is at least one.
    pub(super) fn new(like: ConnectionInfo, timeouts: Timeouts, nodes: Vec<Node>) -> Self {
        let nodes = nodes.into_iter().map(|node| Entry { node: Arc::new(node), failed: false });
        let known = Known { nodes: nodes.collect(), ..Known::default() };
        Self { like, timeouts, known: Mutex::new(known) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the node `at` said, or that it said nothing. Whether another is to be asked instead.
    fn hear(&self, at: usize, reply: &RedisResult<Vec<Value>>) -> RedisResult<bool> {
        let mut known = self.known();
        let away = reply.as_ref().err().filter(|error| is_away(error));
        known.nodes[at].failed = away.is_some();
        if let Some(error) = away {
            known.nodes[at].node.server.failed(error);
            known.homes.retain(|_, home| *home != at);
            return Ok(false);
        }
        known.nodes[at].node.server.answered();
        let Some((slot, address)) = moved(reply) else { return Ok(false) };
        let address = match address.strip_prefix(':') {
            // It doesn't know under which name it is reached itself.
            Some(port) => format!("{}:{port}", host(known.nodes[at].node.address())),
            None => address,
        };
        let same = known.nodes.iter().position(|entry| entry.node.address() == address);
        let home = match same {
            Some(home) => home,
            None => {
                let info = self.like.clone().set_addr(at_address(self.like.addr(), &address)?);
                let node = Arc::new(Node::new(info, self.timeouts)?);
                known.nodes.push(Entry { node, failed: false });
                known.nodes.len() - 1
            }
        };
        known.homes.insert(slot, home);
        Ok(true)
    }
}

impl Known {
    /// The node that has a slot, or one that may know which has it.
    fn node(&mut self, slot: Option<Slot>) -> usize {
        if let Some(home) = slot.and_then(|slot| self.homes.get(&slot)) {
            return *home;
        }
        let from = self.turn + 1;
        let others = (from..from + self.nodes.len()).map(|turn| turn % self.nodes.len());
        let mut others = others.filter(|at| !self.nodes[*at].failed);
        self.turn = others.next().unwrap_or(from % self.nodes.len());
        self.turn
    }
}

impl Route {
    pub(super) fn new(cluster: Arc<Cluster>, near: Option<&str>) -> Self {
        Self { cluster, near: near.map(Slot::for_key), last: None }
    }

    /// Runs a command that may wait in Redis.
    pub(super) async fn wait(mut self, cmd: &Cmd, bound: Duration) -> RedisResult<Value> {
        let replies = self.send(slot_of(cmd), Load::Blocking { cmd, bound }).await?;
        Ok(only(replies))
    }

    /// Sends it to the node that has the slot, wherever that turns out to be.
    async fn send(&mut self, slot: Option<Slot>, load: Load<'_>) -> RedisResult<Vec<Value>> {
        let mut redirects = 0;
        loop {
            let (at, node) = {
                let mut known = self.cluster.known();
                let at = match (slot.or(self.near), self.last) {
                    (None, Some(last)) => last,
                    (slot, _) => known.node(slot),
                };
                (at, Arc::clone(&known.nodes[at].node))
            };
            self.last = Some(at);
            let asked = Asked { cluster: &self.cluster, at, answered: false };
            let reply = load.over(&node).await;
            if !asked.answer(&reply)? || redirects == REDIRECTS {
                return reply;
            }
            redirects += 1;
        }
    }
}

/// A call that a node has not answered yet. One that is given up before says as much as one that fails.
struct Asked<'a> {
    cluster: &'a Cluster,
    at: usize,
    answered: bool,
}

impl Asked<'_> {
    fn answer(mut self, reply: &RedisResult<Vec<Value>>) -> RedisResult<bool> {
        self.answered = true;
        self.cluster.hear(self.at, reply)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let given_up = std::io::Error::from(std::io::ErrorKind::TimedOut);
            // Only a redirection can't be taken in.
            let _ = self.cluster.hear(self.at, &Err(given_up.into()));
        }
    }
}

impl Load<'_> {
    async fn over(self, node: &Node) -> RedisResult<Vec<Value>> {
        match self {
            Self::Command(cmd) => {
                node.connection().req_packed_command(cmd).await.map(|value| vec![value])
            }
            Self::Pipeline { pipeline, offset, count } => {
                node.connection().req_packed_commands(pipeline, offset, count).await
            }
            Self::Blocking { cmd, bound } => node.wait(cmd, bound).await.map(|value| vec![value]),
        }
    }
}

impl ConnectionLike for Route {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move { Ok(only(self.send(slot_of(cmd), Load::Command(cmd)).await?)) })
    }

    /// A transaction is of one slot. Of any other pipeline each slot's part is sent on its own, all at once.
    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let first = pipeline.cmd_iter().find_map(slot_of);
            if pipeline.is_transaction() || pipeline.cmd_iter().all(|cmd| slot_of(cmd) == first) {
                return self.send(first, Load::Pipeline { pipeline, offset, count }).await;
            }
            let parts = parts(pipeline);
            let replies = try_join_all(parts.iter().map(|part| {
                let (mut route, count) = (self.clone(), part.places.len());
                let load = Load::Pipeline { pipeline: &part.pipeline, offset: 0, count };
                async move { route.send(part.slot, load).await }
            }));
            let mut whole = vec![Value::Nil; pipeline.len()];
            for (part, replies) in parts.iter().zip(replies.await?) {
                for (place, reply) in part.places.iter().zip(replies) {
                    whole[*place] = reply;
                }
            }
            Ok(whole)
        })
    }

    fn get_db(&self) -> i64 {
        0
    }
}

fn parts(pipeline: &Pipeline) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut place_of: HashMap<Option<Slot>, usize> = HashMap::new();
    for (place, cmd) in pipeline.cmd_iter().enumerate() {
        let slot = slot_of(cmd);
        let part = *place_of.entry(slot).or_insert(parts.len());
        if part == parts.len() {
            parts.push(Part { slot, pipeline: Pipeline::new(), places: Vec::new() });
        }
        parts[part].pipeline.add_command(cmd.clone());
        parts[part].places.push(place);
    }
    parts
}

/// The slot of a command's first key.
fn slot_of(cmd: &Cmd) -> Option<Slot> {
    cmd.args_iter().find_map(|arg| match arg {
        Arg::Simple(arg) if keys::is_key(arg) => Some(Slot::for_key(arg)),
        _ => None,
    })
}

fn only(replies: Vec<Value>) -> Value {
    replies.into_iter().next().unwrap_or(Value::Nil)
}

/// The slot and the address of the node that is to be asked instead, if any command was answered so.
fn moved(reply: &RedisResult<Vec<Value>>) -> Option<(Slot, String)> {
    let errors = match reply {
        Ok(values) => {
            let errors = values.iter().filter_map(|value| match value {
                Value::ServerError(error) => Some(error.clone()),
                _ => None,
            });
            errors.collect()
        }
        Err(error) => {
            let errors = error.clone().into_server_errors()?;
            errors.iter().map(|(_, error)| error.clone()).collect::<Vec<_>>()
        }
    };
    errors.iter().find(|error| error.code() == "MOVED").and_then(|error| {
        let (slot, address) = error.details()?.split_once(' ')?;
        Some((Slot::new(slot.parse().ok()?)?, address.to_owned()))
    })
}

/// Whether a node can't be reached, or is none of the cluster's at the moment: then another may have taken
/// over what it had.
fn is_away(error: &redis::RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Io
            | ErrorKind::Server(
                ServerErrorKind::ClusterDown
                    | ServerErrorKind::BusyLoading
                    | ServerErrorKind::MasterDown
            )
    )
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// `host:port` as an address of the same kind as another.
fn at_address(like: &ConnectionAddr, address: &str) -> RedisResult<ConnectionAddr> {
    let parsed = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = parsed else {
        let what = "a node is named by an address that can't be read";
        return Err((ErrorKind::Client, what, address.to_owned()).into());
    };
    let host = host.to_owned();
    Ok(match like.clone() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure, tls_params }
        }
        _ => ConnectionAddr::Tcp(host, port),
    })
}
