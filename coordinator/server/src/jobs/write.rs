//! Creating and changing Jobs.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use k8s_openapi::api::batch::v1::Job;
use longshore_api::defaults::{prepare_create, set_defaults};
use longshore_api::policy::validate_policy;
use longshore_api::spec::lease;
use longshore_api::update::{prepare_update, validate_update};
use longshore_api::validate::{validate, warnings};
use longshore_api::{ApiError, Resource};
use longshore_job::Header;
use longshore_store::{Created, JobRef, NewJob, ResourceVersion, Update, Updated};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::read::find;
use crate::App;
use crate::errors::Failure;
use crate::writing::{
    NAMES, SETTLE, SETTLE_STEP, SETTLE_STEP_CAP, Sent, TRIES, Write, is_generated, precondition,
};

/// POST on the collection.
pub(crate) async fn create(
    State(app): State<App>,
    Path(namespace): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let write = Write::of(&app, request).await?;
    let Sent { object: sent, mut notes } = write.sent::<Job>(&namespace)?;
    let generated = is_generated(&sent.metadata);
    let before = app.store.log_tail().await?;
    let now = app.store.now().await?;
    for _ in 0..NAMES {
        let uid = Uuid::new_v4().to_string();
        let mut job = sent.clone();
        set_defaults(&mut job);
        prepare_create(&mut job, &namespace, &uid, now);
        let name = job.metadata.name.clone().unwrap_or_default();
        let mut errors = validate(&job);
        errors.extend(validate_policy(&job, &app.policy));
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
    let sent = write.replacement::<Job>(&namespace, &name)?;
    change(&app, &write, &namespace, &name, |_| {
        Ok(Sent { object: sent.object.clone(), notes: sent.notes.clone() })
    })
    .await
}

/// PATCH on a Job: strategic merge, merge, and JSON patch.
pub(crate) async fn patch(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let write = Write::of(&app, request).await?;
    let kind = write.patch_type()?;
    change(&app, &write, &namespace, &name, |current| write.patched(kind, current)).await
}

/// PUT and PATCH on `…/status`.
pub(crate) async fn write_status() -> Failure {
    Failure::not_served("the status of a Job is written by Longshore alone; it can be read only")
}

/// Changes a Job from its newest state; when it changes meanwhile, again from the newer one, unless the
/// client named the state it means.
async fn change(
    app: &App,
    write: &Write,
    namespace: &str,
    name: &str,
    change: impl Fn(&Job) -> Result<Sent<Job>, Failure>,
) -> Result<Response, Failure> {
    for _ in 0..TRIES {
        let before = app.store.log_tail().await?;
        let stored = find(app, namespace, name).await?;
        let current = app.objects.job(&stored).await?;
        let Sent { object: mut new, mut notes } = change(&current)?;
        let named = precondition(&current, &new)?;
        set_defaults(&mut new);
        prepare_update(&current, &mut new);
        let mut errors = validate(&new);
        errors.extend(validate_update(&current, &new));
        if !errors.is_empty() {
            return Err(Failure::invalid(Resource::Jobs, name, &errors));
        }
        notes.extend(warnings(&new));
        let object = manifest(&new);
        if write.dry_run || object == manifest(&current) {
            return Ok(write.answer(StatusCode::OK, &new, &notes));
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
                return Ok(write.answer(StatusCode::OK, &job, &notes));
            }
            Updated::Gone => return Err(Failure::not_found(Resource::Jobs, name)),
            Updated::Conflict if named.is_some() => break,
            Updated::Conflict => {}
        }
    }
    Err(ApiError::conflict(Resource::Jobs, name).into())
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
    let ends = Instant::now() + SETTLE;
    let mut step = SETTLE_STEP;
    loop {
        let Some(stored) = app.store.get_job_by_uid(job).await? else {
            // Gone again already: removed by its TTL, or by another client.
            let mut written = written;
            written.metadata.resource_version = Some(before.to_string());
            return Ok(written);
        };
        let late = Instant::now() >= ends;
        if stored.dirty && !late {
            sleep(step).await;
            step = (step * 2).min(SETTLE_STEP_CAP);
            continue;
        }
        let mut job = app.objects.job(&stored).await?;
        if stored.dirty {
            job.metadata.resource_version = Some(stored.rv.max(before).to_string());
        }
        return Ok(job);
    }
}
