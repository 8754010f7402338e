//! What the entries of the change log name, as objects.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::batch::v1::Job;
use longshore_api::Resource;
use longshore_job::{Attempt, Millis};
use longshore_store::{
    AttemptKey, Change, ConfigKind, ConfigRef, JobRef, NodeRecord, ResourceVersion, Shard,
    StoreError, StoredJob, Subject, Verb,
};
use thiserror::Error;

use crate::configs::{self, Config};
use crate::errors::Failure;
use crate::objects::{self, Found, Objects, Runtimes};
use crate::served::Object;

/// Objects read from Redis at once.
const CONCURRENT: usize = 32;

/// One change, with the object as it is now.
#[derive(Debug)]
pub(crate) struct Notice {
    /// Its place in the log; `None` for what is not in there: a Node whose heartbeat stopped.
    pub(crate) rv: Option<ResourceVersion>,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub(crate) verb: &'static str,
    pub(crate) object: Object,
    /// The event as JSON, once a watcher needed it.
    pub(crate) line: OnceLock<Bytes>,
}

/// Why changes could not be made into objects.
#[derive(Debug, Error)]
pub(crate) enum Unresolved {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Pods were deleted whose Job is not known any more.
    #[error("the change log no longer says which Job {0} was")]
    Unknown(JobRef),
    #[error("Redis may have lost changes of shard {0} that were told")]
    Setback(Shard),
    #[error("{}", .0.0)]
    Unreadable(Failure),
}

impl Unresolved {
    /// Whether the same may work a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Unknown(_) | Self::Setback(_) => false,
            Self::Unreadable(failure) => failure.0.code == 503,
        }
    }
}

impl From<Failure> for Unresolved {
    fn from(failure: Failure) -> Self {
        Self::Unreadable(failure)
    }
}

/// Looks up what changed. Must be given the changes in their order: the Pods of a Job that is removed
/// are named after the Job's last state, which comes before them.
#[derive(Clone)]
pub(crate) struct Resolver {
    objects: Objects,
    /// Jobs that are being removed, by uid.
    removed: HashMap<String, Arc<Job>>,
}

