//! What the API server does with Jobs: write them and find them.

use futures::future;
use longshore_job::{Header, Millis};

use crate::record::{self, Fields};
use crate::{AttemptKey, JobRef, ResourceVersion, Store, StoreError, StoredJob, keys, scripts};

/// Jobs read in one round trip.
const PAGE: usize = 100;

/// A Job to be created.
#[derive(Clone, Debug)]
pub struct NewJob<'a> {
    /// Chosen before the first send: a repeat with the same uid is the same creation.
    pub uid: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    /// JSON of the Kubernetes Job: metadata and spec, without status.
    pub object: &'a str,
    pub header: &'a Header,
    /// The lease of its attempts, in milliseconds.
    pub lease_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    Created(JobRef),
    /// Another Job has the name.
    Exists(JobRef),
}

/// A client's change of a Job.
#[derive(Clone, Debug)]
pub struct Update<'a> {
    /// Names this request, chosen before the first send.
    pub request: &'a str,
    /// The revision that the change was made from; `None` overwrites whatever there is.
    pub rev: Option<u64>,
    /// The resourceVersion that the client named, if any.
    pub rv: Option<ResourceVersion>,
    /// JSON of the changed Kubernetes Job.
    pub object: &'a str,
    /// Whether the changed Job is suspended: no attempt is granted from that moment on.
    pub suspended: bool,
    /// The lease of attempts claimed from now on, in milliseconds.
    pub lease_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    Updated {
        rev: u64,
    },
    /// It changed since the given revision or resourceVersion.
    Conflict,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// Marked; the owner removes it when its containers have ended.
    Deleted {
        at: Millis,
    },
    Gone,
}

/// What became of the wish to delete or evict an attempt's Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodDeleted {
    /// Marked; its owner has it stopped.
    Marked { at: Millis },
    /// It has ended: there was nothing to stop, and clients see it no more.
    Ended,
    /// There is no such attempt.
    None,
}

impl Store {
    /// Creates a Job and claims its name, at once.
    ///
    /// # Errors
    /// [`StoreError`], as every call; after [`StoreError::Unreachable`] it may have been created.
    pub async fn create(&self, new: &NewJob<'_>) -> Result<Created, StoreError> {
        let shard = self.shard_of(new.namespace, new.name);
        let mut call = scripts::CREATE.prepare_invoke();
        call.key(keys::prefix(shard)).arg(new.uid).arg(new.namespace).arg(new.name);
        call.arg(new.object).arg(record::encode(new.header)?).arg(new.lease_ms);
        let doing = "create a Job";
        let reply: Vec<String> = self.call(doing, &call).await?;
        match reply.as_slice() {
            [what] if what == "created" => Ok(Created::Created(JobRef::new(shard, new.uid))),
            [what, uid] if what == "exists" => Ok(Created::Exists(JobRef::new(shard, uid))),
            _ => Err(self.odd(doing, &reply)),
        }
    }

    /// Stores a changed Job if it is still at the revision that the change was made from.
    ///
    /// # Errors
    /// [`StoreError`], as every call; after [`StoreError::Unreachable`] it may have been stored.
    pub async fn update(&self, job: &JobRef, update: &Update<'_>) -> Result<Updated, StoreError> {
        let mut call = scripts::UPDATE.prepare_invoke();
        call.key(keys::prefix(job.shard)).arg(&job.uid).arg(update.request);
        call.arg(update.rev.map(|rev| rev.to_string()).unwrap_or_default());
        call.arg(update.rv.map(|rv| rv.to_string()).unwrap_or_default());
        call.arg(update.object).arg(u8::from(update.suspended)).arg(update.lease_ms);
        let doing = "update a Job";
        let reply: Vec<String> = self.call(doing, &call).await?;
        match reply.as_slice() {
            [what] if what == "gone" => Ok(Updated::Gone),
            [what] if what == "conflict" => Ok(Updated::Conflict),
            [what, rev] if what == "ok" => match rev.parse() {
                Ok(rev) => Ok(Updated::Updated { rev }),
                Err(_) => Err(self.odd(doing, &reply)),
            },
            _ => Err(self.odd(doing, &reply)),
        }
    }

