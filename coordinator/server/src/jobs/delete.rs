//! Deleting Jobs.
//!
//! A Job's attempts are part of it and end with it, so every deletion is like Kubernetes'
//! foreground deletion: the Job stays, with a deletionTimestamp, until its last container is gone.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use longshore_api::{ApiError, FieldError, Resource};
use longshore_store::{Deleted, JobRef};

use super::read::find;
use super::write::settled;
use crate::errors::Failure;
use crate::listing::{self, parse_resource_version};
use crate::negotiate::Params;
use crate::respond::{ListMeta, Writer, answer};
use crate::served::Selection;
use crate::{App, body};

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
    check(&options, &job, &name)?;
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
        let name = job.metadata.name.as_deref().unwrap_or_default();
        check(&options, job, name)?;
        if options.dry_run.is_none() {
            let uid = job.metadata.uid.as_deref().unwrap_or_default();
            let shard = app.store.shard_of(&namespace, name);
            app.store.delete(&JobRef::new(shard, uid)).await?;
        }
    }
    let meta = ListMeta { resource_version: tail.to_string(), continue_token: None };
    Ok(answer(StatusCode::OK, &writer.list(&jobs, &meta), &[]))
}

/// The options of the body or else of the query, checked.
async fn options(params: &Params, request: Request) -> Result<DeleteOptions, Failure> {
    let headers = request.headers().clone();
    let body = body::read(request).await?;
    let mut options: DeleteOptions = if body.is_empty() {
        DeleteOptions::default()
    } else {
        let value = body::parse(&headers, &body)?;
        serde_json::from_value(value).map_err(|error| {
            Failure::bad_request(format!("the body is not a DeleteOptions object: {error}"))
        })?
    };
    if let Some(policy) = params.text("propagationPolicy") {
        options.propagation_policy.get_or_insert_with(|| policy.to_owned());
    }
    if params.dry_run()? {
        options.dry_run.get_or_insert_with(|| vec!["All".to_owned()]);
    }
    options.dry_run = options.dry_run.filter(|dry_run| !dry_run.is_empty());
    let orphan = "a Job's Pods are part of it and can't outlive it";
    let mut errors = Vec::new();
    match options.propagation_policy.as_deref() {
        None | Some("" | "Background" | "Foreground") => {}
        Some("Orphan") => errors.push(FieldError::forbidden("propagationPolicy", orphan)),
        Some(other) => errors.push(FieldError::not_supported(
            "propagationPolicy",
            other,
            &["Background", "Foreground"],
        )),
    }
    if options.orphan_dependents == Some(true) {
        errors.push(FieldError::forbidden("orphanDependents", orphan));
    }
    if options.dry_run.iter().flatten().any(|word| word != "All") {
        errors.push(FieldError::not_supported("dryRun", "", &["All"]));
    }
    match errors.as_slice() {
        [] => Ok(options),
        errors => {
            let mut error = ApiError::invalid(Resource::Jobs, "", errors);
            error.message = format!(
                "DeleteOptions.meta.k8s.io \"\" is invalid: {}",
                longshore_api::field::aggregate(errors)
            );
            Err(error.into())
        }
    }
}

/// Holds the preconditions against the Job.
fn check(options: &DeleteOptions, job: &Job, name: &str) -> Result<(), Failure> {
    let Some(wanted) = &options.preconditions else { return Ok(()) };
    let conflict = |what: &str, wanted: &str, found: &Option<String>| {
        let found = found.as_deref().unwrap_or_default();
        let why = format!(
            "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
        );
        Failure::from(ApiError::conflict_because(Resource::Jobs, name, &why))
    };
    if let Some(uid) = wanted.uid.as_ref().filter(|uid| job.metadata.uid.as_ref() != Some(*uid)) {
        return Err(conflict("UID", uid, &job.metadata.uid));
    }
    if let Some(rv) = &wanted.resource_version {
        parse_resource_version(rv)?;
        if job.metadata.resource_version.as_ref() != Some(rv) {
            return Err(conflict("ResourceVersion", rv, &job.metadata.resource_version));
        }
    }
    Ok(())
}