impl Resolver {
    pub(crate) fn new(objects: Objects) -> Self {
        Self { objects, removed: HashMap::new() }
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Forgets what it knows from earlier changes.
    pub(crate) fn forget(&mut self) {
        self.removed.clear();
    }

    /// The changes of the wanted kinds, several changes of one object taken together.
    ///
    /// # Errors
    /// [`Unresolved`]: watchers must list again, or the same changes be given again after a
    /// [`Unresolved::Store`].
    pub(crate) async fn resolve(
        &mut self,
        changes: Vec<Change>,
        wanted: impl Fn(Resource) -> bool,
    ) -> Result<Vec<Notice>, Unresolved> {
        let ended = self.remember(&changes)?;
        if let Some(shard) = changes.iter().find_map(set_back) {
            return Err(Unresolved::Setback(shard));
        }
        let is_wanted = |change: &Change| kind(change).is_some_and(&wanted);
        let changes = merged(changes.into_iter().filter(is_wanted).collect());
        let jobs = self.jobs(&changes).await?;
        let runtimes = match changes.iter().any(|change| kind(change) == Some(Resource::Pods)) {
            true => self.objects.runtimes().await?,
            false => Arc::new(Runtimes::default()),
        };
        let now = match changes.iter().any(|change| kind(change) == Some(Resource::Nodes)) {
            true => self.objects.store().now().await?,
            false => 0,
        };
        let context = &Context { jobs, runtimes, now };
        let this = &*self;
        let notices: Vec<Option<Notice>> = stream::iter(changes)
            .map(|change| this.one(change, context))
            .buffered(CONCURRENT)
            .try_collect()
            .await?;
        for uid in ended {
            self.removed.remove(&uid);
        }
        Ok(notices.into_iter().flatten().collect())
    }

    /// A Node whose heartbeat stopped or came back, which no entry of the log tells.
    pub(crate) fn node_notice(
        &self,
        record: &NodeRecord,
        now: Millis,
        rv: ResourceVersion,
    ) -> Notice {
        let node = self.objects.node(record, now, rv);
        Notice {
            rv: None,
            verb: "MODIFIED",
            object: Object::Node(Arc::new(node)),
            line: OnceLock::new(),
        }
    }

    /// Keeps the last states of Jobs that are removed; the uids of those that are gone hereafter.
    fn remember(&mut self, changes: &[Change]) -> Result<Vec<String>, Failure> {
        let mut ended = Vec::new();
        for change in changes {
            let (Subject::Job(job), Some(object)) = (&change.subject, &change.object) else {
                continue;
            };
            let last = objects::manifest_of_json(object)?;
            self.removed.insert(job.uid.clone(), Arc::new(last));
            if change.verb == Verb::Deleted {
                ended.push(job.uid.clone());
            }
        }
        Ok(ended)
    }

    /// The Jobs that the changes are about, as they are stored now.
    async fn jobs(
        &self,
        changes: &[Change],
    ) -> Result<HashMap<String, (StoredJob, Arc<Job>)>, Unresolved> {
        let refs: HashSet<&JobRef> = changes.iter().filter_map(job_ref).collect();
        let refs: Vec<JobRef> = refs.into_iter().cloned().collect();
        let mut jobs = HashMap::new();
        for stored in self.objects.store().load_jobs(&refs).await? {
            let manifest = Arc::new(objects::manifest(&stored)?);
            jobs.insert(stored.job.uid.clone(), (stored, manifest));
        }
        Ok(jobs)
    }

    async fn one(&self, change: Change, context: &Context) -> Result<Option<Notice>, Unresolved> {
        let rv = change.rv.to_string();
        let gone = change.verb == Verb::Deleted;
        let object = match &change.subject {
            Subject::Job(job) => {
                let found = match context.jobs.get(&job.uid).filter(|_| !gone) {
                    Some((stored, _)) => Some(self.objects.job(stored).await?),
                    None => self.removed.get(&job.uid).filter(|_| gone).map(|job| Job::clone(job)),
                };
                found.map(|mut job| {
                    job.metadata.resource_version = Some(rv);
                    Object::Job(Arc::new(job))
                })
            }
            Subject::Pod(key) => self.pod(key, &change, context).await?.map(|mut pod| {
                pod.metadata.resource_version = Some(rv);
                Object::Pod(Arc::new(pod))
            }),
            Subject::Event(job, id) => match context.jobs.get(&job.uid).filter(|_| !gone) {
                Some((_, manifest)) => self.objects.store().event(job, id).await?.map(|stored| {
                    let mut event = objects::event(manifest, &stored);
                    event.metadata.resource_version = Some(rv);
                    Object::Event(Arc::new(event))
                }),
                None => None,
            },
            Subject::Config(ConfigKind::ConfigMap, config) => {
                let found = self.config(config, &change).await?;
                found.map(|config_map| Object::ConfigMap(Arc::new(config_map)))
            }
            Subject::Config(ConfigKind::Secret, config) => {
                let found = self.config(config, &change).await?;
                found.map(|secret| Object::Secret(Arc::new(secret)))
            }
            Subject::Node => {
                let record = match gone {
                    true => Some(NodeRecord { name: change.name.clone(), ..NodeRecord::default() }),
                    false => self.objects.store().node(&change.name).await?,
                };
                record.map(|record| {
                    let node = self.objects.node(&record, context.now, change.rv);
                    Object::Node(Arc::new(node))
                })
            }
            Subject::Shard(_) => None,
        };
        let verb = match change.verb {
            Verb::Added => "ADDED",
            Verb::Modified => "MODIFIED",
            Verb::Deleted => "DELETED",
        };
        // What is not there any more was removed since; its removal comes later in the log.
        Ok(object.map(|object| Notice { rv: Some(change.rv), verb, object, line: OnceLock::new() }))
    }

    async fn config<T: Config>(
        &self,
        config: &ConfigRef,
        change: &Change,
    ) -> Result<Option<T>, Unresolved> {
        let store = self.objects.store();
        let mut object: T = match &change.object {
            Some(last) => {
                let (namespace, name) = (&change.namespace, &change.name);
                configs::read(&store.open_config(T::CONFIG_KIND, namespace, name, last)?)?
            }
            None => match store.load_configs(std::slice::from_ref(config)).await?.pop() {
                Some(stored) => configs::shown(&stored)?,
                None => return Ok(None),
            },
        };
        object.metadata_mut().resource_version = Some(change.rv.to_string());
        Ok(Some(object))
    }

    async fn pod(
        &self,
        key: &AttemptKey,
        change: &Change,
        context: &Context,
    ) -> Result<Option<k8s_openapi::api::core::v1::Pod>, Unresolved> {
        let stored = context.jobs.get(&key.job.uid).map(|(_, manifest)| manifest);
        if change.verb != Verb::Deleted {
            let Some(job) = stored else { return Ok(None) };
            let found = self.objects.attempt(key).await?.filter(|found| !found.is_gone());
            return Ok(found.and_then(|found| found.pod(job, key.index, &context.runtimes)));
        }
        let job = stored
            .or_else(|| self.removed.get(&key.job.uid))
            .ok_or_else(|| Unresolved::Unknown(key.job.clone()))?;
        let last = change.object.as_deref().and_then(|json| serde_json::from_str(json).ok());
        let last = last.unwrap_or_else(|| Attempt { number: key.attempt, ..Attempt::default() });
        Ok(Found::Finished(last).pod(job, key.index, &context.runtimes))
    }
}

/// What one batch of changes is rendered with.
struct Context {
    jobs: HashMap<String, (StoredJob, Arc<Job>)>,
    runtimes: Arc<Runtimes>,
    now: Millis,
}

/// What is shown of it; `None` for what is no object.
fn kind(change: &Change) -> Option<Resource> {
    Some(match change.subject {
        Subject::Job(_) => Resource::Jobs,
        Subject::Pod(_) => Resource::Pods,
        Subject::Event(..) => Resource::Events,
        Subject::Node => Resource::Nodes,
        Subject::Config(ConfigKind::ConfigMap, _) => Resource::ConfigMaps,
        Subject::Config(ConfigKind::Secret, _) => Resource::Secrets,
        Subject::Shard(_) => return None,
    })
}

fn set_back(change: &Change) -> Option<Shard> {
    match change.subject {
        Subject::Shard(shard) => Some(shard),
        _ => None,
    }
}

fn job_ref(change: &Change) -> Option<&JobRef> {
    match &change.subject {
        Subject::Job(job) | Subject::Event(job, _) => Some(job),
        Subject::Pod(key) => Some(&key.job),
        Subject::Node | Subject::Config(..) | Subject::Shard(_) => None,
    }
}

/// Of several changes of one object the last: they would all show its state of now. It stays an
/// ADDED if one of them was.
fn merged(changes: Vec<Change>) -> Vec<Change> {
    let mut places: HashMap<(Subject, String), usize> = HashMap::new();
    let mut kept: Vec<Option<Change>> = Vec::with_capacity(changes.len());
    for mut change in changes {
        let name = match change.subject {
            Subject::Node => change.name.clone(),
            _ => String::new(),
        };
        let earlier = places.insert((change.subject.clone(), name), kept.len());
        let earlier = earlier.and_then(|place| kept[place].take());
        if change.verb == Verb::Modified
            && earlier.is_some_and(|earlier| earlier.verb == Verb::Added)
        {
            change.verb = Verb::Added;
        }
        kept.push(Some(change));
    }
    kept.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(rv: u64, uid: &str, verb: Verb) -> Change {
        Change {
            rv: ResourceVersion(rv),
            subject: Subject::Job(JobRef::new(Shard(1), uid)),
            verb,
            namespace: "default".to_owned(),
            name: uid.to_owned(),
            object: None,
        }
    }

    #[test]
    fn changes_of_one_object_become_one() {
        let changes = vec![
            change(1, "a", Verb::Added),
            change(2, "b", Verb::Modified),
            change(3, "a", Verb::Modified),
            change(4, "b", Verb::Deleted),
        ];
        let merged: Vec<(u64, Verb)> =
            merged(changes).iter().map(|change| (change.rv.0, change.verb)).collect();
        assert_eq!(merged, [(3, Verb::Added), (4, Verb::Deleted)]);
    }
}