    /// Marks a Job as deleted, as Kubernetes' foreground deletion does: no attempt is granted any more.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn delete(&self, job: &JobRef) -> Result<Deleted, StoreError> {
        let mut call = scripts::DELETE.prepare_invoke();
        call.key(keys::prefix(job.shard)).arg(&job.uid);
        let doing = "delete a Job";
        let reply: Vec<String> = self.call(doing, &call).await?;
        match reply.as_slice() {
            [what] if what == "gone" => Ok(Deleted::Gone),
            [what, at] if what == "ok" => match at.parse() {
                Ok(at) => Ok(Deleted::Deleted { at }),
                Err(_) => Err(self.odd(doing, &reply)),
            },
            _ => Err(self.odd(doing, &reply)),
        }
    }

    /// Has an attempt end because a client deleted or evicted its Pod, `SIGKILL` coming `grace_seconds`
    /// after `SIGTERM`.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn delete_pod(
        &self,
        attempt: &AttemptKey,
        grace_seconds: u32,
        evicted: bool,
    ) -> Result<PodDeleted, StoreError> {
        let mut call = scripts::DELETE_POD.prepare_invoke();
        call.key(keys::prefix(attempt.job.shard)).arg(&attempt.job.uid).arg(attempt.index);
        call.arg(attempt.attempt).arg(grace_seconds).arg(u8::from(evicted));
        let doing = "delete a Pod";
        let reply: Vec<String> = self.call(doing, &call).await?;
        match reply.as_slice() {
            [what] if what == "ended" => Ok(PodDeleted::Ended),
            [what] if what == "none" => Ok(PodDeleted::None),
            [what, at] if what == "marked" => match at.parse() {
                Ok(at) => Ok(PodDeleted::Marked { at }),
                Err(_) => Err(self.odd(doing, &reply)),
            },
            _ => Err(self.odd(doing, &reply)),
        }
    }

    /// The uid of the Job of that name.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn find_job(&self, ns: &str, name: &str) -> Result<Option<JobRef>, StoreError> {
        let shard = self.shard_of(ns, name);
        let mut cmd = redis::cmd("HGET");
        cmd.arg(keys::names(shard)).arg(format!("{ns}/{name}"));
        let uid: Option<String> = self.ask("find a Job", &cmd).await?;
        Ok(uid.map(|uid| JobRef::new(shard, uid)))
    }

    /// The Job of that name.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn get_job(&self, ns: &str, name: &str) -> Result<Option<StoredJob>, StoreError> {
        match self.find_job(ns, name).await? {
            Some(job) => self.get_job_by_uid(&job).await,
            None => Ok(None),
        }
    }

    /// The Job of that uid.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn get_job_by_uid(&self, job: &JobRef) -> Result<Option<StoredJob>, StoreError> {
        Ok(self.load_jobs(std::slice::from_ref(job)).await?.pop())
    }

    /// All Jobs' namespaces and names, sorted; of one namespace, if given.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn list_names(
        &self,
        namespace: Option<&str>,
    ) -> Result<Vec<(String, String, JobRef)>, StoreError> {
        let shards = future::try_join_all(self.all_shards().map(|shard| async move {
            let mut cmd = redis::cmd("HGETALL");
            cmd.arg(keys::names(shard));
            let names: Vec<(String, String)> = self.ask("list the Jobs", &cmd).await?;
            Ok::<_, StoreError>((shard, names))
        }))
        .await?;
        let mut list = Vec::new();
        for (shard, names) in shards {
            for (full, uid) in names {
                let Some((ns, name)) = full.split_once('/') else { continue };
                if namespace.is_none_or(|wanted| wanted == ns) {
                    list.push((ns.to_owned(), name.to_owned(), JobRef::new(shard, uid)));
                }
            }
        }
        list.sort_unstable();
        Ok(list)
    }

    /// The Jobs that are still there, in the given order, read in bounded pages.
    ///
    /// # Errors
    /// [`StoreError`], as every call.
    pub async fn load_jobs(&self, jobs: &[JobRef]) -> Result<Vec<StoredJob>, StoreError> {
        let mut loaded = Vec::with_capacity(jobs.len());
        for page in jobs.chunks(PAGE) {
            let mut pipe = redis::pipe();
            for job in page {
                record::add_read(&mut pipe, job);
            }
            let rows: Vec<Fields> = self.pipe("read Jobs", &pipe).await?;
            for (job, fields) in page.iter().zip(rows) {
                loaded.extend(self.stored_job(job, fields)?);
            }
        }
        Ok(loaded)
    }
}
