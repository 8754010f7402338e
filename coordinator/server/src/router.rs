//! The paths of the API.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use http::request::Parts;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace as AnyNamespace, Node, Pod, Secret};
use longshore_api::ApiError;
use percent_encoding::percent_decode_str;

use crate::configs::{self, Config};
use crate::errors::Failure;
use crate::{App, discovery, events, jobs, listing, namespaces, nodes, pod_log, pods};

/// How long a request may take until its answer begins. Watches and logs begin at once.
const TIME_LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn router(app: App) -> Router {
    Router::new()
        .merge(discovery_paths())
        .nest("/api/v1", core_paths())
        .nest("/apis/batch/v1", batch_paths())
        .fallback(unknown)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn(bounded))
        .with_state(app)
}

fn discovery_paths() -> Router<App> {
    Router::new()
        .route("/api", get(discovery::core_versions))
        .route("/api/v1", get(discovery::core_resources))
        .route("/apis", get(discovery::groups))
        .route("/apis/{group}", get(discovery::group))
        .route("/apis/{group}/v1", get(discovery::group_resources))
        .route("/version", get(discovery::version))
        .route("/openapi/v3", get(discovery::openapi_index))
        .route("/openapi/v3/{*path}", get(discovery::openapi_document))
        .route("/healthz", get(discovery::alive))
        .route("/livez", get(discovery::alive))
        .route("/readyz", get(discovery::ready))
}

fn core_paths() -> Router<App> {
    Router::new()
        .route("/namespaces", get(listing::list::<AnyNamespace>))
        .route("/namespaces/{namespace}", get(namespaces::get))
        .route("/nodes", get(listing::list::<Node>))
        .route(
            "/nodes/{name}",
            get(nodes::get).put(nodes::replace).patch(nodes::patch).delete(nodes::delete),
        )
        .route("/pods", get(listing::list::<Pod>))
        .route("/namespaces/{namespace}/pods", get(listing::list::<Pod>))
        .route(
            "/namespaces/{namespace}/pods/{name}",
            get(pods::get).delete(pods::delete).put(pods::change).patch(pods::change),
        )
        .route("/namespaces/{namespace}/pods/{name}/log", get(pod_log::get))
        .route("/namespaces/{namespace}/pods/{name}/eviction", post(pods::evict))
        .route("/namespaces/{namespace}/pods/{name}/{subresource}", axum::routing::any(pods::other))
        .route("/events", get(listing::list::<Event>))
        .route("/namespaces/{namespace}/events", get(listing::list::<Event>))
        .route("/namespaces/{namespace}/events/{name}", get(events::get))
        .merge(config_paths::<ConfigMap>())
        .merge(config_paths::<Secret>())
}

fn config_paths<T: Config>() -> Router<App> {
    let plural = T::RESOURCE.plural();
    let one = format!("/namespaces/{{namespace}}/{plural}/{{name}}");
    Router::new()
        .route(&format!("/{plural}"), get(listing::list::<T>))
        .route(
            &format!("/namespaces/{{namespace}}/{plural}"),
            get(listing::list::<T>)
                .post(configs::create::<T>)
                .delete(configs::delete_collection::<T>),
        )
        .route(
            &one,
            get(configs::get::<T>)
                .put(configs::replace::<T>)
                .patch(configs::patch::<T>)
                .delete(configs::delete::<T>),
        )
}

fn batch_paths() -> Router<App> {
    Router::new()
        .route("/jobs", get(listing::list::<Job>))
        .route(
            "/namespaces/{namespace}/jobs",
            get(listing::list::<Job>).post(jobs::create).delete(jobs::delete_collection),
        )
        .route(
            "/namespaces/{namespace}/jobs/{name}",
            get(jobs::get).put(jobs::replace).patch(jobs::patch).delete(jobs::delete),
        )
        .route(
            "/namespaces/{namespace}/jobs/{name}/status",
            put(jobs::write_status).patch(jobs::write_status).get(jobs::get),
        )
}

/// The namespace of a collection's path; `None` for all namespaces.
pub(crate) struct Namespace(pub(crate) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Namespace {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        Ok(Self(params.ok().and_then(|params| {
            let found = params.iter().find(|(key, _)| *key == "namespace");
            found.map(|(_, value)| value.to_owned())
        })))
    }
}

/// A path that leads to nothing.
async fn unknown() -> Failure {
    ApiError::no_such_path().into()
}

/// A path that is served, but not for this method.
async fn no_such_method() -> Failure {
    ApiError::method_not_allowed().into()
}

/// Bounds the time of a request, and answers paths that are not text.
async fn bounded(request: Request, next: Next) -> Response {
    if percent_decode_str(request.uri().path()).decode_utf8().is_err() {
        return Failure::bad_request("the path is not valid UTF-8").into_response();
    }
    match tokio::time::timeout(TIME_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::timeout().into_response(),
    }
}
