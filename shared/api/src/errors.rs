//! Failed requests as Kubernetes' `Status` objects, in Kubernetes' wording.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Status, StatusCause, StatusDetails};

use crate::field::{FieldError, MOST_TOLD, aggregate};
use crate::resource::Resource;

/// A request that failed: what a client gets in place of an object.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status code.
    pub code: u16,
    /// Kubernetes' reason, such as `NotFound`; clients decide by it.
    pub reason: &'static str,
    pub message: String,
    pub details: Option<Box<StatusDetails>>,
}

impl ApiError {
    /// `jobs.batch "x" not found`
    pub fn not_found(resource: Resource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} {name:?} not found", resource.qualified()))
            .about(resource, name)
    }

    /// A path that leads to nothing.
    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// `jobs.batch "x" already exists`
    pub fn already_exists(resource: Resource, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} {name:?} already exists", resource.qualified()))
            .about(resource, name)
    }

    /// The object changed since the client read it.
    pub fn conflict(resource: Resource, name: &str) -> Self {
        Self::conflict_because(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and \
             try again",
        )
    }

    /// A precondition that doesn't hold, such as another uid than the one asked for.
    pub fn conflict_because(resource: Resource, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.qualified());
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// `Job.batch "x" is invalid: …` with a cause for every error, up to [`MOST_TOLD`].
    pub fn invalid(resource: Resource, name: &str, errors: &[FieldError]) -> Self {
        let message =
            format!("{} {name:?} is invalid: {}", resource.qualified_kind(), aggregate(errors));
        let mut error = Self::new(422, "Invalid", message);
        error.details = Some(Box::new(StatusDetails {
            name: Some(name.to_owned()),
            group: group(resource),
            kind: Some(resource.kind().to_owned()),
            causes: Some(causes(errors)),
            ..StatusDetails::default()
        }));
        error
    }

    /// A body that can't be decoded as an object of this kind, with a cause for every error.
    pub fn undecodable(resource: Resource, errors: &[FieldError]) -> Self {
        let kind = resource.kind();
        let strict = errors.iter().all(FieldError::is_strictness);
        let what = if strict {
            let told = errors.iter().take(MOST_TOLD);
            let texts: Vec<String> = told.map(FieldError::to_string).collect();
            format!("strict decoding error: {}", texts.join(", "))
        } else {
            aggregate(errors)
        };
        let message = format!(
            "{kind} in version {:?} cannot be handled as a {kind}: {what}",
            resource.version()
        );
        let mut error = Self::new(400, "BadRequest", message);
        error.details = Some(Box::new(StatusDetails {
            group: group(resource),
            kind: Some(kind.to_owned()),
            causes: Some(causes(errors)),
            ..StatusDetails::default()
        }));
        error
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// `supported` are the content types that the server takes.
    pub fn unsupported_media_type(supported: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            supported.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// None of the types in `Accept` can be served.
    pub fn not_acceptable(supported: &[&str]) -> Self {
        let message =
            format!("only the following media types are accepted: {}", supported.join(", "));
        Self::new(406, "NotAcceptable", message)
    }

    pub fn method_not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "Forbidden", message)
    }

    /// A resourceVersion (or continue token) older than the change log reaches.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// The body is larger than the server takes.
    pub fn too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        Self::new(413, "RequestEntityTooLarge", message)
    }

    /// The client is to try again after `retry_after` seconds.
    pub fn too_many(message: impl Into<String>, retry_after: u32) -> Self {
        Self::new(429, "TooManyRequests", message).retry_after(retry_after)
    }

    /// A server behind the API can't be reached; the client is to try again in a moment.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message).retry_after(1)
    }

    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
    }

    /// The seconds after which the client may try again, for the header `Retry-After`.
    pub fn retry_after_seconds(&self) -> Option<i32> {
        self.details.as_ref()?.retry_after_seconds
    }

    /// The Kubernetes object to answer with.
    pub fn status(&self) -> Status {
        Status {
            status: Some("Failure".into()),
            message: Some(self.message.clone()),
            reason: Some(self.reason.into()),
            details: self.details.as_deref().cloned(),
            code: Some(i32::from(self.code)),
            ..Status::default()
        }
    }

    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    fn about(mut self, resource: Resource, name: &str) -> Self {
        self.details = Some(Box::new(StatusDetails {
            name: Some(name.to_owned()),
            group: group(resource),
            kind: Some(resource.plural().to_owned()),
            ..StatusDetails::default()
        }));
        self
    }

    fn retry_after(mut self, seconds: u32) -> Self {
        self.details = Some(Box::new(StatusDetails {
            retry_after_seconds: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
            ..StatusDetails::default()
        }));
        self
    }
}

