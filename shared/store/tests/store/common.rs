//! A proxy that loses replies, and the steps that most tests begin with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use longshore_job::{Header, Index, Live, Outcome, Phase};
use longshore_store::{
    AttemptKey, Claimed, Commit, Committed, Created, Epoch, Grant, Held, JobRef, NewJob, Owned,
    Shard, Store, StoreSettings, StreamId,
};
use longshore_test_redis::url;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::Server;

/// Between a store and its Redis; loses a reply when told to, and the connection with it.
pub(crate) struct Proxy {
    ports: Vec<u16>,
    cut: Arc<AtomicBool>,
    lost: Arc<AtomicU32>,
}

impl Proxy {
    pub(crate) async fn start(server: &Server) -> Self {
        let mut doors = Vec::new();
        for to in server.ports() {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            doors.push((listener, to, port));
        }
        // A node of a cluster names others by their own addresses.
        let renamed: Vec<(String, String)> =
            doors.iter().map(|(_, to, port)| (address(*to), address(*port))).collect();
        let ports = doors.iter().map(|(_, _, port)| *port).collect();
        let proxy = Self { ports, cut: Arc::default(), lost: Arc::default() };
        for (listener, to, _) in doors {
            let (cut, lost) = (Arc::clone(&proxy.cut), Arc::clone(&proxy.lost));
            tokio::spawn(serve(listener, to, renamed.clone(), cut, lost));
        }
        proxy
    }

    pub(crate) fn url(&self) -> String {
        url(&self.ports)
    }

