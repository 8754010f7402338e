//! A private Redis, a server on a port of its own, a client, and the parts of an owner that tests need.

use std::net::TcpListener as PortFinder;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use longshore_api::policy::ClusterPolicy;
use longshore_api::spec::ClusterDefaults;
use longshore_archive::Archive;
use longshore_job::{Backoff, Condition, ConditionType, Header, Index, Live, Outcome, Phase};
use longshore_server::ServerSettings;
use longshore_store::{
    AttemptKey, Claimed, Commit, Committed, Epoch, EventRecord, Grant, JobRef, Owned, Progress,
    Seal, Shard, Store, StoreSettings, StreamId, Verb,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a test waits for what must come.
pub const BOUND: Duration = Duration::from_secs(20);

pub const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
pub const PODS: &str = "/api/v1/namespaces/default/pods";
pub const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

pub struct Fixture {
    pub store: Store,
    pub url: String,
    client: Client<HttpConnector, Body>,
    redis: Child,
    port: u16,
    pub dir: TempDir,
    _stop: DropGuard,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub code: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("a text")
    }

    /// The body, if the code is the expected one.
    #[track_caller]
    pub fn expect(&self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.text());
        self.json()
    }
}

impl Fixture {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    pub async fn start_with(archive: Option<Archive>) -> Self {
        let dir = TempDir::new().unwrap();
        let port = PortFinder::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let redis = spawn_redis(port, &dir);
        let mut settings = StoreSettings::new(format!("redis://127.0.0.1:{port}")).with_shards(4);
        settings.patience = BOUND;
        settings = settings.with_seal(Some(Seal::new(&Seal::new_key().unwrap()).unwrap()));
        let store = Store::connect(&settings).await.unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let impatient = store.with_patience(Duration::from_millis(500));
        let settings = settings_of(archive);
        tokio::spawn(longshore_server::run_on(listener, settings, impatient, stop.clone()));
        tokio::spawn(forward(store.clone(), stop.clone()));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { store, url, client, redis, port, dir, _stop: stop.drop_guard() }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = tokio::time::timeout(BOUND, self.client.request(request))
            .await
            .expect("an answer in time")
            .expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the whole body").to_bytes();
        Answer { code: parts.status, headers: parts.headers, body }
    }

    pub fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    pub async fn get_table(&self, path: &str) -> Answer {
        let request = self.request(Method::GET, path).header(header::ACCEPT, TABLE);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.with_body(Method::POST, path, "application/json", body.to_string()).await
    }

    pub async fn with_body(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = self.request(method, path).header(header::CONTENT_TYPE, content_type);
        self.send(request.body(body.into()).unwrap()).await
    }

    pub async fn patch(&self, path: &str, kind: &str, body: &Value) -> Answer {
        let kind = format!("application/{kind}+json");
        self.with_body(Method::PATCH, path, &kind, body.to_string()).await
    }

    pub async fn delete(&self, path: &str, body: &Value) -> Answer {
        self.with_body(Method::DELETE, path, "application/json", body.to_string()).await
    }

    /// Creates a Job; answers it as the server does.
    pub async fn create(&self, name: &str) -> Value {
        self.post(JOBS, &job(name)).await.expect(201)
    }

    /// An open stream of lines.
    pub async fn lines(&self, path: &str) -> Lines {
        self.lines_as(path, "application/json").await
    }

    pub async fn lines_as(&self, path: &str, accept: &str) -> Lines {
        let request = self.request(Method::GET, path).header(header::ACCEPT, accept);
        let request = request.body(Body::empty()).unwrap();
        let response = self.client.request(request).await.expect("an answer");
        assert_eq!(response.status(), 200);
        Lines { body: Body::new(response.into_body()), text: Vec::new() }
    }

    pub async fn wait_for<F: Future<Output = bool>>(
        &self,
        what: &str,
        mut holds: impl FnMut() -> F,
    ) {
        let ends = Instant::now() + BOUND;
        while !holds().await {
            assert!(Instant::now() < ends, "never came: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn freeze_redis(&self) {
        self.signal("-STOP");
    }

    pub fn thaw_redis(&self) {
        self.signal("-CONT");
    }

    /// Ends Redis and starts it again with its data gone.
    pub fn restart_redis_empty(&mut self) {
        self.redis.kill().unwrap();
        self.redis.wait().unwrap();
        self.redis = spawn_redis(self.port, &self.dir);
    }

    fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.redis.id().to_string()]).status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.redis.kill();
        let _ = self.redis.wait();
    }
}

/// A body that is read line by line.
pub struct Lines {
    body: Body,
    text: Vec<u8>,
}

impl Lines {
    /// The next line; `None` at the end.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            let frame = tokio::time::timeout(BOUND, self.body.frame()).await;
            let frame = frame.expect("a line in time")?.expect("a whole stream");
            self.text.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
    }

    /// The next event of a watch.
    pub async fn event(&mut self) -> Value {
        let line = self.next().await.expect("an event");
        serde_json::from_str(&line).expect("an event is a line of JSON")
    }
}

/// The owner's part for one Job: offers attempts and runs them as a worker would.
pub struct Owner {
    pub job: JobRef,
    pub store: Store,
    epoch: Epoch,
}

