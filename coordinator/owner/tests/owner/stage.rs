//! A private Redis, coordinators, a Job, and a worker.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use longshore_api::spec::ClusterDefaults;
use longshore_archive::Archive;
use longshore_broker::{BrokerSettings, Publisher};
use longshore_job::{Backoff, Header, Index, Live, Outcome, Phase};
use longshore_owner::OwnerSettings;
use longshore_store::{
    AttemptKey, Claimed, Created, JobRef, Kept, NewJob, Progress, Store, StoreSettings, StoredJob,
    Update, Updated, Written,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// The longest that any state may take to come.
const BOUND: Duration = Duration::from_secs(40);

pub(crate) struct Redis {
    port: u16,
    dir: TempDir,
    child: Child,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = spawn(port, &dir);
        Self { port, dir, child }
    }

    /// Ends it without a chance to write anything, and starts it again on its data.
    pub(crate) fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(self.port, &self.dir);
    }

    pub(crate) async fn store(&self) -> Store {
        let settings = StoreSettings::new(format!("redis://127.0.0.1:{}", self.port));
        Store::connect(&settings.with_shards(4)).await.unwrap()
    }

    /// All keys that name a Job.
    pub(crate) fn keys_of(&self, job: &JobRef) -> Vec<String> {
        let client = redis::Client::open(("127.0.0.1", self.port)).unwrap();
        let mut connection = client.get_connection().unwrap();
        let pattern = format!("*{}*", job.uid);
        redis::cmd("KEYS").arg(pattern).query(&mut connection).unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, dir: &TempDir) -> Child {
    let mut child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(dir.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed");
    let client = redis::Client::open(("127.0.0.1", port)).unwrap();
    let start = Instant::now();
    while start.elapsed() < BOUND {
        let ping =
            client.get_connection().and_then(|mut redis| redis::cmd("PING").exec(&mut redis));
        if ping.is_ok() {
            return child;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("redis-server doesn't answer");
}

/// The owner tasks of one coordinator.
pub(crate) struct Coordinator {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), longshore_owner::OwnerError>>,
}

impl Coordinator {
    pub(crate) async fn start(redis: &Redis, name: &str) -> Self {
        Self::start_with(redis, name, None).await
    }

    pub(crate) async fn start_with(redis: &Redis, name: &str, archive: Option<Archive>) -> Self {
        let defaults = ClusterDefaults {
            backoff: Backoff { base: 200, cap: 1_000 },
            max_disruptions: 10,
            lease: LEASE.as_millis() as u64,
            retention: None,
        };
        let settings =
            OwnerSettings { name: name.into(), listen: "none".into(), defaults, archive };
        // A port that nothing listens on.
        let publisher = Publisher::new(BrokerSettings::new("amqp://127.0.0.1:9").unwrap(), name);
        let shutdown = CancellationToken::new();
        let store = redis.store().await;
        let task = tokio::spawn(longshore_owner::run(settings, store, publisher, shutdown.clone()));
        Self { shutdown, task }
    }

    /// Ends it as by `kill -9`.
    pub(crate) async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// A Job and a worker for it.
pub(crate) struct Stage {
    pub(crate) store: Store,
    pub(crate) job: JobRef,
    name: String,
    object: serde_json::Value,
}

impl Stage {
    /// Creates an Indexed Job; `spec` is merged into its specification.
    pub(crate) async fn create(redis: &Redis, name: &str, spec: serde_json::Value) -> Self {
        let store = redis.store().await;
        let uid = format!("uid-of-{name}");
        let mut object = serde_json::json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "namespace": "default", "uid": uid},
            "spec": {
                "completionMode": "Indexed", "completions": 1, "parallelism": 1,
                "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}},
            },
        });
        merge(&mut object["spec"], spec);
        let new = NewJob {
            uid: &uid,
            namespace: "default",
            name,
            object: &object.to_string(),
            header: &Header::default(),
            lease_ms: LEASE.as_millis() as u64,
        };
        let Created::Created(job) = store.create(&new).await.unwrap() else { panic!("exists") };
        store.enroll(job.shard, "w", "session").await.unwrap();
        Self { store, job, name: name.into(), object }
    }

    pub(crate) async fn change(&mut self, spec: serde_json::Value) {
        merge(&mut self.object["spec"], spec);
        let update = Update {
            request: &format!("{}", self.object["spec"]),
            rev: None,
            rv: None,
            object: &self.object.to_string(),
            suspended: self.object["spec"]["suspend"] == true,
            lease_ms: LEASE.as_millis() as u64,
        };
        let updated = self.store.update(&self.job, &update).await.unwrap();
        assert!(matches!(updated, Updated::Updated { .. }));
    }

    /// Waits for a state of the stored Job.
    pub(crate) async fn until(&self, what: &str, is: impl Fn(&StoredJob) -> bool) -> StoredJob {
        let start = Instant::now();
        loop {
            let job = self.store.get_job("default", &self.name).await.unwrap();
            if let Some(job) = job.as_ref().filter(|job| is(job)) {
                return job.clone();
            }
            assert!(start.elapsed() < BOUND, "{what} doesn't come: {job:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn until_gone(&self) {
        let start = Instant::now();
        while self.store.get_job("default", &self.name).await.unwrap().is_some() {
            assert!(start.elapsed() < BOUND, "the Job isn't removed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for a state of one index's record.
    pub(crate) async fn until_live(&self, index: Index, is: impl Fn(&Live) -> bool) -> Live {
        let start = Instant::now();
        loop {
            let live = self.store.live_one(&self.job, index).await.unwrap();
            if let Some(live) = live.as_ref().filter(|live| is(live)) {
                return live.clone();
            }
            assert!(start.elapsed() < BOUND, "index {index}: {live:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn until_offered(&self, index: Index, attempt: u32) -> AttemptKey {
        self.until_live(index, |live| {
            live.phase == Phase::Offered && live.attempt.number == attempt
        })
        .await;
        self.job.attempt(index, attempt)
    }

    /// Claims and starts an attempt; its token.
    pub(crate) async fn start(&self, attempt: &AttemptKey) -> String {
        let start = Instant::now();
        loop {
            match self.store.claim(attempt, "claim", "w", "session").await.unwrap() {
                Claimed::Granted(grant) => {
                    let progress = Progress::Started(1);
                    self.store.start(attempt, &grant.token, &progress).await.unwrap();
                    return grant.token;
                }
                other => assert!(start.elapsed() < BOUND, "{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Renews the lease of an attempt for as long as it is polled.
    pub(crate) async fn renew(&self, attempt: &AttemptKey, token: &str) {
        let kept = [Kept { attempt: attempt.clone(), token: token.to_owned() }];
        loop {
            let _ = self.store.renew(self.job.shard, "w", "session", &kept).await;
            tokio::time::sleep(LEASE / 10).await;
        }
    }

    pub(crate) async fn finish(&self, attempt: &AttemptKey, token: &str, outcome: &Outcome) {
        let written = self.store.finish(attempt, token, outcome, Some(1), None, &[]).await.unwrap();
        assert_eq!(written, Written::Ok);
    }

    /// Runs an attempt from offer to end.
    pub(crate) async fn run(&self, index: Index, attempt: u32, code: i32) {
        let attempt = self.until_offered(index, attempt).await;
        let token = self.start(&attempt).await;
        self.finish(&attempt, &token, &exit(code)).await;
    }

    /// A worker that runs whatever is offered, each attempt to a success, until the Job has ended.
    pub(crate) async fn work(&self) {
        let start = Instant::now();
        loop {
            let job = self.store.get_job("default", &self.name).await;
            if matches!(job, Ok(Some(job)) if job.header.is_finished()) {
                return;
            }
            assert!(start.elapsed() < BOUND, "the Job doesn't end");
            for (index, live) in self.store.live(&self.job).await.unwrap_or_default() {
                let attempt = self.job.attempt(index, live.attempt.number);
                let claim = self.store.claim(&attempt, "claim", "w", "session").await;
                if let Ok(Claimed::Granted(grant)) = claim {
                    let _ = self
                        .store
                        .finish(&attempt, &grant.token, &exit(0), Some(1), None, &[])
                        .await;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub(crate) fn exit(code: i32) -> Outcome {
    Outcome::Exited { code, reason: String::new(), message: String::new() }
}

fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
    if let (Some(into), serde_json::Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}