    /// Loses the next reply.
    pub(crate) fn lose_reply(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// How many replies were lost.
    pub(crate) fn lost(&self) -> u32 {
        self.lost.load(Ordering::SeqCst)
    }
}

async fn serve(
    listener: TcpListener,
    to: u16,
    renamed: Vec<(String, String)>,
    cut: Arc<AtomicBool>,
    lost: Arc<AtomicU32>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (cut, lost, renamed) = (Arc::clone(&cut), Arc::clone(&lost), renamed.clone());
        tokio::spawn(async move {
            let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let up = tokio::io::copy(&mut from_client, &mut to_server);
            let down = async {
                let mut buffer = [0; 65536];
                while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                    let mut reply = buffer[..read].to_vec();
                    let moved = reply.starts_with(b"-MOVED ");
                    if !moved && cut.swap(false, Ordering::SeqCst) {
                        lost.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                    // It may come behind the reply to another command.
                    if let Ok(mut text) = String::from_utf8(reply.clone())
                        && text.contains("-MOVED ")
                    {
                        for (from, to) in &renamed {
                            text = text.replace(&format!("{from}\r\n"), &format!("{to}\r\n"));
                        }
                        reply = text.into_bytes();
                    }
                    if to_client.write_all(&reply).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! { _ = up => {}, () = down => {} }
        });
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

pub(crate) const LEASE_MS: u64 = 15_000;
/// Of the first tokens: a time in seconds, as owners have it.
const INCARNATION: u64 = 1_764_025_200;
pub(crate) const SHARDS: u16 = 4;
pub(crate) const OBJECT: &str = r#"{"metadata":{"name":"pi","labels":{}},"spec":{"args":[]}}"#;

/// A cluster's store with one Job, `default/pi`, whose shard is owned and grants claims.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) store: Store,
    pub(crate) job: JobRef,
    pub(crate) epoch: Epoch,
    redis: Box<dyn redis::ConnectionLike>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let server = Server::start();
        let store = connect(&server.url()).await;
        Self::build(server, store).await
    }

    /// As [`World::new`], its store behind a proxy.
    pub(crate) async fn behind_proxy() -> (Self, Proxy) {
        let server = Server::start();
        let proxy = Proxy::start(&server).await;
        let store = connect(&proxy.url()).await;
        (Self::build(server, store).await, proxy)
    }

    async fn build(server: Server, store: Store) -> Self {
        let redis = server.connection();
        let job = create(&store, "pi").await;
        let epoch = own(&store, job.shard).await;
        assert!(store.accept_run(job.shard, epoch, INCARNATION).await.unwrap());
        Self { server, store, job, epoch, redis }
    }

    pub(crate) fn shard(&self) -> Shard {
        self.job.shard
    }

    pub(crate) async fn commit(&self, fill: impl FnOnce(&mut Commit, &str)) -> Committed {
        let rev = self.store.get_job_by_uid(&self.job).await.unwrap().unwrap().rev;
        let mut commit = Commit::new();
        commit.expect_rev(&self.job.uid, rev);
        fill(&mut commit, &self.job.uid);
        self.store.commit(self.shard(), self.epoch, StreamId::START, &commit).await.unwrap()
    }

    /// Makes the Job active and offers an attempt.
    pub(crate) async fn offer(&self, index: Index, attempt: u32) -> AttemptKey {
        let live = offered(attempt);
        let done = self
            .commit(|commit, uid| {
                commit.header(uid, &Header::default(), true).unwrap();
                commit.live(uid, index, Some(&live)).unwrap();
            })
            .await;
        assert!(matches!(done, Committed::Stored { .. }), "{done:?}");
        self.job.attempt(index, attempt)
    }

    pub(crate) async fn enroll(&self, worker: &str, session: &str) -> Vec<Held> {
        self.store.enroll(self.shard(), worker, session).await.unwrap()
    }

    pub(crate) async fn claim(&self, key: &AttemptKey, worker: &str, session: &str) -> Claimed {
        self.store.claim(key, &format!("claim-{session}-{key}"), worker, session).await.unwrap()
    }

    /// Offers and claims an attempt for worker `w` under session `s`.
    pub(crate) async fn running(&self, index: Index, attempt: u32) -> (AttemptKey, Grant) {
        let key = self.offer(index, attempt).await;
        self.enroll("w", "s").await;
        match self.claim(&key, "w", "s").await {
            Claimed::Granted(grant) => (key, grant),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn live(&self, index: Index) -> Option<Live> {
        self.store.live_one(&self.job, index).await.unwrap()
    }

    /// The kinds of the entries in the shard's stream, in order.
    pub(crate) async fn told(&mut self) -> Vec<String> {
        let key = format!("ls:{{{}}}:in", self.shard());
        let reply: redis::streams::StreamRangeReply =
            self.redis(redis::cmd("XRANGE").arg(key).arg("-").arg("+")).await;
        reply.ids.iter().filter_map(|entry| entry.get("t")).collect()
    }

    /// Runs a command on Redis itself.
    pub(crate) async fn redis<T: redis::FromRedisValue>(&mut self, cmd: &redis::Cmd) -> T {
        cmd.query(&mut *self.redis).unwrap()
    }

    /// All keys of the Redis, sorted.
    pub(crate) async fn keys(&mut self) -> Vec<String> {
        let mut keys: Vec<String> = self.redis(redis::cmd("KEYS").arg("*")).await;
        keys.sort();
        keys
    }
}

pub(crate) async fn connect(url: &str) -> Store {
    let mut settings = StoreSettings::new(url).with_shards(SHARDS);
    settings.patience = Duration::from_secs(20);
    Store::connect(&settings).await.unwrap()
}

/// Creates a Job in namespace `default`.
pub(crate) async fn create(store: &Store, name: &str) -> JobRef {
    let uid = format!("uid-{name}");
    let header = Header::default();
    let new = NewJob {
        uid: &uid,
        namespace: "default",
        name,
        object: OBJECT,
        header: &header,
        lease_ms: LEASE_MS,
    };
    match store.create(&new).await.unwrap() {
        Created::Created(job) => job,
        other => panic!("{other:?}"),
    }
}

/// Takes a shard over from whoever has it.
pub(crate) async fn own(store: &Store, shard: Shard) -> Epoch {
    let seen = store.shard_metas().await.unwrap().remove(usize::from(shard.0));
    match store.own(shard, "coordinator-1", &seen).await.unwrap() {
        Owned::Yes { epoch, .. } => epoch,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn offered(attempt: u32) -> Live {
    let mut live = Live::waiting(attempt, None);
    live.phase = Phase::Offered;
    live.attempt.created = 1_764_025_200_123;
    live
}

pub(crate) fn exited(code: i32) -> Outcome {
    let reason = if code == 0 { "Completed" } else { "Error" };
    Outcome::Exited { code, reason: reason.to_owned(), message: String::new() }
}

pub(crate) fn lost() -> Outcome {
    Outcome::Disrupted {
        reason: "WorkerLost".to_owned(),
        message: "a/b \"ü\" \u{1}".to_owned(),
        host_lost: true,
    }
}
