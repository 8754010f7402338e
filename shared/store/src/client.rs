//! The connections to Redis, and the one way in which calls are tried again.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::time::Duration;

use longshore_job::Millis;
use longshore_support::format::Format;
use longshore_support::retry::{self, Failure, GaveUp, Policy, Server};
use redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ScriptInvocation,
    ServerErrorKind,
};

use crate::link::{Link, Seeds, Timeouts, Way};
use crate::{Seal, Shard, StoreError, keys, scripts, shard_of};

/// How much longer than asked a blocking read may take before its connection counts as dead.
const READ_SLACK: Duration = Duration::from_secs(3);

/// Waits between tries: short, as a lease is running meanwhile.
const TRIES: Policy = Policy::new(Duration::from_millis(50), Duration::from_secs(1));

/// How to reach Redis and how to treat it.
#[derive(Clone)]
pub struct StoreSettings {
    url: String,
    /// The number of shards, which only coordinators are told; others read it from Redis.
    pub shards: Option<u16>,
    /// How long a call is tried again before it fails.
    pub patience: Duration,
    /// How long one try waits for its reply.
    pub response_timeout: Duration,
    /// How long one try to connect may take.
    pub connect_timeout: Duration,
    /// How many events are kept per Job.
    pub events_per_job: u32,
    /// About how many entries the change log keeps.
    pub log_length: u64,
    /// The key to the cluster's Secrets; without one there are none.
    pub seal: Option<Arc<Seal>>,
}

impl StoreSettings {
    /// Settings with their defaults for the Redis at `url`: `redis://[user:password@]host:port/db`, or
    /// some nodes of a Redis Cluster, `redis://[user:password@]host:port,host:port`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            shards: None,
            patience: Duration::from_secs(10),
            response_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(2),
            events_per_job: 200,
            log_length: 100_000,
            seal: None,
        }
    }

    /// With the key to the cluster's Secrets.
    pub fn with_seal(mut self, seal: Option<Seal>) -> Self {
        self.seal = seal.map(Arc::new);
        self
    }

    /// What coordinators add: the cluster's number of shards.
    pub fn with_shards(mut self, shards: u16) -> Self {
        self.shards = Some(shards);
        self
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSettings")
            .field("shards", &self.shards)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// The store. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    patience: Duration,
}

pub(crate) struct Shared {
    server: Server,
    link: Link,
    settings: StoreSettings,
    shards: u16,
    cluster: String,
    /// The format that the cluster writes.
    pub(crate) format: AtomicU16,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.shared.server)
    }
}

impl Store {
    /// Connects, and founds or joins the cluster that this Redis holds.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] within the patience; [`StoreError::Shards`] if the cluster has
    /// another number of shards; [`StoreError::Format`] if it writes a format that this release can't read;
    /// [`StoreError::NoCluster`] if no number is given and there is none.
    pub async fn connect(settings: &StoreSettings) -> Result<Store, StoreError> {
        let timeouts =
            Timeouts { connect: settings.connect_timeout, response: settings.response_timeout };
        let seeds = Seeds::parse(&settings.url, timeouts).map_err(StoreError::Url)?;
        let server = Server::new("Redis", &seeds);
        let link = again(&server, settings.patience, "connect", || seeds.link()).await?;
        if seeds.len() > 1 && !link.is_cluster() {
            return Err(StoreError::NotACluster { server });
        }
        let server = match link.is_cluster() {
            true => Server::of_several("Redis", &seeds),
            false => server,
        };

        let mut store = Store {
            shared: Arc::new(Shared {
                server: server.clone(),
                link,
                settings: settings.clone(),
                shards: 0,
                cluster: String::new(),
                format: AtomicU16::new(Format::default().0),
            }),
            patience: settings.patience,
        };
        let wanted = settings.shards.map(|shards| shards.to_string()).unwrap_or_default();
        let mut call = scripts::CLUSTER.prepare_invoke();
        call.key(keys::CLUSTER).arg(wanted).arg(uuid::Uuid::new_v4().to_string());
        call.arg(Format::newest().0);
        let (shards, id, format): (u16, String, u16) =
            store.call("join the cluster", &call).await?;
        match settings.shards {
            _ if shards == 0 => return Err(StoreError::NoCluster { server }),
            Some(configured) if configured != shards => {
                return Err(StoreError::Shards { server, stored: shards, configured });
            }
            _ => store.use_format(Format(format))?,
        };
        if let Some(shared) = Arc::get_mut(&mut store.shared) {
            shared.shards = shards;
            shared.cluster = id;
        }
        store.found_log().await?;
        Ok(store)
    }

    /// The same store with another patience, for calls that have less or more time.
    pub fn with_patience(&self, patience: Duration) -> Store {
        Store { shared: Arc::clone(&self.shared), patience }
    }

    /// The number of the cluster's shards.
    pub fn shards(&self) -> u16 {
        self.shared.shards
    }

    /// All shards of the cluster.
    pub fn all_shards(&self) -> impl Iterator<Item = Shard> + Send + use<> {
        (0..self.shared.shards).map(Shard)
    }

    pub fn shard_of(&self, namespace: &str, name: &str) -> Shard {
        shard_of(namespace, name, self.shared.shards)
    }

    /// The cluster's id, made when its first coordinator started.
    pub fn cluster_id(&self) -> &str {
        &self.shared.cluster
    }

