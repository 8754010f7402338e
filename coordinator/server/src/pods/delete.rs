//! Deleting and evicting single Pods: the attempt ends, and its Job makes another in its place.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use longshore_api::Resource;
use longshore_store::PodDeleted;
use serde_json::json;

use super::{FoundPod, find};
use crate::App;
use crate::body;
use crate::deletion::{check, options};
use crate::errors::Failure;
use crate::negotiate::Params;
use crate::respond::{Writer, answer};

/// DELETE on a Pod. Answers the Pod, marked as deleted; it is gone when its container has ended.
pub(crate) async fn delete(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let params = Params::of(request.uri())?;
    let writer = Writer::of(request.headers(), &params, app.store.now().await?)?;
    let options = options(&params, request).await?;
    let tail = app.store.log_tail().await?;
    let mut pod = end(&app, &namespace, &name, &options, false).await?;
    pod.metadata.resource_version = Some(tail.to_string());
    Ok(answer(StatusCode::OK, &writer.object(&pod, true), &[]))
}

/// POST on a Pod's `eviction`: a disruption, where a deletion counts by how the container exits.
pub(crate) async fn evict(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let params = Params::of(request.uri())?;
    let headers = request.headers().clone();
    let value = body::parse(&headers, &body::read(request).await?)?;
    let eviction: Eviction = serde_json::from_value(value).map_err(|error| {
        Failure::bad_request(format!("the body is not an Eviction object: {error}"))
    })?;
    if eviction.metadata.name.as_ref().is_some_and(|named| *named != name) {
        return Err(Failure::bad_request("name in URL does not match name in Eviction object"));
    }
    let mut options = eviction.delete_options.unwrap_or_default();
    if params.dry_run()? {
        options.dry_run = Some(vec!["All".to_owned()]);
    }
    end(&app, &namespace, &name, &options, true).await?;
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "code": 201});
    Ok(answer(StatusCode::CREATED, &status, &[]))
}

/// Has a Pod end; gives it as it is then.
///
/// # Errors
/// 404 if there is none, 409 if a precondition doesn't hold.
async fn end(
    app: &App,
    namespace: &str,
    name: &str,
    options: &DeleteOptions,
    evicted: bool,
) -> Result<Pod, Failure> {
    let not_found = || Failure::not_found(Resource::Pods, name);
    let FoundPod { key, pod, .. } = find(app, namespace, name).await?.ok_or_else(not_found)?;
    check(options, &pod)?;
    if options.dry_run.as_ref().is_some_and(|dry_run| !dry_run.is_empty()) {
        return Ok(pod);
    }
    let own = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let grace = options.grace_period_seconds.or(own).unwrap_or(30);
    let grace = u32::try_from(grace.max(0)).unwrap_or(u32::MAX);
    match app.store.delete_pod(&key, grace, evicted).await? {
        PodDeleted::None => Err(not_found()),
        PodDeleted::Ended => Ok(pod),
        // Gone by now, if its worker was quick: then it is shown as it was.
        PodDeleted::Marked { .. } => {
            Ok(find(app, namespace, name).await?.map_or(pod, |found| found.pod))
        }
    }
}