impl Owner {
    pub async fn of(fixture: &Fixture, name: &str) -> Self {
        let store = fixture.store.clone();
        let job = store.find_job("default", name).await.unwrap().expect("the Job");
        let seen = store.shard_metas().await.unwrap().remove(usize::from(job.shard.0));
        let epoch = match store.own(job.shard, "coordinator-1", &seen).await.unwrap() {
            Owned::Yes { epoch, .. } => epoch,
            other => panic!("{other:?}"),
        };
        assert!(store.accept_run(job.shard, epoch, 0).await.unwrap());
        store.enroll(job.shard, "worker-1", "session").await.unwrap();
        Self { job, store, epoch }
    }

    pub async fn commit(&self, fill: impl FnOnce(&mut Commit, &str)) {
        let rev = self.store.get_job_by_uid(&self.job).await.unwrap().expect("the Job").rev;
        let mut commit = Commit::new();
        commit.expect_rev(&self.job.uid, rev);
        fill(&mut commit, &self.job.uid);
        let done = self.store.commit(self.job.shard, self.epoch, StreamId::START, &commit).await;
        assert!(matches!(done.unwrap(), Committed::Stored { .. }));
    }

    pub async fn offer(&self, index: Index, attempt: u32) -> AttemptKey {
        let created = self.store.now().await.unwrap();
        let mut live = Live::waiting(attempt, None);
        live.attempt.created = created;
        live.phase = Phase::Offered;
        let header = Header { start_time: Some(created), active: 1, ..Header::default() };
        self.commit(|commit, uid| {
            commit.header(uid, &header, true).unwrap();
            commit.live(uid, index, Some(&live)).unwrap();
            commit.job_changed(uid);
            commit.pod_changed(uid, index, attempt, Verb::Added);
        })
        .await;
        self.job.attempt(index, attempt)
    }

    /// Offers an attempt, claims it, and reports its start.
    pub async fn run(&self, index: Index, attempt: u32) -> (AttemptKey, Grant) {
        let key = self.offer(index, attempt).await;
        let claim = format!("claim-{key}");
        let claimed = self.store.claim(&key, &claim, "worker-1", "session").await.unwrap();
        let Claimed::Granted(grant) = claimed else { panic!("{claimed:?}") };
        let now = self.store.now().await.unwrap();
        self.store.start(&key, &grant.token, &Progress::Started(now)).await.unwrap();
        (key, grant)
    }

    /// Runs an attempt to its end.
    pub async fn finish(&self, index: Index, attempt: u32, code: i32) -> AttemptKey {
        let (key, grant) = self.run(index, attempt).await;
        let reason = if code == 0 { "Completed" } else { "Error" };
        let outcome = Outcome::Exited { code, reason: reason.to_owned(), message: String::new() };
        self.store.finish(&key, &grant.token, &outcome, None, None, &[]).await.unwrap();
        key
    }

    pub async fn event(&self, reason: &str, about: Option<(Index, u32)>) {
        let event = EventRecord {
            warning: false,
            reason: reason.to_owned(),
            message: format!("{reason} happened"),
            about,
        };
        self.store.add_event(&self.job, &event).await.unwrap();
    }

    /// Makes the Job Complete.
    pub async fn complete(&self) {
        let now = self.store.now().await.unwrap();
        let condition = |kind| Condition {
            kind,
            status: true,
            reason: "CompletionsReached".to_owned(),
            message: String::new(),
            since: now,
        };
        let header = Header {
            start_time: Some(now),
            completion_time: Some(now),
            succeeded: 1000,
            conditions: vec![
                condition(ConditionType::SuccessCriteriaMet),
                condition(ConditionType::Complete),
            ],
            ..Header::default()
        };
        self.commit(|commit, uid| {
            commit.header(uid, &header, false).unwrap();
            commit.job_changed(uid);
        })
        .await;
    }

    pub async fn purge(&self) {
        assert!(self.store.purge(self.epoch, &self.job).await.unwrap());
    }
}

pub fn job(name: &str) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "completions": 1000,
            "parallelism": 10,
            "completionMode": "Indexed",
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "main", "image": "busybox:1", "command": ["true"]}],
                },
            },
        },
    })
}

/// What the path `a.b.0` leads to in a document.
#[track_caller]
pub fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    let pointer = format!("/{}", path.replace('.', "/"));
    value.pointer(&pointer).unwrap_or_else(|| panic!("no {path} in {value:#}"))
}

#[track_caller]
pub fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).as_str().unwrap_or_else(|| panic!("{path} is no text in {value:#}"))
}

/// The names of a list's objects.
pub fn names(list: &Value) -> Vec<String> {
    let items = at(list, "items").as_array().unwrap();
    items.iter().map(|item| text(item, "metadata.name").to_owned()).collect()
}

fn spawn_redis(port: u16, dir: &TempDir) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
        .arg(dir.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

fn settings_of(archive: Option<Archive>) -> ServerSettings {
    ServerSettings {
        listen: String::new(),
        defaults: ClusterDefaults {
            backoff: Backoff::default(),
            max_disruptions: 10,
            lease: 15_000,
            retention: None,
        },
        policy: ClusterPolicy::default(),
        node_grace: Duration::from_secs(20),
        archive,
    }
}

/// What the owners do with all shards' changes.
async fn forward(store: Store, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let shards: Vec<Shard> = store.all_shards().collect();
        for shard in shards {
            if let Ok(entries) = store.read_out(shard, Duration::ZERO, 100).await {
                let _ = store.forward(shard, &entries).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
