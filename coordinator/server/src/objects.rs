//! What is stored, as the Kubernetes objects that clients see.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use longshore_api::ApiError;
use longshore_api::event::{Involved, StoredEvent as ShownEvent, render_event};
use longshore_api::node::{NodeInfo, render_node};
use longshore_api::pod::{AttemptView, pod_uid, render_pod};
use longshore_api::spec::{ClusterDefaults, job_spec};
use longshore_api::status::job_status;
use longshore_job::{Attempt, CompletionMode, Index, IndexSet, Live, Millis, pod_name};
use longshore_store::{
    AttemptKey, NodeRecord, ResourceVersion, Store, StoreError, StoredEvent, StoredJob,
};

use crate::errors::Failure;

/// How long the workers' runtimes are believed to be what they were.
const RUNTIMES: Duration = Duration::from_secs(5);

/// Reads what is stored and renders it.
#[derive(Clone)]
pub(crate) struct Objects {
    store: Store,
    defaults: ClusterDefaults,
    /// How long a heartbeat may be missing, in milliseconds.
    node_grace: Millis,
    /// As they were when last looked at.
    runtimes: Arc<Mutex<Option<Seen>>>,
}

/// The runtime of each worker: `docker` or `null`.
#[derive(Debug, Default)]
pub(crate) struct Runtimes(HashMap<String, String>);

/// The runtimes, and when they were read.
type Seen = (Instant, Arc<Runtimes>);

impl Runtimes {
    fn of(&self, attempt: &Attempt) -> &str {
        let worker = attempt.worker.as_deref().unwrap_or_default();
        self.0.get(worker).map_or("docker", String::as_str)
    }
}

impl Objects {
    pub(crate) fn new(store: Store, defaults: ClusterDefaults, node_grace: Duration) -> Self {
        let node_grace = u64::try_from(node_grace.as_millis()).unwrap_or(u64::MAX);
        Self { store, defaults, node_grace, runtimes: Arc::default() }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The Job with its status, resourceVersion and deletionTimestamp.
    pub(crate) async fn job(&self, stored: &StoredJob) -> Result<Job, Failure> {
        let completed = match stored.header.succeeded {
            0 => IndexSet::default(),
            _ => self.store.completed(&stored.job).await?,
        };
        let mut job = manifest(stored)?;
        let spec = job_spec(&job, &self.defaults);
        let failed = match stored.header.failed_indexes {
            0 => IndexSet::default(),
            _ => self.store.failed(&stored.job).await?,
        };
        job.status = Some(job_status(&stored.header, &spec, &completed, &failed));
        Ok(job)
    }

    /// The record of an attempt, in flight or finished.
    pub(crate) async fn attempt(&self, key: &AttemptKey) -> Result<Option<Found>, StoreError> {
        let live = self.store.live_one(&key.job, key.index).await?;
        let live = live.filter(|live| live.attempt.number == key.attempt).map(Found::Live);
        match live {
            // A finished one is complete in the history.
            Some(Found::Live(live)) if live.phase != longshore_job::Phase::Finished => {
                Ok(Some(Found::Live(live)))
            }
            live => {
                let finished = self.store.history_one(key).await?;
                Ok(finished.map(Found::Finished).or(live))
            }
        }
    }

    pub(crate) async fn runtimes(&self) -> Result<Arc<Runtimes>, StoreError> {
        {
            let cached = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, runtimes)) = cached.as_ref().filter(|(at, _)| at.elapsed() < RUNTIMES) {
                return Ok(Arc::clone(runtimes));
            }
        }
        let nodes = self.store.nodes().await?;
        let names = nodes.into_iter().map(|node| (node.name, node.runtime));
        let runtimes = Arc::new(Runtimes(names.collect()));
        let mut cached = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner);
        *cached = Some((Instant::now(), Arc::clone(&runtimes)));
        Ok(runtimes)
    }

    /// Whether a worker's heartbeat has stopped.
    pub(crate) fn is_late(&self, node: &NodeRecord, now: Millis) -> bool {
        now.saturating_sub(node.beat) > self.node_grace
    }

    pub(crate) fn node(&self, record: &NodeRecord, now: Millis, rv: ResourceVersion) -> Node {
        let late = self.is_late(record, now);
        let (ready, reason, message) = match late {
            false => (record.ready, record.reason.clone(), record.message.clone()),
            true => (
                false,
                "NodeStatusUnknown".to_owned(),
                "The worker stopped sending heartbeats.".to_owned(),
            ),
        };
        let since = if late { record.beat.saturating_add(self.node_grace) } else { record.started };
        let mut node = render_node(&NodeInfo {
            name: record.name.clone(),
            ready,
            reason,
            message,
            slots: record.slots,
            running: record.running,
            runtime: record.runtime.clone(),
            runtime_version: record.engine_version.clone(),
            worker_version: record.version.clone(),
            os: "linux".to_owned(),
            arch: record.arch.clone(),
            kernel: record.kernel.clone(),
            os_image: record.os.clone(),
            host: record.host.clone(),
            cpus: record.cpus,
            memory: record.memory,
            started: record.started,
            heartbeat: record.beat,
            since,
            unschedulable: record.unschedulable,
        });
        node.metadata.resource_version = Some(rv.to_string());
        node
    }
}

