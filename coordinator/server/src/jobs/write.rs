//! Creating and changing Jobs.

use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use k8s_openapi::api::batch::v1::Job;
use longshore_api::decode::{FieldValidation, decode_job};
use longshore_api::defaults::{prepare_create, set_defaults};
use longshore_api::patch::apply_patch;
use longshore_api::spec::lease;
use longshore_api::update::{prepare_update, validate_update};
use longshore_api::validate::{validate, warnings};
use longshore_api::{ApiError, Resource, Warning};
use longshore_job::Header;
use longshore_store::{Created, JobRef, NewJob, ResourceVersion, StoredJob, Update, Updated};
use serde_json::Value;
use uuid::Uuid;

use super::read::find;
use crate::errors::Failure;
use crate::listing::parse_resource_version;
use crate::negotiate::Params;
use crate::respond::{Writer, answer};
use crate::{App, body};

/// How long a reply waits for the change's place in the change log.
const SETTLE: Duration = Duration::from_secs(1);

/// The first of the waits between two looks at it; doubled each time.
const SETTLE_STEP: Duration = Duration::from_millis(4);

/// How often a change is made again from a newer state, where the client named none.
const TRIES: u32 = 8;

/// How many names are tried for a Job with `generateName`, as in Kubernetes.
const NAMES: u32 = 8;

/// POST on the collection.
pub(crate) async fn create(
    State(app): State<App>,
    Path(namespace): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let write = Write::of(&app, request).await?;
    let value = body::parse(&write.parts.headers, &write.body)?;
    let (sent, mut notes) = decode(value, write.validation)?;
    if sent.metadata.namespace.as_ref().is_some_and(|sent| !sent.is_empty() && *sent != namespace) {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let generated = sent.metadata.name.as_deref().unwrap_or_default().is_empty();
    let before = app.store.log_tail().await?;
    let now = app.store.now().await?;
    for _ in 0..NAMES {
        let uid = Uuid::new_v4().to_string();
        let mut job = sent.clone();
        set_defaults(&mut job);
        prepare_create(&mut job, &namespace, &uid, now);
        let name = job.metadata.name.clone().unwrap_or_default();
        let errors = validate(&job);
        if !errors.is_empty() {
            return Err(Failure::invalid(Resource::Jobs, &name, &errors));
        }
        let found = if write.dry_run {
            app.store.find_job(&namespace, &name).await?
        } else {
            match store_new(&app, &namespace, &name, &uid, &job).await? {
                Created::Created(created) => {
                    notes.extend(warnings(&job));
                    let job = settled(&app, &created, before, job).await?;
                    return Ok(write.answer(StatusCode::CREATED, &job, &notes));
                }
                Created::Exists(other) => Some(other),
            }
        };
        match found {
            None => {
                notes.extend(warnings(&job));
                return Ok(write.answer(StatusCode::CREATED, &job, &notes));
            }
            Some(other) if !generated => return Err(exists(&app, &other, &name).await?),
            Some(_) => {}
        }
    }
    let prefix = sent.metadata.generate_name.unwrap_or_default();
    Err(ApiError::already_exists(Resource::Jobs, &prefix).into())
}

/// PUT on a Job.
pub(crate) async fn replace(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let write = Write::of(&app, request).await?;
    let value = body::parse(&write.parts.headers, &write.body)?;
    let (sent, notes) = decode(value, write.validation)?;
    if sent.metadata.name.as_deref().unwrap_or_default() != name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            sent.metadata.name.unwrap_or_default(),
        )));
    }
    if sent.metadata.namespace.as_ref().is_some_and(|sent| !sent.is_empty() && *sent != namespace) {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    write.change(&app, &namespace, &name, |_| Ok((sent.clone(), notes.clone()))).await
}

/// PATCH on a Job: strategic merge, merge, and JSON patch.
pub(crate) async fn patch(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let write = Write::of(&app, request).await?;
    let kind = body::patch_type(&write.parts.headers)?;
    let names_version = mentions(&write.body, "resourceVersion");
    let change = |current: &Job| {
        let current = serde_json::to_value(current).map_err(ApiError::internal)?;
        let patched = apply_patch(&current, kind, &write.body).map_err(ApiError::from)?;
        let (mut new, notes) = decode(patched, write.validation)?;
        if !names_version {
            // It is that of the Job the patch was laid on, by chance, and no wish of the client.
            new.metadata.resource_version = None;
        }
        Ok((new, notes))
    };
    write.change(&app, &namespace, &name, change).await
}

/// PUT and PATCH on `…/status`.
pub(crate) async fn write_status() -> Failure {
    Failure::not_served("the status of a Job is written by Longshore alone; it can be read only")
}

fn decode(value: Value, mode: FieldValidation) -> Result<(Job, Vec<Warning>), Failure> {
    decode_job(value, mode).map_err(|errors| ApiError::undecodable(Resource::Jobs, &errors).into())
}

fn mentions(body: &[u8], word: &str) -> bool {
    body.windows(word.len()).any(|window| window == word.as_bytes())
}

/// A request that writes: what it asks for and how it is to be answered.
struct Write {
    parts: Parts,
    body: axum::body::Bytes,
    dry_run: bool,
    validation: FieldValidation,
    writer: Writer,
}

impl Write {
    async fn of(app: &App, request: Request) -> Result<Self, Failure> {
        let params = Params::of(request.uri())?;
        let dry_run = params.dry_run()?;
        let validation = body::field_validation(&params)?;
        let writer = Writer::of(request.headers(), &params, app.store.now().await?)?;
        let (parts, body) = request.into_parts();
        let body = body::read(Request::from_parts(parts.clone(), body)).await?;
        Ok(Self { parts, body, dry_run, validation, writer })
    }