/// The answer to a deletion, which names what was deleted.
pub fn deleted(resource: Resource, name: &str, uid: &str) -> Status {
    Status {
        status: Some("Success".into()),
        details: Some(StatusDetails {
            name: Some(name.to_owned()),
            group: group(resource),
            kind: Some(resource.plural().to_owned()),
            uid: Some(uid.to_owned()),
            ..StatusDetails::default()
        }),
        ..Status::default()
    }
}

fn group(resource: Resource) -> Option<String> {
    Some(resource.group()).filter(|g| !g.is_empty()).map(str::to_owned)
}

fn causes(errors: &[FieldError]) -> Vec<StatusCause> {
    errors
        .iter()
        .take(MOST_TOLD)
        .map(|error| StatusCause {
            reason: Some(error.kind.reason().to_owned()),
            message: Some(error.body()),
            field: Some(error.path.clone()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_job_is_named_with_its_group() {
        let status = ApiError::not_found(Resource::Jobs, "x").status();
        assert_eq!(status.message.as_deref(), Some("jobs.batch \"x\" not found"));
        assert_eq!(status.code, Some(404));
        let details = status.details.expect("details");
        assert_eq!(details.group.as_deref(), Some("batch"));
        assert_eq!(details.kind.as_deref(), Some("jobs"));
    }

    #[test]
    fn an_invalid_job_has_a_cause_for_every_error() {
        let errors = [
            FieldError::required("spec.completions", "when completion mode is Indexed"),
            FieldError::invalid("spec.parallelism", -1, "must be greater than or equal to 0"),
        ];
        let error = ApiError::invalid(Resource::Jobs, "x", &errors);
        assert_eq!(
            error.message,
            "Job.batch \"x\" is invalid: [spec.completions: Required value: when completion mode \
             is Indexed, spec.parallelism: Invalid value: -1: must be greater than or equal to 0]"
        );
        let causes = error.details.and_then(|d| d.causes).expect("causes");
        assert_eq!(causes.len(), 2);
        assert_eq!(causes[0].field.as_deref(), Some("spec.completions"));
        assert_eq!(causes[0].reason.as_deref(), Some("FieldValueRequired"));
    }

    #[test]
    fn of_a_million_errors_the_first_are_told() {
        let errors =
            vec![FieldError::required("spec.template.spec.containers[0].image", ""); 1_000_000];
        for error in [
            ApiError::invalid(Resource::Jobs, "x", &errors),
            ApiError::undecodable(Resource::Jobs, &errors),
        ] {
            assert!(error.message.contains("and 999900 more"), "{}", error.message);
            let causes = error.details.and_then(|details| details.causes).expect("causes");
            assert_eq!(causes.len(), MOST_TOLD);
        }
    }

    #[test]
    fn strict_decoding_errors_read_like_those_of_kubernetes() {
        let errors = [FieldError::unknown("spec.a"), FieldError::unknown("spec.b")];
        assert_eq!(
            ApiError::undecodable(Resource::Jobs, &errors).message,
            "Job in version \"v1\" cannot be handled as a Job: strict decoding error: unknown \
             field \"spec.a\", unknown field \"spec.b\""
        );
    }

    #[test]
    fn a_client_is_told_when_to_come_back() {
        assert_eq!(ApiError::unavailable("Redis").retry_after_seconds(), Some(1));
        assert_eq!(ApiError::bad_request("x").retry_after_seconds(), None);
    }
}