/// An attempt's record.
#[derive(Debug)]
pub(crate) enum Found {
    Live(Live),
    Finished(Attempt),
}

impl Found {
    pub(crate) fn attempt(&self) -> &Attempt {
        match self {
            Self::Live(live) => &live.attempt,
            Self::Finished(attempt) => attempt,
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Live(live) => live.phase == longshore_job::Phase::Finished,
            Self::Finished(_) => true,
        }
    }

    /// Whether it is shown no more: a Pod that a client deleted is gone once it has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_finished() && self.attempt().deleted.is_some()
    }

    /// `None` for an index between two attempts. The resourceVersion is not set.
    pub(crate) fn pod(&self, job: &Job, index: Index, runtimes: &Runtimes) -> Option<Pod> {
        let runtime = runtimes.of(self.attempt());
        let view = match self {
            Self::Live(live) => AttemptView::of_live(live, runtime)?,
            Self::Finished(attempt) => AttemptView::finished(attempt, runtime),
        };
        Some(render_pod(job, index, &view))
    }
}

/// The Job as its client wrote it, with resourceVersion and deletionTimestamp and without status.
pub(crate) fn manifest(stored: &StoredJob) -> Result<Job, Failure> {
    let mut job = manifest_of_json(&stored.object)?;
    job.metadata.resource_version = Some(stored.rv.to_string());
    if let Some(at) = stored.deleted {
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX);
        job.metadata.deletion_timestamp = Some(Time(at));
        job.metadata.deletion_grace_period_seconds = Some(0);
    }
    Ok(job)
}

/// A Job's stored manifest.
pub(crate) fn manifest_of_json(json: &str) -> Result<Job, Failure> {
    serde_json::from_str(json)
        .map_err(|error| ApiError::internal(format!("a stored Job can't be read: {error}")).into())
}

/// An event of a Job or of one of its Pods. The resourceVersion is not set.
pub(crate) fn event(job: &Job, event: &StoredEvent) -> Event {
    let namespace = job.metadata.namespace.clone().unwrap_or_default();
    let name = job.metadata.name.clone().unwrap_or_default();
    let uid = job.metadata.uid.clone().unwrap_or_default();
    let involved = match event.event.about {
        None => Involved { kind: "Job".to_owned(), namespace: namespace.clone(), name, uid },
        Some((index, attempt)) => Involved {
            kind: "Pod".to_owned(),
            namespace: namespace.clone(),
            name: pod_name(&name, &uid, mode(job), index, attempt),
            uid: pod_uid(&uid, index, attempt),
        },
    };
    render_event(&ShownEvent {
        namespace,
        name: format!("{}.{}", involved.name, event.id),
        involved,
        reason: event.event.reason.clone(),
        message: event.event.message.clone(),
        warning: event.event.warning,
        source: "job-controller".to_owned(),
        count: event.count,
        first: event.first,
        last: event.last,
    })
}

pub(crate) fn mode(job: &Job) -> CompletionMode {
    match job.spec.as_ref().and_then(|spec| spec.completion_mode.as_deref()) {
        Some("Indexed") => CompletionMode::Indexed,
        _ => CompletionMode::NonIndexed,
    }
}
