//! What all requests that write an object have in common.

use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use longshore_api::decode::{FieldValidation, decode};
use longshore_api::patch::{PatchType, apply_patch};
use longshore_api::{ApiError, Warning};
use longshore_store::ResourceVersion;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::errors::Failure;
use crate::listing::parse_resource_version;
use crate::negotiate::Params;
use crate::respond::{Writer, answer};
use crate::served::Served;
use crate::{App, body};

/// How long a reply waits for the change's place in the change log.
pub(crate) const SETTLE: Duration = Duration::from_secs(1);

/// The first of the waits between two looks at it, and the longest; doubled each time.
pub(crate) const SETTLE_STEP: Duration = Duration::from_millis(4);
pub(crate) const SETTLE_STEP_CAP: Duration = Duration::from_millis(50);

/// How often a change is made again from a newer state, where the client named none.
pub(crate) const TRIES: u32 = 8;

/// How many names are tried for an object with `generateName`, as in Kubernetes.
pub(crate) const NAMES: u32 = 8;

/// A request that writes: what it asks for and how it is to be answered.
pub(crate) struct Write {
    parts: Parts,
    body: axum::body::Bytes,
    pub(crate) dry_run: bool,
    validation: FieldValidation,
    writer: Writer,
}

/// What a client sent as a whole.
pub(crate) struct Sent<T> {
    pub(crate) object: T,
    pub(crate) notes: Vec<Warning>,
}

impl Write {
    pub(crate) async fn of(app: &App, request: Request) -> Result<Self, Failure> {
        let params = Params::of(request.uri())?;
        let dry_run = params.dry_run()?;
        let validation = body::field_validation(&params)?;
        let writer = Writer::of(request.headers(), &params, app.store.now().await?)?;
        let (parts, body) = request.into_parts();
        let body = body::read(Request::from_parts(parts.clone(), body)).await?;
        Ok(Self { parts, body, dry_run, validation, writer })
    }

    pub(crate) fn answer<T: Served>(
        &self,
        code: StatusCode,
        object: &T,
        notes: &[Warning],
    ) -> Response {
        answer(code, &self.writer.object(object, true), notes)
    }

    /// The object of the body, for this namespace.
    pub(crate) fn sent<T: Served + DeserializeOwned>(
        &self,
        namespace: &str,
    ) -> Result<Sent<T>, Failure> {
        let value = body::parse(&self.parts.headers, &self.body)?;
        let sent: Sent<T> = self.decode(value)?;
        match sent.object.metadata().namespace.as_deref() {
            None | Some("") => Ok(sent),
            Some(named) if named == namespace => Ok(sent),
            Some(_) => Err(Failure::bad_request(
                "the namespace of the provided object does not match the namespace sent on the \
                 request",
            )),
        }
    }

    /// The object of the body in the place of the one of this name.
    pub(crate) fn replacement<T: Served + DeserializeOwned>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Sent<T>, Failure> {
        let sent: Sent<T> = self.sent(namespace)?;
        match sent.object.metadata().name.as_deref().unwrap_or_default() {
            named if named == name => Ok(sent),
            named => Err(Failure::bad_request(format!(
                "the name of the object ({named}) does not match the name on the URL ({name})",
            ))),
        }
    }

    /// The kind of the patch in the body.
    pub(crate) fn patch_type(&self) -> Result<PatchType, Failure> {
        body::patch_type(&self.parts.headers)
    }

    /// An object with the patch in the body laid on it.
    pub(crate) fn patched<T: Served + DeserializeOwned>(
        &self,
        kind: PatchType,
        current: &T,
    ) -> Result<Sent<T>, Failure> {
        let current = serde_json::to_value(current).map_err(ApiError::internal)?;
        let patched = apply_patch(&current, kind, &self.body).map_err(ApiError::from)?;
        let mut sent: Sent<T> = self.decode(patched)?;
        if !mentions(&self.body, "resourceVersion") {
            // It is that of the object the patch was laid on, by chance, and no wish of the client.
            sent.object.metadata_mut().resource_version = None;
        }
        Ok(sent)
    }

    fn decode<T: Served + DeserializeOwned>(&self, value: Value) -> Result<Sent<T>, Failure> {
        let decoded = decode(T::RESOURCE, value, self.validation);
        let (object, notes) =
            decoded.map_err(|errors| ApiError::undecodable(T::RESOURCE, &errors))?;
        Ok(Sent { object, notes })
    }
}

/// Whether the client leaves the name to the server.
pub(crate) fn is_generated(metadata: &ObjectMeta) -> bool {
    metadata.name.as_deref().unwrap_or_default().is_empty()
}

/// The resourceVersion that the client named, if it is the current object's.
///
/// # Errors
/// 409 for another resourceVersion or another uid.
pub(crate) fn precondition<T: Served>(
    current: &T,
    new: &T,
) -> Result<Option<ResourceVersion>, Failure> {
    let (current, new) = (current.metadata(), new.metadata());
    let name = current.name.as_deref().unwrap_or_default();
    let (uid, stored) = (new.uid.as_deref().unwrap_or_default(), current.uid.as_deref());
    if !uid.is_empty() && Some(uid) != stored {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            stored.unwrap_or_default()
        );
        return Err(ApiError::conflict_because(T::RESOURCE, name, &why).into());
    }
    match new.resource_version.as_deref().unwrap_or_default() {
        "" => Ok(None),
        named if Some(named) == current.resource_version.as_deref() => {
            Ok(Some(parse_resource_version(named)?))
        }
        named => {
            parse_resource_version(named)?;
            Err(ApiError::conflict(T::RESOURCE, name).into())
        }
    }
}

fn mentions(body: &[u8], word: &str) -> bool {
    body.windows(word.len()).any(|window| window == word.as_bytes())
}
