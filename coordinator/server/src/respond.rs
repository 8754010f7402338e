//! Objects and lists in the form that the client asked for.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use longshore_api::Warning;
use longshore_api::accept::Representation;
use longshore_api::field::MOST_TOLD;
use longshore_api::table::{IncludeObject, TableOptions, table};
use longshore_job::Millis;
use serde_json::{Value, json};

use crate::errors::Failure;
use crate::negotiate::{self, Params};
use crate::served::Served;

/// How to write objects for one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer {
    form: Representation,
    include: IncludeObject,
    /// For the ages in tables, by Redis' clock.
    now: Millis,
}

/// What a list says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListMeta {
    pub(crate) resource_version: String,
    pub(crate) continue_token: Option<String>,
}

impl Writer {
    /// # Errors
    /// 406 if no form in `Accept` can be served, 400 for an unknown `includeObject`.
    pub(crate) fn of(headers: &HeaderMap, params: &Params, now: Millis) -> Result<Self, Failure> {
        let include = IncludeObject::parse(params.text("includeObject")).ok_or_else(|| {
            Failure::bad_request("includeObject: must be one of None, Metadata, Object")
        })?;
        Ok(Self { form: negotiate::representation(headers)?, include, now })
    }

    /// Sets the time that ages are told by: a watch lives long.
    pub(crate) fn at(self, now: Millis) -> Self {
        Self { now, ..self }
    }

    /// One object. In a watch only the first table has `columns`.
    pub(crate) fn object<T: Served>(&self, object: &T, columns: bool) -> Value {
        match self.form {
            Representation::Json => json(object),
            Representation::Metadata { version } => partial(object, version),
            Representation::Table { version } => {
                let meta = ListMeta {
                    resource_version: object
                        .metadata()
                        .resource_version
                        .clone()
                        .unwrap_or_default(),
                    continue_token: None,
                };
                self.table(std::slice::from_ref(object), version, columns, &meta)
            }
        }
    }

    pub(crate) fn list<T: Served>(&self, objects: &[T], meta: &ListMeta) -> Value {
        match self.form {
            Representation::Table { version } => self.table(objects, version, true, meta),
            Representation::Json => json!({
                "kind": T::RESOURCE.list_kind(),
                "apiVersion": T::RESOURCE.api_version(),
                "metadata": list_metadata(meta),
                "items": objects.iter().map(json).collect::<Vec<_>>(),
            }),
            Representation::Metadata { version } => json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": format!("meta.k8s.io/{version}"),
                "metadata": list_metadata(meta),
                "items": objects.iter().map(|object| partial(object, version)).collect::<Vec<_>>(),
            }),
        }
    }

    /// Whether objects are written as they are.
    pub(crate) fn is_plain(&self) -> bool {
        self.form == Representation::Json
    }

    /// The field of a list that holds its objects.
    pub(crate) fn items_field(&self) -> &'static str {
        match self.form {
            Representation::Table { .. } => "rows",
            Representation::Json | Representation::Metadata { .. } => "items",
        }
    }

    /// The object that a BOOKMARK carries: nothing but its kind and the position.
    pub(crate) fn bookmark<T: Served>(&self, resource_version: &str, initial_end: bool) -> Value {
        let (kind, api_version) = match self.form {
            Representation::Json => (T::RESOURCE.kind(), T::RESOURCE.api_version().to_owned()),
            Representation::Table { version } => ("Table", format!("meta.k8s.io/{version}")),
            Representation::Metadata { version } => {
                ("PartialObjectMetadata", format!("meta.k8s.io/{version}"))
            }
        };
        let mut metadata = json!({"resourceVersion": resource_version, "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let mut object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        if matches!(self.form, Representation::Table { .. }) {
            object["metadata"] = json!({"resourceVersion": resource_version});
            object["columnDefinitions"] = json!([]);
            let bookmark = json!({
                "kind": "PartialObjectMetadata",
                "apiVersion": object["apiVersion"].clone(),
                "metadata": metadata,
            });
            object["rows"] = json!([{"cells": [], "object": bookmark}]);
        }
        object
    }

    fn table<T: Served>(
        &self,
        objects: &[T],
        version: &'static str,
        columns: bool,
        meta: &ListMeta,
    ) -> Value {
        let options = TableOptions {
            now: self.now,
            include: self.include,
            version,
            columns,
            resource_version: meta.resource_version.clone(),
            continue_token: meta.continue_token.clone(),
            remaining: None,
        };
        table(objects, &options)
    }
}

/// A JSON answer with the given code and `Warning` headers, the first of very many.
pub(crate) fn answer(code: StatusCode, body: &Value, warnings: &[Warning]) -> Response {
    let mut response = (code, Json(body)).into_response();
    for warning in warnings.iter().take(MOST_TOLD) {
        if let Ok(value) = HeaderValue::from_str(&warning.header()) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

fn json<T: serde::Serialize>(object: &T) -> Value {
    // The types of the API have string keys and finite numbers only, so this can't fail.
    serde_json::to_value(object).unwrap_or_default()
}

fn partial<T: Served>(object: &T, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": json(object.metadata()),
    })
}

fn list_metadata(meta: &ListMeta) -> Value {
    let mut metadata = json!({"resourceVersion": meta.resource_version});
    if let Some(token) = &meta.continue_token {
        metadata["continue"] = Value::from(token.as_str());
    }
    metadata
}
