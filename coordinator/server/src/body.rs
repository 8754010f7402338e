//! Request bodies: JSON, YAML or Kubernetes' protobuf, bounded.

use axum::body::Bytes;
use axum::extract::Request;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use longshore_api::decode::FieldValidation;
use longshore_api::manifest::parse_yaml;
use longshore_api::patch::PatchType;
use longshore_api::{ApiError, Resource, protobuf};
use serde_json::Value;

use crate::errors::Failure;
use crate::negotiate::Params;

/// The largest body that is taken, as in Kubernetes.
const LIMIT: usize = 3 * 1024 * 1024;

/// How much of a larger body is read and dropped, so that the client gets to read the answer rather
/// than a broken connection.
const DRAINED: usize = 16 * 1024 * 1024;

/// Reads the whole body.
///
/// # Errors
/// 413 above 3 MiB, 400 if the client breaks off.
pub(crate) async fn read(request: Request) -> Result<Bytes, Failure> {
    let mut body = request.into_body();
    let mut kept = Vec::new();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| Failure::bad_request(format!("the body can't be read: {error}")))?;
        let data = frame.into_data().unwrap_or_default();
        size += data.len();
        if size <= LIMIT {
            kept.extend_from_slice(&data);
        } else if size > DRAINED {
            break;
        }
    }
    match size > LIMIT {
        true => Err(ApiError::too_large(LIMIT).into()),
        false => Ok(kept.into()),
    }
}

/// The one object in a body.
///
/// # Errors
/// 415 for any other content type, 400 if the body isn't what its type says.
pub(crate) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Value, Failure> {
    match content_type(headers) {
        "" | "application/json" => serde_json::from_slice(body).map_err(|error| {
            Failure::bad_request(format!("the body of the request is not valid JSON: {error}"))
        }),
        "application/yaml" | "application/x-yaml" | "text/yaml" => yaml(body),
        "application/vnd.kubernetes.protobuf" => protobuf::to_json(body).ok_or_else(|| {
            let mut error =
                ApiError::unsupported_media_type(&["application/json", "application/yaml"]);
            error.message.push_str(
                ": protobuf is not taken for this; write a manifest and use \
                 `kubectl create -f` (`kubectl create job … --dry-run=client -o yaml` prints one)",
            );
            error.into()
        }),
        _ => {
            Err(ApiError::unsupported_media_type(&["application/json", "application/yaml"]).into())
        }
    }
}

/// The media type of the body, without parameters.
fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// The kind of a patch, by its content type.
///
/// # Errors
/// 415 for a type that is no patch.
pub(crate) fn patch_type(headers: &HeaderMap) -> Result<PatchType, Failure> {
    PatchType::from_content_type(content_type(headers)).ok_or_else(|| {
        ApiError::unsupported_media_type(&[
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
        ])
        .into()
    })
}

/// What to do about unknown fields.
///
/// # Errors
/// 422 for a word that Kubernetes doesn't know, as there.
pub(crate) fn field_validation(params: &Params) -> Result<FieldValidation, Failure> {
    let word = params.text("fieldValidation");
    FieldValidation::parse(word).ok_or_else(|| {
        let supported = ["Ignore", "Warn", "Strict"];
        let error = longshore_api::FieldError::not_supported(
            "fieldValidation",
            word.unwrap_or_default(),
            &supported,
        );
        Failure::invalid(Resource::Jobs, "", &[error])
    })
}

fn yaml(body: &[u8]) -> Result<Value, Failure> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Failure::bad_request("the body of the request is not valid UTF-8"))?;
    let mut documents = parse_yaml(text).map_err(|error| {
        Failure::bad_request(format!("the body of the request is not valid YAML: {error}"))
    })?;
    match (documents.pop(), documents.is_empty()) {
        (Some(document), true) => Ok(document),
        (None, _) => Err(Failure::bad_request("the body of the request is empty")),
        (Some(_), false) => {
            Err(Failure::bad_request("the body of the request holds more than one object"))
        }
    }
}