    fn answer(&self, code: StatusCode, job: &Job, notes: &[Warning]) -> Response {
        answer(code, &self.writer.object(job, true), notes)
    }

    /// Changes a Job from its newest state; when it changes meanwhile, again from the newer one,
    /// unless the client named the state it means.
    async fn change(
        &self,
        app: &App,
        namespace: &str,
        name: &str,
        change: impl Fn(&Job) -> Result<(Job, Vec<Warning>), Failure>,
    ) -> Result<Response, Failure> {
        for _ in 0..TRIES {
            let before = app.store.log_tail().await?;
            let stored = find(app, namespace, name).await?;
            let current = app.objects.job(&stored).await?;
            let (mut new, mut notes) = change(&current)?;
            let named = precondition(&stored, &current, &new)?;
            set_defaults(&mut new);
            prepare_update(&current, &mut new);
            let mut errors = validate(&new);
            errors.extend(validate_update(&current, &new));
            if !errors.is_empty() {
                return Err(Failure::invalid(Resource::Jobs, name, &errors));
            }
            notes.extend(warnings(&new));
            let object = manifest(&new);
            if self.dry_run || object == manifest(&current) {
                return Ok(self.answer(StatusCode::OK, &new, &notes));
            }
            let update = Update {
                request: &Uuid::new_v4().to_string(),
                rev: Some(stored.rev),
                rv: named,
                object: &serde_json::to_string(&object).map_err(ApiError::internal)?,
                suspended: is_suspended(&new),
                lease_ms: lease(&new, app.defaults.lease),
            };
            match app.store.update(&stored.job, &update).await? {
                Updated::Updated { .. } => {
                    let job = settled(app, &stored.job, before, new).await?;
                    return Ok(self.answer(StatusCode::OK, &job, &notes));
                }
                Updated::Gone => return Err(Failure::not_found(Resource::Jobs, name)),
                Updated::Conflict if named.is_some() => break,
                Updated::Conflict => {}
            }
        }
        Err(ApiError::conflict(Resource::Jobs, name).into())
    }
}

/// The resourceVersion that the client named, if it is that of the stored Job.
///
/// # Errors
/// 409 for another resourceVersion or another uid.
fn precondition(
    stored: &StoredJob,
    current: &Job,
    new: &Job,
) -> Result<Option<ResourceVersion>, Failure> {
    let uid = new.metadata.uid.as_deref().unwrap_or_default();
    if !uid.is_empty() && uid != stored.job.uid {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            stored.job.uid
        );
        return Err(ApiError::conflict_because(Resource::Jobs, &stored.name, &why).into());
    }
    match new.metadata.resource_version.as_deref().unwrap_or_default() {
        "" => Ok(None),
        named if Some(named) == current.metadata.resource_version.as_deref() => {
            Ok(Some(parse_resource_version(named)?))
        }
        named => {
            parse_resource_version(named)?;
            Err(ApiError::conflict(Resource::Jobs, &stored.name).into())
        }
    }
}

/// The part of a Job that is stored as its client wrote it.
fn manifest(job: &Job) -> Job {
    let mut job = job.clone();
    job.status = None;
    job.metadata.resource_version = None;
    job.metadata.managed_fields = None;
    job.metadata.deletion_timestamp = None;
    job.metadata.deletion_grace_period_seconds = None;
    job
}

fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.suspend).unwrap_or(false)
}

async fn store_new(
    app: &App,
    namespace: &str,
    name: &str,
    uid: &str,
    job: &Job,
) -> Result<Created, Failure> {
    let object = serde_json::to_string(&manifest(job)).map_err(ApiError::internal)?;
    let new = NewJob {
        uid,
        namespace,
        name,
        object: &object,
        header: &Header::default(),
        lease_ms: lease(job, app.defaults.lease),
    };
    Ok(app.store.create(&new).await?)
}

/// The answer to a name that is taken.
async fn exists(app: &App, other: &JobRef, name: &str) -> Result<Failure, Failure> {
    let mut error = ApiError::already_exists(Resource::Jobs, name);
    let other = app.store.get_job_by_uid(other).await?;
    if other.is_some_and(|other| other.deleted.is_some()) {
        error.message = format!("object is being deleted: {}", error.message);
    }
    Ok(error.into())
}

/// The Job once its change has a place in the change log, which is then its resourceVersion. If
/// that takes too long, `before`, where the log ended before the write: a client that watches from
/// there sees the change again, which is harmless.
pub(super) async fn settled(
    app: &App,
    job: &JobRef,
    before: ResourceVersion,
    written: Job,
) -> Result<Job, Failure> {
    let ends = tokio::time::Instant::now() + SETTLE;
    let mut step = SETTLE_STEP;
    loop {
        let Some(stored) = app.store.get_job_by_uid(job).await? else {
            // Gone again already: removed by its TTL, or by another client.
            let mut written = written;
            written.metadata.resource_version = Some(before.to_string());
            return Ok(written);
        };
        let late = tokio::time::Instant::now() >= ends;
        if stored.dirty && !late {
            tokio::time::sleep(step).await;
            step = (step * 2).min(Duration::from_millis(50));
            continue;
        }
        let mut job = app.objects.job(&stored).await?;
        if stored.dirty {
            job.metadata.resource_version = Some(stored.rv.max(before).to_string());
        }
        return Ok(job);
    }
}