    /// The server as messages name it; knows whether it answered last.
    pub fn server(&self) -> &Server {
        &self.shared.server
    }

    /// Redis' clock, which every time that users see comes from.
    ///
    /// # Errors
    /// As every call: [`StoreError::Unreachable`] or [`StoreError::Refused`].
    pub async fn now(&self) -> Result<Millis, StoreError> {
        self.time(keys::NODES).await
    }

    /// The clock of the Redis that has the shard; all are one unless Redis is a cluster.
    ///
    /// # Errors
    /// As every call: [`StoreError::Unreachable`] or [`StoreError::Refused`].
    pub async fn now_in(&self, shard: Shard) -> Result<Millis, StoreError> {
        self.time(&keys::meta(shard)).await
    }

    async fn time(&self, near: &str) -> Result<Millis, StoreError> {
        let time = redis::cmd("TIME");
        let ask = |mut way: Way| {
            let time = &time;
            async move { time.query_async(&mut way).await }
        };
        let (seconds, micros): (u64, u64) = self.again("read the time", Some(near), ask).await?;
        Ok(seconds * 1000 + micros / 1000)
    }

    pub(crate) fn is_on_a_cluster(&self) -> bool {
        self.shared.link.is_cluster()
    }

    pub(crate) fn settings(&self) -> &StoreSettings {
        &self.shared.settings
    }

    /// Runs a script; a lost reply means that it is sent again as it is.
    pub(crate) async fn call<T: FromRedisValue>(
        &self,
        doing: &'static str,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        self.again(doing, None, |mut way| async move { call.invoke_async(&mut way).await }).await
    }

    /// Runs one command that may be sent twice.
    pub(crate) async fn ask<T: FromRedisValue>(
        &self,
        doing: &'static str,
        cmd: &Cmd,
    ) -> Result<T, StoreError> {
        self.again(doing, None, |mut way| async move { cmd.query_async(&mut way).await }).await
    }

    /// Runs commands that may be sent twice, in one round trip.
    pub(crate) async fn pipe<T: FromRedisValue>(
        &self,
        doing: &'static str,
        pipe: &Pipeline,
    ) -> Result<T, StoreError> {
        self.again(doing, None, |mut way| async move { pipe.query_async(&mut way).await }).await
    }

    /// Runs a command that may wait in Redis for up to `block`, on a connection of its own. Not tried
    /// again: its callers loop anyway.
    pub(crate) async fn wait<T: FromRedisValue>(
        &self,
        doing: &'static str,
        cmd: &Cmd,
        block: Duration,
    ) -> Result<T, StoreError> {
        let Shared { server, link, .. } = &*self.shared;
        let bound = block + READ_SLACK;
        let read = link.wait(cmd, bound).await;
        match read.and_then(|value| Ok(redis::from_redis_value(value)?)) {
            Ok(value) => {
                server.answered();
                Ok(value)
            }
            Err(source) if is_transient(&source) => {
                server.failed(&source);
                let server = server.clone();
                Err(StoreError::Unreachable { server, doing, after: bound, source: Some(source) })
            }
            Err(source) => Err(StoreError::Refused { server: server.clone(), doing, source }),
        }
    }

    /// An error for a reply that no version of the scripts gives.
    pub(crate) fn odd(&self, doing: &'static str, reply: &dyn fmt::Debug) -> StoreError {
        let server = self.shared.server.clone();
        StoreError::Reply { server, doing, reply: format!("{reply:?}") }
    }

    async fn again<T, F, Fut>(
        &self,
        doing: &'static str,
        near: Option<&str>,
        f: F,
    ) -> Result<T, StoreError>
    where
        F: Fn(Way) -> Fut,
        Fut: Future<Output = RedisResult<T>>,
    {
        let Shared { server, link, .. } = &*self.shared;
        again(server, self.patience, doing, || f(link.way(near))).await
    }
}

/// Tries until it works, says why it never will, or the patience runs out.
async fn again<T, F, Fut>(
    server: &Server,
    patience: Duration,
    doing: &'static str,
    f: F,
) -> Result<T, StoreError>
where
    F: Fn() -> Fut,
    Fut: Future<Output = RedisResult<T>>,
{
    let tries = retry::within(patience, server, TRIES, || {
        let one = f();
        async {
            one.await.map_err(|error| match is_transient(&error) {
                true => Failure::Transient(error),
                false => Failure::Permanent(error),
            })
        }
    });
    tries.await.map_err(|gave_up| match gave_up {
        GaveUp::Permanent(source) => StoreError::Refused { server: server.clone(), doing, source },
        GaveUp::TimedOut { server, after, last } => {
            StoreError::Unreachable { server, doing, after, source: last }
        }
        GaveUp::Cancelled => StoreError::Unreachable {
            server: server.clone(),
            doing,
            after: Duration::ZERO,
            source: None,
        },
    })
}

/// What a server says that can't serve a call just now: it starts, or is a node of a cluster whose slots are
/// on the move.
const LATER: [&str; 8] =
    ["ASK", "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MOVED", "TRYAGAIN", "UNBLOCKED"];

/// Whether the same call may work a moment later.
fn is_transient(error: &RedisError) -> bool {
    let said = error.clone().into_server_errors();
    error.kind() == ErrorKind::Io
        || error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_connection_refusal()
        || said.is_some_and(|said| said.iter().any(|(_, error)| LATER.contains(&error.code())))
}
