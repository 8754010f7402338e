//! What is served, for clients that ask: discovery, the OpenAPI documents, the version, and health.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use longshore_api::{ApiError, discovery, openapi};
use serde_json::Value;

use crate::App;
use crate::errors::Failure;
use crate::negotiate;

/// GET `/api`: the core group's versions.
pub(crate) async fn core_versions(headers: HeaderMap) -> Response {
    let form = negotiate::discovery(&headers);
    typed(form.content_type(), discovery::api(form).to_string())
}

/// GET `/apis`: the other groups.
pub(crate) async fn groups(headers: HeaderMap) -> Response {
    let form = negotiate::discovery(&headers);
    typed(form.content_type(), discovery::apis(form).to_string())
}

/// GET `/apis/GROUP`.
pub(crate) async fn group(Path(name): Path<String>) -> Result<Json<Value>, Failure> {
    Ok(Json(discovery::group(&name).ok_or_else(ApiError::no_such_path)?))
}

/// GET `/api/v1`.
pub(crate) async fn core_resources() -> Result<Json<Value>, Failure> {
    resources("")
}

/// GET `/apis/GROUP/v1`.
pub(crate) async fn group_resources(Path(name): Path<String>) -> Result<Json<Value>, Failure> {
    resources(&name)
}

/// GET `/version`.
pub(crate) async fn version() -> Json<Value> {
    Json(discovery::version(env!("CARGO_PKG_VERSION")))
}

/// GET `/openapi/v3`.
pub(crate) async fn openapi_index() -> Json<&'static Value> {
    Json(openapi::index())
}

/// GET `/openapi/v3/…`, as the index names them.
pub(crate) async fn openapi_document(Path(path): Path<String>) -> Result<Response, Failure> {
    let document = openapi::document(&path).ok_or_else(ApiError::no_such_path)?;
    Ok(typed("application/json", document.to_owned()))
}

/// GET `/healthz` and `/livez`: the server runs.
pub(crate) async fn alive() -> &'static str {
    "ok"
}

/// GET `/readyz`: the server can answer requests, as Redis answers it.
pub(crate) async fn ready(State(app): State<App>) -> Result<Response, Failure> {
    app.store.now().await?;
    Ok((StatusCode::OK, "ok").into_response())
}

fn resources(group: &str) -> Result<Json<Value>, Failure> {
    Ok(Json(discovery::resources(group).ok_or_else(ApiError::no_such_path)?))
}

fn typed(content_type: &'static str, body: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
}
