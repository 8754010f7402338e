//! The archive of finished attempts: their Pods and their output, in a folder or in an S3 bucket, where
//! they outlive the Job's records in Redis.
//!
//! | object | what |
//! | --- | --- |
//! | `v1/<namespace>/<job>/<pod>/<container>.log` | the output, in lines as they are stored in Redis |
//! | `v1/<namespace>/<job>/<pod>/pod.json` | the Pod as it was at its end; written last, so that it says that the rest is there |
//!
//! All writes may be done again with one effect: the names are those of the attempts.

mod error;
mod log;
mod open;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

pub use crate::error::ArchiveError;
pub use crate::log::LogWriter;
pub use crate::open::{ArchiveSettings, Credentials};

/// The form of what is written, the first part of every name.
const VERSION: &str = "v1";
const POD: &str = "pod.json";

/// Milliseconds since 1970.
pub type Millis = u64;

/// A place for Pods and their output.
#[derive(Clone, Debug)]
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    /// What stands before all names in a bucket that is shared with others.
    prefix: Path,
    retention: Duration,
}

/// Names a Pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodName {
    pub namespace: String,
    pub job: String,
    pub pod: String,
}

impl Archive {
    /// Opens the archive that the settings name. An S3 server is not asked yet.
    ///
    /// # Errors
    /// A URL that can't be used, or a folder that can't be made.
    pub fn open(settings: &ArchiveSettings) -> Result<Self, ArchiveError> {
        let (store, prefix) = open::open(settings)?;
        Ok(Self { store, prefix, retention: settings.retention })
    }

    /// How long what is archived is kept; zero is for ever.
    pub fn retention(&self) -> Duration {
        self.retention
    }

    /// Begins a container's output. Nothing is to be seen of it before [`LogWriter::finish`].
    pub fn write_log(&self, pod: &PodName, container: &str) -> LogWriter {
        LogWriter::new(Arc::clone(&self.store), self.log_path(pod, container))
    }

    /// A container's output as it was written; `None` if there is none.
    ///
    /// # Errors
    /// The archive can't be reached; the stream may tell the same later.
    pub async fn log(
        &self,
        pod: &PodName,
        container: &str,
    ) -> Result<Option<BoxStream<'static, Result<Bytes, ArchiveError>>>, ArchiveError> {
        match self.store.get(&self.log_path(pod, container)).await {
            Ok(found) => Ok(Some(found.into_stream().map_err(ArchiveError::read).boxed())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(ArchiveError::read(error)),
        }
    }

    /// Stores a Pod, after its output.
    ///
    /// # Errors
    /// The archive can't be reached.
    pub async fn put_pod(&self, pod: &PodName, json: Vec<u8>) -> Result<(), ArchiveError> {
        let path = self.pod_path(pod).join(POD);
        self.store.put(&path, json.into()).await.map_err(ArchiveError::write)?;
        Ok(())
    }

    /// The JSON of a Pod; `None` if there is none.
    ///
    /// # Errors
    /// The archive can't be reached.
    pub async fn pod(&self, pod: &PodName) -> Result<Option<Bytes>, ArchiveError> {
        let found = match self.store.get(&self.pod_path(pod).join(POD)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(ArchiveError::read(error)),
        };
        found.bytes().await.map(Some).map_err(ArchiveError::read)
    }

    /// The Pods that are archived under a Job's name, with the time at which each was written. They may
    /// be of an earlier Job of this name.
    ///
    /// # Errors
    /// The archive can't be reached.
    pub async fn pods(
        &self,
        namespace: &str,
        job: &str,
    ) -> Result<BTreeMap<String, Millis>, ArchiveError> {
        let place = self.root().join(namespace).join(job);
        let mut objects = self.store.list(Some(&place));
        let mut pods = BTreeMap::new();
        while let Some(object) = objects.try_next().await.map_err(ArchiveError::read)? {
            let mut parts = object.location.prefix_match(&place).into_iter().flatten();
            if let (Some(pod), Some(file), None) = (parts.next(), parts.next(), parts.next())
                && file.as_ref() == POD
            {
                pods.insert(pod.as_ref().to_owned(), millis(&object));
            }
        }
        Ok(pods)
    }

    /// The names of the Jobs of which something is archived.
    ///
    /// # Errors
    /// The archive can't be reached.
    pub async fn jobs(&self, namespace: &str) -> Result<BTreeSet<String>, ArchiveError> {
        let place = self.root().join(namespace);
        let listed = self.store.list_with_delimiter(Some(&place)).await;
        let folders = listed.map_err(ArchiveError::read)?.common_prefixes;
        Ok(folders.iter().filter_map(|job| job.filename().map(str::to_owned)).collect())
    }

    /// Deletes what was written before that time; how many objects those were.
    ///
    /// # Errors
    /// The archive can't be reached. What was deleted stays deleted.
    pub async fn sweep(&self, before: Millis) -> Result<u64, ArchiveError> {
        let old = self.store.list(Some(&self.root())).try_filter_map(move |object| async move {
            Ok((millis(&object) < before).then_some(object.location))
        });
        let mut deleted = self.store.delete_stream(old.boxed());
        let mut count = 0;
        loop {
            match deleted.next().await {
                Some(Ok(_)) => count += 1,
                // Another has deleted it.
                Some(Err(object_store::Error::NotFound { .. })) => {}
                Some(Err(error)) => return Err(ArchiveError::write(error)),
                None => return Ok(count),
            }
        }
    }

    fn root(&self) -> Path {
        self.prefix.clone().join(VERSION)
    }

    fn pod_path(&self, pod: &PodName) -> Path {
        self.root().join(&*pod.namespace).join(&*pod.job).join(&*pod.pod)
    }

    fn log_path(&self, pod: &PodName, container: &str) -> Path {
        self.pod_path(pod).join(format!("{container}.log"))
    }
}

fn millis(object: &object_store::ObjectMeta) -> Millis {
    u64::try_from(object.last_modified.timestamp_millis()).unwrap_or(0)
}
