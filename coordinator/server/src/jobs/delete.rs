//! Deleting Jobs.
//!
//! A Job's attempts are part of it and end with it, so every deletion is like Kubernetes'
//! foreground deletion: the Job stays, with a deletionTimestamp, until its last container is gone.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use k8s_openapi::api::batch::v1::Job;
use longshore_api::Resource;
use longshore_store::{Deleted, JobRef};

use super::read::find;
use super::write::settled;
use crate::App;
use crate::deletion::{check, options};
use crate::errors::Failure;
use crate::listing;
use crate::negotiate::Params;
use crate::respond::{ListMeta, Writer, answer};
use crate::served::Selection;

/// DELETE on a Job. Answers the Job, marked as deleted, as Kubernetes does for an object that is
/// not gone at once.
pub(crate) async fn delete(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let params = Params::of(request.uri())?;
    let writer = Writer::of(request.headers(), &params, app.store.now().await?)?;
    let options = options(&params, request).await?;
    let before = app.store.log_tail().await?;
    let stored = find(&app, &namespace, &name).await?;
    let job = app.objects.job(&stored).await?;
    check(&options, &job)?;
    if options.dry_run.is_some() {
        return Ok(answer(StatusCode::OK, &writer.object(&job, true), &[]));
    }
    let job = match app.store.delete(&stored.job).await? {
        Deleted::Deleted { .. } => settled(&app, &stored.job, before, job).await?,
        // It was there a moment ago, so it is gone because of this request, whose first reply was lost,
        // or of another at the same time: what was asked for is done.
        Deleted::Gone => job,
    };
    Ok(answer(StatusCode::OK, &writer.object(&job, true), &[]))
}

/// DELETE on the collection: all that the selectors select. Answers the list of them.
pub(crate) async fn delete_collection(
    State(app): State<App>,
    Path(namespace): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let params = Params::of(request.uri())?;
    let writer = Writer::of(request.headers(), &params, app.store.now().await?)?;
    let selection = Selection::of(Resource::Jobs, Some(namespace.clone()), &params)?;
    let options = options(&params, request).await?;
    let tail = app.store.log_tail().await?;
    let jobs: Vec<Job> = listing::all(&app, &selection).await?;
    for job in &jobs {
        check(&options, job)?;
        if options.dry_run.is_none() {
            let name = job.metadata.name.as_deref().unwrap_or_default();
            let uid = job.metadata.uid.as_deref().unwrap_or_default();
            let shard = app.store.shard_of(&namespace, name);
            app.store.delete(&JobRef::new(shard, uid)).await?;
        }
    }
    let meta = ListMeta { resource_version: tail.to_string(), continue_token: None };
    Ok(answer(StatusCode::OK, &writer.list(&jobs, &meta), &[]))
}
