//! Failed requests: every one is answered with a Kubernetes `Status`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use longshore_api::selector::SelectorError;
use longshore_api::{ApiError, FieldError, Resource};
use longshore_store::{SealError, StoreError};

/// A request that failed, on its way to the client.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) ApiError);

impl Failure {
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self(ApiError::bad_request(message))
    }

    pub(crate) fn not_found(resource: Resource, name: &str) -> Self {
        Self(ApiError::not_found(resource, name))
    }

    /// 422 with a cause for every error of the object.
    pub(crate) fn invalid(resource: Resource, name: &str, errors: &[FieldError]) -> Self {
        Self(ApiError::invalid(resource, name, errors))
    }

    /// 405 that says what is not served.
    pub(crate) fn not_served(message: impl Into<String>) -> Self {
        let mut error = ApiError::method_not_allowed();
        error.message = message.into();
        Self(error)
    }

    /// 410: the client must list again.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self(ApiError::expired(message))
    }

    /// 504: nobody answered within the time that a request may take.
    pub(crate) fn timeout() -> Self {
        Self(ApiError {
            code: 504,
            reason: "Timeout",
            message: "the server was unable to return a response in the time allotted".to_owned(),
            details: None,
        })
    }

    /// The `Status` object, as a watch carries it in an ERROR event.
    pub(crate) fn status(&self) -> serde_json::Value {
        serde_json::to_value(self.0.status()).unwrap_or_default()
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<SelectorError> for Failure {
    fn from(error: SelectorError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<StoreError> for Failure {
    /// 503 while Redis is away, naming it and where it is; 403 for Secrets where there is no key for
    /// them; 500 for records that can't be read.
    fn from(error: StoreError) -> Self {
        let text = describe(&error);
        match error {
            StoreError::Unreachable { .. }
            | StoreError::Refused { .. }
            | StoreError::NoCluster { .. } => Self(ApiError::unavailable(text)),
            StoreError::Seal { source: SealError::NoKey, .. } => Self(ApiError::forbidden(text)),
            _ => {
                tracing::error!("{text}");
                Self(ApiError::internal(text))
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.0.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (code, Json(self.0.status())).into_response();
        if let Some(seconds) = self.0.retry_after_seconds() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// An error and its causes in one line, without saying anything twice.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
