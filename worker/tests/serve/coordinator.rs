//! The coordinator's part, played by the test step by step.

use std::time::{Duration, Instant};

use longshore_broker::{BrokerSettings, Publisher, Ticket};
use longshore_job::{Header, Index, Live, Outcome, Phase};
use longshore_store::{
    AttemptKey, Commit, Committed, Created, Epoch, Held, JobRef, NewJob, OutputInfo, Owned,
    Revoked, Shard, Store, StoreSettings, StreamId,
};
use longshore_support::format::Format;
use serde_json::{Value, json};

/// No state is waited for longer.
const BOUND: Duration = Duration::from_secs(60);
const SHARD: Shard = Shard(0);

/// The owner of the cluster's only shard.
#[derive(Clone)]
pub(crate) struct Coordinator {
    store: Store,
    publisher: std::sync::Arc<Publisher>,
    epoch: Epoch,
}

/// A Job, of which each index has one attempt.
pub(crate) struct Job {
    coordinator: Coordinator,
    job: JobRef,
}

impl Coordinator {
    pub(crate) async fn start(redis: &str, amqp: &str) -> Self {
        let store =
            Store::connect(&StoreSettings::new(redis).with_shards(1)).await.expect("a store");
        let metas = store.shard_metas().await.expect("read");
        let epoch = match store.own(SHARD, "test", &metas[0]).await.expect("owned") {
            Owned::Yes { epoch, .. } => epoch,
            Owned::No(meta) => panic!("{meta:?} has another owner"),
        };
        assert!(store.accept_run(SHARD, epoch, 0).await.expect("accepted"));
        let publisher = Publisher::new(BrokerSettings::new(amqp).expect("a URL"), "test");
        Self { store, publisher: std::sync::Arc::new(publisher), epoch }
    }

    pub(crate) fn cluster(&self) -> &str {
        self.store.cluster_id()
    }

    pub(crate) async fn create(&self, name: &str, pod_spec: Value) -> Job {
        let object = json!({
            "metadata": { "name": name, "namespace": "default" },
            "spec": { "completionMode": "Indexed", "template": { "spec": pod_spec } }
        });
        let new = NewJob {
            uid: &format!("uid-{name}"),
            namespace: "default",
            name,
            object: &object.to_string(),
            header: &Header::default(),
            lease_ms: 15_000,
        };
        match self.store.create(&new).await.expect("created") {
            Created::Created(job) => Job { coordinator: self.clone(), job },
            Created::Exists(job) => panic!("{job} is there"),
        }
    }
}

impl Job {
    /// Offers the first attempt of an index and publishes its ticket.
    pub(crate) async fn offer(&self, index: Index) {
        let uid = &self.job.uid;
        // As it is stored: an offered first attempt.
        let live: Live = serde_json::from_value(json!({ "n": 1, "s": "O" })).expect("a record");
        let mut commit = Commit::new();
        commit.expect_rev(uid, 1).header(uid, &Header::default(), true).expect("a header");
        commit.live(uid, index, Some(&live)).expect("a record");
        let Coordinator { store, epoch, .. } = &self.coordinator;
        let stored = store.commit(SHARD, *epoch, StreamId::START, &commit).await.expect("stored");
        assert!(matches!(stored, Committed::Stored { .. }), "{stored:?}");
        self.publish(index).await;
    }

    pub(crate) async fn publish(&self, index: Index) {
        let ticket = Ticket::new(Format::newest(), SHARD.0, self.job.uid.as_str(), index, 1);
        self.coordinator.publisher.publish(&[ticket]).await.expect("published");
    }

    pub(crate) async fn grant(&self, index: Index, restarts: u32) {
        let Coordinator { store, epoch, publisher } = &self.coordinator;
        store.grant(*epoch, &self.key(index), restarts).await.expect("granted");
        publisher.nudge("worker-1").await.expect("nudged");
    }

    pub(crate) async fn stop(&self, index: Index, grace_seconds: u32) {
        let Coordinator { store, epoch, publisher } = &self.coordinator;
        store.stop(*epoch, &self.key(index), grace_seconds).await.expect("marked");
        publisher.nudge("worker-1").await.expect("nudged");
    }

    /// Takes the attempt from its worker, as after its lease.
    pub(crate) async fn revoke(&self, index: Index) {
        let Coordinator { store, epoch, .. } = &self.coordinator;
        let live = self.live(index).await.expect("it is in flight");
        let session = live.session.expect("it is claimed");
        let sessions = store.sessions(SHARD).await.expect("read");
        let (_, counter) = sessions.iter().find(|(name, _)| *name == session).expect("it lives");
        let held = Held {
            attempt: self.key(index),
            token: live.attempt.token.expect("it has one"),
            lease_ms: 15_000,
        };
        let outcome = Outcome::Disrupted {
            reason: "WorkerLost".into(),
            message: String::new(),
            host_lost: true,
        };
        let revoked =
            store.expire(*epoch, &session, *counter, &held, &outcome).await.expect("asked");
        assert_eq!(revoked, Revoked::Revoked);
    }

    /// Removes the Job, as after its time to live.
    pub(crate) async fn purge(&self) {
        let Coordinator { store, epoch, .. } = &self.coordinator;
        assert!(store.purge(*epoch, &self.job).await.expect("removed"));
    }

    /// Waits until nothing is stored of an index' output.
    pub(crate) async fn no_output(&self, index: Index) {
        let start = Instant::now();
        let info = || async { self.coordinator.store.output_info(&self.key(index)).await };
        while info().await.expect("read") != OutputInfo::default() {
            assert!(start.elapsed() < BOUND, "the output stays");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the record of an index in flight is as it should be.
    pub(crate) async fn live_until(
        &self,
        index: Index,
        what: &str,
        holds: impl Fn(&Live) -> bool,
    ) -> Live {
        let start = Instant::now();
        loop {
            if let Some(live) = self.live(index).await
                && holds(&live)
            {
                return live;
            }
            assert!(start.elapsed() < BOUND, "waited for nothing: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for the end of an index' attempt.
    pub(crate) async fn outcome(&self, index: Index) -> Outcome {
        let ended = |live: &Live| live.phase == Phase::Finished;
        let live = self.live_until(index, "it has ended", ended).await;
        live.attempt.outcome.expect("an ended attempt has an outcome")
    }

    /// All stored lines of an index' attempt, which has ended.
    pub(crate) async fn output(&self, index: Index) -> String {
        let key = self.key(index);
        let (mut after, mut text) = (StreamId::START, Vec::new());
        loop {
            let read = self.coordinator.store.read_output(&key, after, BOUND).await;
            let batch = read.expect("read");
            batch.chunks.iter().for_each(|chunk| text.extend_from_slice(chunk));
            after = batch.next;
            if batch.ended {
                return String::from_utf8(text).expect("UTF-8");
            }
        }
    }

    /// Bytes of an index' output that were not kept.
    pub(crate) async fn dropped_output(&self, index: Index) -> u64 {
        self.coordinator.store.output_info(&self.key(index)).await.expect("read").dropped
    }

    async fn live(&self, index: Index) -> Option<Live> {
        self.coordinator.store.live_one(&self.job, index).await.expect("read")
    }

    fn key(&self, index: Index) -> AttemptKey {
        self.job.attempt(index, 1)
    }
}
