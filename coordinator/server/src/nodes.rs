//! Nodes: `/api/v1/nodes`, the workers.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use futures::StreamExt;
use http::{HeaderMap, StatusCode};
use k8s_openapi::api::core::v1::{Node, NodeSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use longshore_api::patch::apply_patch;
use longshore_api::{ApiError, FieldError, Resource};
use longshore_store::{NodeRecord, ResourceVersion};
use serde_json::Value;

use crate::errors::Failure;
use crate::listing::{Listed, Source};
use crate::negotiate::Params;
use crate::respond::{Writer, answer};
use crate::served::Selection;
use crate::{App, body, deletion};

pub(crate) async fn get(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let params = Params::of(request.uri())?;
    let now = app.store.now().await?;
    let writer = Writer::of(request.headers(), &params, now)?;
    let (record, tail) = find(&app, &name).await?;
    let node = app.objects.node(&record, now, tail);
    Ok(answer(StatusCode::OK, &writer.object(&node, true), &[]))
}

/// PUT on a Node: `spec.unschedulable` alone can be changed.
pub(crate) async fn replace(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    change(&app, &name, request, |headers, sent, _| body::parse(headers, sent)).await
}

/// PATCH on a Node: `spec.unschedulable` alone can be changed.
pub(crate) async fn patch(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    change(&app, &name, request, |headers, sent, current| {
        let kind = body::patch_type(headers)?;
        Ok(apply_patch(current, kind, sent).map_err(ApiError::from)?)
    })
    .await
}

/// DELETE on a Node: the worker is forgotten. One that lives is back with its next heartbeat.
pub(crate) async fn delete(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let params = Params::of(request.uri())?;
    let now = app.store.now().await?;
    let writer = Writer::of(request.headers(), &params, now)?;
    let options = deletion::options(&params, request).await?;
    let (record, tail) = find(&app, &name).await?;
    let node = app.objects.node(&record, now, tail);
    deletion::check(&options, &node)?;
    if options.dry_run.is_none() && !app.store.remove_node(&name).await? {
        return Err(not_found(&name));
    }
    Ok(answer(StatusCode::OK, &writer.object(&node, true), &[]))
}

async fn change(
    app: &App,
    name: &str,
    request: Request,
    make: impl Fn(&HeaderMap, &[u8], &Value) -> Result<Value, Failure>,
) -> Result<Response, Failure> {
    let params = Params::of(request.uri())?;
    let dry_run = params.dry_run()?;
    let now = app.store.now().await?;
    let writer = Writer::of(request.headers(), &params, now)?;
    let headers = request.headers().clone();
    let sent = body::read(request).await?;
    let (record, tail) = find(app, name).await?;
    let current = app.objects.node(&record, now, tail);
    let current_json = serde_json::to_value(&current).map_err(ApiError::internal)?;
    // As its client was shown it: JSON has times to the second.
    let current: Node = serde_json::from_value(current_json.clone()).map_err(ApiError::internal)?;
    let new: Node = serde_json::from_value(make(&headers, &sent, &current_json)?)
        .map_err(|error| Failure::bad_request(format!("the body is not a Node: {error}")))?;
    let unschedulable = new.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default();
    if fixed(&new) != fixed(&current) {
        let error = FieldError::forbidden("spec", "only spec.unschedulable can be changed");
        return Err(Failure::invalid(Resource::Nodes, name, &[error]));
    }
    if !dry_run && !app.store.cordon(name, unschedulable).await? {
        return Err(not_found(name));
    }
    let record = NodeRecord { unschedulable, ..record };
    let node = app.objects.node(&record, now, tail);
    Ok(answer(StatusCode::OK, &writer.object(&node, true), &[]))
}

/// A worker's record, and a position in the log that is no later.
async fn find(app: &App, name: &str) -> Result<(NodeRecord, ResourceVersion), Failure> {
    let tail = app.store.log_tail().await?;
    let record = app.store.node(name).await?.ok_or_else(|| not_found(name))?;
    Ok((record, tail))
}

fn not_found(name: &str) -> Failure {
    Failure::not_found(Resource::Nodes, name)
}

/// What a client can't change of a Node; what changes by itself is left out.
fn fixed(node: &Node) -> (ObjectMeta, NodeSpec) {
    let mut metadata = node.metadata.clone();
    metadata.resource_version = None;
    metadata.managed_fields = None;
    let mut spec = node.spec.clone().unwrap_or_default();
    spec.unschedulable = None;
    // The taint that says the same.
    spec.taints = None;
    (metadata, spec)
}

/// Nodes in the order of their names.
impl Listed for Node {
    fn source(app: &App, _selection: &Selection, after: Option<String>) -> Source<Self> {
        let app = app.clone();
        async_stream::try_stream! {
            let tail = app.store.log_tail().await?;
            let now = app.store.now().await?;
            for record in app.store.nodes().await? {
                if after.as_ref().is_none_or(|after| record.name > *after) {
                    let node = app.objects.node(&record, now, tail);
                    yield (record.name, node);
                }
            }
        }
        .boxed()
    }
}
