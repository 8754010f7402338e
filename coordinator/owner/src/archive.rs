//! Finished attempts to the archive: beside the owner's loop, which must not wait for it.
//!
//! Each attempt that ends is archived soon, as far as the queue has room. Before a Job is removed all of
//! its attempts are looked after, so that neither a full queue nor a crash loses any.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, TryStreamExt, stream};
use k8s_openapi::api::batch::v1::Job as Object;
use k8s_openapi::api::core::v1::Pod;
use longshore_api::pod::{AttemptView, pod_uid, render_pod};
use longshore_api::spec::completion_mode;
use longshore_archive::{Archive, ArchiveError, LogWriter, PodName};
use longshore_job::{Attempt, Index, pod_name};
use longshore_store::{
    AttemptKey, JobRef, OutputInfo, Shard, Store, StoreError, StoredJob, StoredLine, StreamId,
};
use longshore_support::chain::Chain;
use longshore_support::retry::Policy;
use thiserror::Error;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, error, info, warn};

/// Attempts that wait to be archived. What finds no room is archived before its Job is removed.
const QUEUE: usize = 4096;

/// Attempts archived at a time; each holds up to 10 MiB of its output.
const SIDE_BY_SIDE: usize = 4;

/// How long the end of the output of an ended attempt is waited for.
const LINGER: Duration = Duration::from_secs(10);

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// How often an attempt of the queue is tried.
const TRIES: usize = 5;

/// How long the removal of a Job waits for the archive.
const LONGEST: Duration = Duration::from_secs(10 * 60);

const SWEEP: Duration = Duration::from_secs(3600);

const WAITS: Policy = Policy::new(Duration::from_millis(500), Duration::from_secs(15));

/// Why an attempt is not archived yet.
#[derive(Debug, Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("a stored Job or its Pod is no valid JSON")]
    Json(#[from] serde_json::Error),
    #[error("the output is still being written")]
    Moving,
}

/// The owner's end.
#[derive(Clone)]
pub(crate) struct Archiver {
    /// None where there is no archive.
    shared: Option<Arc<Shared>>,
    queue: Sender<AttemptKey>,
}

/// The end that archives.
pub(crate) struct Queue {
    shared: Option<Arc<Shared>>,
    ended: Receiver<AttemptKey>,
}

struct Shared {
    archive: Archive,
    store: Store,
    /// Whether it has been said that the archive can't be reached.
    away: AtomicBool,
}

pub(crate) fn channel(archive: Option<&Archive>, store: &Store) -> (Archiver, Queue) {
    let (queue, ended) = mpsc::channel(QUEUE);
    let shared = archive.map(|archive| {
        let (archive, store) = (archive.clone(), store.clone());
        Arc::new(Shared { archive, store, away: AtomicBool::new(false) })
    });
    (Archiver { shared: shared.clone(), queue }, Queue { shared, ended })
}

impl Archiver {
    /// Archives an attempt that has ended, soon.
    pub(crate) fn ended(&self, attempt: AttemptKey) {
        if self.shared.is_some() && self.queue.try_send(attempt).is_err() {
            debug!("the queue to the archive is full: the rest follows before its Job is removed");
        }
    }

    /// Returns when all of a Job's attempts are archived, or when the archive could not be reached for
    /// long.
    pub(crate) async fn before_purge(&self, job: &JobRef) {
        let Some(shared) = &self.shared else { return };
        let mut ends = Instant::now() + LONGEST;
        let mut waits = WAITS.delays();
        let mut told = false;
        let mut last = String::new();
        while let Ok(done) = timeout_at(ends, shared.complete(job)).await {
            let Err(trouble) = done else { return };
            last = Chain(&trouble).to_string();
            match trouble {
                // Without Redis nothing is removed either.
                Trouble::Store(_) => ends = Instant::now() + LONGEST,
                _ if !told => {
                    warn!(%job, "to be removed once its attempts are archived: {last}");
                    told = true;
                }
                _ => {}
            }
            let wait = waits.next().unwrap_or(WAITS.cap);
            if Instant::now() + wait >= ends {
                break;
            }
            sleep(wait).await;
        }
        error!(%job, "removed although not all of its attempts could be archived, their output is lost: {last}");
    }
}

