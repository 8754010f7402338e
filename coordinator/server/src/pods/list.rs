//! Pods in their order, read a bucket of indexes at a time.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use longshore_job::{Index, Live, Phase};
use longshore_store::JobRef;

use super::find;
use crate::App;
use crate::errors::Failure;
use crate::listing::{Listed, Source};
use crate::objects::{self, Found, Runtimes};
use crate::served::Selection;

/// Indexes in one bucket of the history.
const BUCKET: Index = 256;

/// Pods by Job, in the order of the Jobs' names, and for each by index and attempt.
impl Listed for Pod {
    fn source(app: &App, selection: &Selection, after: Option<String>) -> Source<Self> {
        let app = app.clone();
        let selection = selection.clone();
        async_stream::try_stream! {
            let tail = app.store.log_tail().await?.to_string();
            if let (Some(namespace), Some(name)) = (selection.only_namespace(), selection.only_name()) {
                let found = find(&app, namespace, name).await?;
                if let Some(mut pod) = found.map(|found| found.pod).filter(|_| after.is_none()) {
                    pod.metadata.resource_version = Some(tail);
                    yield (name.to_owned(), pod);
                }
                return;
            }
            let after = after.as_deref().and_then(Place::parse);
            let runtimes = app.objects.runtimes().await?;
            for (namespace, name, job) in jobs(&app, &selection).await? {
                let place = format!("{namespace}/{name}");
                let passed = match &after {
                    Some(after) if (namespace.as_str(), name.as_str()) < after.job() => continue,
                    Some(after) if after.job() == (namespace.as_str(), name.as_str()) => {
                        Some((after.index, after.attempt))
                    }
                    _ => None,
                };
                let mut pods = of_job(&app, &job, only_index(&selection), passed, &runtimes);
                while let Some(next) = pods.next().await {
                    let ((index, attempt), mut pod) = next?;
                    pod.metadata.resource_version = Some(tail.clone());
                    yield (format!("{place}/{index}.{attempt}"), pod);
                }
            }
        }
        .boxed()
    }
}

/// The Jobs whose Pods may match. A selector of one Job, as every Job has it, leads straight there.
async fn jobs(app: &App, selection: &Selection) -> Result<Vec<(String, String, JobRef)>, Failure> {
    let exact = |keys: [&str; 2]| keys.into_iter().find_map(|key| selection.labels.exact(key));
    let name = exact(["batch.kubernetes.io/job-name", "job-name"]);
    let uid = exact(["batch.kubernetes.io/controller-uid", "controller-uid"]);
    if let (Some(namespace), Some(name)) = (selection.only_namespace(), name) {
        let found = app.store.find_job(namespace, name).await?;
        let job = found.filter(|job| uid.is_none_or(|uid| job.uid == uid));
        return Ok(job
            .map(|job| (namespace.to_owned(), name.to_owned(), job))
            .into_iter()
            .collect());
    }
    let mut all = app.store.list_names(selection.only_namespace()).await?;
    all.retain(|(_, job_name, job)| {
        name.is_none_or(|name| job_name == name) && uid.is_none_or(|uid| job.uid == uid)
    });
    Ok(all)
}

/// The one index that can match.
fn only_index(selection: &Selection) -> Option<Index> {
    selection.labels.exact("batch.kubernetes.io/job-completion-index")?.parse().ok()
}

type Numbered = ((Index, u32), Pod);

/// The Pods of one Job behind the index and attempt `passed`.
fn of_job<'a>(
    app: &'a App,
    job: &'a JobRef,
    only: Option<Index>,
    passed: Option<(Index, u32)>,
    runtimes: &'a Runtimes,
) -> stream::BoxStream<'a, Result<Numbered, Failure>> {
    async_stream::try_stream! {
        let Some(stored) = app.store.get_job_by_uid(job).await? else { return };
        let manifest = objects::manifest(&stored)?;
        // Before the history: an attempt that ends in between is then seen twice rather than never.
        let live: BTreeMap<Index, Live> = app.store.live(job).await?.into_iter().collect();
        let mut buckets: BTreeSet<u32> = live.keys().map(|index| index / BUCKET).collect();
        buckets.extend(app.store.buckets(job).await?);
        let first = passed.map_or(0, |(index, _)| index / BUCKET);
        for bucket in buckets.range(first..) {
            if only.is_some_and(|only| only / BUCKET != *bucket) {
                continue;
            }
            let found = bucket_of(app, job, *bucket, &live).await?;
            for ((index, attempt), found) in found {
                let skipped = only.is_some_and(|only| only != index)
                    || passed.is_some_and(|passed| (index, attempt) <= passed);
                if skipped {
                    continue;
                }
                if let Some(pod) = found.pod(&manifest, index, runtimes).filter(|_| !found.is_gone()) {
                    yield ((index, attempt), pod);
                }
            }
        }
    }
    .boxed()
}

/// The attempts of one bucket's indexes. A finished one is taken from the history, where it is
/// complete.
async fn bucket_of(
    app: &App,
    job: &JobRef,
    bucket: u32,
    live: &BTreeMap<Index, Live>,
) -> Result<BTreeMap<(Index, u32), Found>, Failure> {
    let mut found = BTreeMap::new();
    let from = bucket.saturating_mul(BUCKET);
    for (index, live) in live.range(from..=from.saturating_add(BUCKET - 1)) {
        if live.phase != Phase::Waiting {
            found.insert((*index, live.attempt.number), Found::Live(live.clone()));
        }
    }
    for (index, attempt) in app.store.history(job, bucket).await? {
        found.insert((index, attempt.number), Found::Finished(attempt));
    }
    Ok(found)
}

/// A place in the order of Pods: `namespace/job/index.attempt`.
struct Place {
    namespace: String,
    name: String,
    index: Index,
    attempt: u32,
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (namespace, rest) = text.split_once('/')?;
        let (name, rest) = rest.split_once('/')?;
        let (index, attempt) = rest.split_once('.')?;
        Some(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            index: index.parse().ok()?,
            attempt: attempt.parse().ok()?,
        })
    }

    fn job(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
}