impl Queue {
    /// Archives what comes in, and sweeps if that is this shard's part; never ends.
    pub(crate) async fn run(self, shard: Shard) {
        let Some(shared) = &self.shared else { return std::future::pending().await };
        let sweep = async {
            // One does it for all.
            if shard.0 == 0 && !shared.archive.retention().is_zero() {
                shared.sweep().await;
            }
        };
        tokio::join!(archive_all(shared, self.ended), sweep);
        std::future::pending().await
    }
}

/// Archives what comes in until the owner's end is gone.
async fn archive_all(shared: &Arc<Shared>, mut ended: Receiver<AttemptKey>) {
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            Some(attempt) = ended.recv(), if under_way.len() < SIDE_BY_SIDE => {
                let shared = Arc::clone(shared);
                under_way.spawn(async move { shared.soon(&attempt).await });
            }
            Some(_) = under_way.join_next() => {}
            else => return,
        }
    }
}

impl Shared {
    /// Archives an attempt of the queue, if that can be done in a few tries.
    async fn soon(&self, key: &AttemptKey) {
        let mut waits = WAITS.delays();
        for _ in 0..TRIES {
            match self.one(key).await {
                Ok(()) => return self.reached(),
                Err(trouble) => self.say(&trouble),
            }
            sleep(waits.next().unwrap_or(WAITS.cap)).await;
        }
        debug!(attempt = %key, "not archived for now: it follows before its Job is removed");
    }

    async fn one(&self, key: &AttemptKey) -> Result<(), Trouble> {
        let Some(stored) = self.store.get_job_by_uid(&key.job).await? else { return Ok(()) };
        let attempt = self.store.history_one(key).await?.filter(is_kept);
        let Some(attempt) = attempt else { return Ok(()) };
        let object = serde_json::from_str(&stored.object)?;
        self.put(&stored, &object, key.index, &attempt, LINGER).await
    }

    /// Archives all of a Job's attempts that are not yet.
    async fn complete(&self, job: &JobRef) -> Result<(), Trouble> {
        let Some(stored) = self.store.get_job_by_uid(job).await? else { return Ok(()) };
        let object: Object = serde_json::from_str(&stored.object)?;
        let there = self.archive.pods(&stored.namespace, &stored.name).await?;
        let now = self.store.now().await?;
        for bucket in self.store.buckets(job).await? {
            let missing = self.store.history(job, bucket).await?.into_iter().filter_map(
                |(index, attempt)| {
                    if !is_kept(&attempt) {
                        return None;
                    }
                    let written = there.get(&name(&stored, &object, index, &attempt).pod);
                    let ended = ended_at(&attempt);
                    // An older one may be of an earlier Job of this name, which is looked at below.
                    let is_there = written.is_some_and(|written| *written >= ended);
                    (!is_there).then_some((index, attempt))
                },
            );
            stream::iter(missing.map(Ok))
                .try_for_each_concurrent(SIDE_BY_SIDE, |(index, attempt)| {
                    let (stored, object) = (&stored, &object);
                    async move {
                        let age = Duration::from_millis(now.saturating_sub(ended_at(&attempt)));
                        let patience = LINGER.saturating_sub(age);
                        self.put(stored, object, index, &attempt, patience).await
                    }
                    .boxed()
                })
                .await?;
        }
        Ok(())
    }

    /// Archives one attempt, unless it is there.
    async fn put(
        &self,
        stored: &StoredJob,
        object: &Object,
        index: Index,
        attempt: &Attempt,
        patience: Duration,
    ) -> Result<(), Trouble> {
        let key = stored.job.attempt(index, attempt.number);
        let name = name(stored, object, index, attempt);
        let info = self.until_ended(&key, patience).await?;
        // Only now: had it been archived before the output was looked at, that may have been removed.
        if self.is_there(&name, &pod_uid(&stored.job.uid, index, attempt.number)).await? {
            return Ok(());
        }
        let worker = attempt.worker.as_deref().unwrap_or_default();
        let runtime = self.store.node(worker).await?.map(|node| node.runtime);
        let runtime = runtime.as_deref().unwrap_or("docker");
        let pod = render_pod(object, index, &AttemptView::finished(attempt, runtime));
        for (container, number) in container_names(&pod).iter().zip(0..) {
            let mut writer = self.archive.write_log(&name, container);
            if let Err(trouble) = self.copy(&key, number, info, &mut writer).await {
                writer.abort().await;
                return Err(trouble);
            }
        }
        self.archive.put_pod(&name, serde_json::to_vec(&pod)?).await?;
        debug!(attempt = %key, "archived");
        Ok(())
    }

    /// Copies the output of one container, which must be the same at the end as it was in the beginning.
    async fn copy(
        &self,
        key: &AttemptKey,
        container: u32,
        info: OutputInfo,
        writer: &mut LogWriter,
    ) -> Result<(), Trouble> {
        let mut at = StreamId::START;
        loop {
            let batch = self.store.read_output(key, at, Duration::ZERO).await?;
            at = batch.next;
            if let Some(notice) = &batch.notice {
                writer.write(Bytes::from(format!("{notice}\n"))).await?;
            }
            let is_last = batch.ended || batch.chunks.is_empty();
            for chunk in batch.chunks {
                writer.write(lines_of(&chunk, container).into()).await?;
            }
            if is_last {
                break;
            }
        }
        if self.store.output_info(key).await? != info {
            return Err(Trouble::Moving);
        }
        Ok(writer.finish().await?)
    }

    /// Waits for the end of an output, which never comes if its worker was lost.
    async fn until_ended(
        &self,
        key: &AttemptKey,
        patience: Duration,
    ) -> Result<OutputInfo, StoreError> {
        let ends = Instant::now() + patience;
        loop {
            let info = self.store.output_info(key).await?;
            if info.ended || Instant::now() >= ends {
                return Ok(info);
            }
            sleep(LOOK).await;
        }
    }

    async fn is_there(&self, name: &PodName, uid: &str) -> Result<bool, Trouble> {
        let Some(json) = self.archive.pod(name).await? else { return Ok(false) };
        // What can't be read is written anew.
        let pod: serde_json::Value = serde_json::from_slice(&json).unwrap_or_default();
        Ok(pod["metadata"]["uid"] == uid)
    }

    /// Removes what is older than the retention, again and again.
    async fn sweep(&self) {
        let retention = self.archive.retention().as_millis();
        let retention = u64::try_from(retention).unwrap_or(u64::MAX);
        loop {
            let swept = async {
                let before = self.store.now().await?.saturating_sub(retention);
                Ok::<u64, Trouble>(self.archive.sweep(before).await?)
            };
            match swept.await {
                Ok(0) => {}
                Ok(count) => info!("removed {count} old objects from the archive"),
                Err(trouble) => self.say(&trouble),
            }
            sleep(SWEEP).await;
        }
    }

    /// Says once that the archive can't be reached.
    fn say(&self, trouble: &Trouble) {
        let of_archive = matches!(trouble, Trouble::Archive(_));
        if of_archive && !self.away.swap(true, Ordering::Relaxed) {
            warn!("attempts can't be archived, trying on: {}", Chain(trouble));
        } else {
            debug!("not archived: {}", Chain(trouble));
        }
    }

    fn reached(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            info!("attempts are archived again");
        }
    }
}

/// A Pod's containers, init containers first.
fn container_names(pod: &Pod) -> Vec<String> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let all = spec.init_containers.iter().flatten().chain(&spec.containers);
    all.map(|container| container.name.clone()).collect()
}

/// The lines of one container.
fn lines_of(chunk: &[u8], container: u32) -> Vec<u8> {
    let lines = chunk.split_inclusive(|byte| *byte == b'\n');
    let own = lines
        .filter(|line| StoredLine::parse(line).is_some_and(|line| line.container == container));
    own.flatten().copied().collect()
}

/// A Pod that a client deleted is gone, and so is its output.
fn is_kept(attempt: &Attempt) -> bool {
    attempt.deleted.is_none()
}

fn name(stored: &StoredJob, object: &Object, index: Index, attempt: &Attempt) -> PodName {
    let mode = completion_mode(object);
    PodName {
        namespace: stored.namespace.clone(),
        job: stored.name.clone(),
        pod: pod_name(&stored.name, &stored.job.uid, mode, index, attempt.number),
    }
}

fn ended_at(attempt: &Attempt) -> u64 {
    attempt.finished.unwrap_or(attempt.created)
}
