//! What a deletion asks for: its options and preconditions.

use axum::extract::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use longshore_api::{ApiError, FieldError, Resource};

use crate::body;
use crate::errors::Failure;
use crate::listing::parse_resource_version;
use crate::negotiate::Params;
use crate::served::Served;

/// The options of the body or else of the query, checked.
pub(crate) async fn options(params: &Params, request: Request) -> Result<DeleteOptions, Failure> {
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
    if let Some(seconds) = params.number("gracePeriodSeconds")? {
        options.grace_period_seconds.get_or_insert(i64::try_from(seconds).unwrap_or(i64::MAX));
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
    if let Some(seconds) = options.grace_period_seconds.filter(|seconds| *seconds < 0) {
        let least = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("gracePeriodSeconds", seconds, least));
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

/// Holds the preconditions against the object.
///
/// # Errors
/// 409 if it is another one, or has changed.
pub(crate) fn check<T: Served>(options: &DeleteOptions, object: &T) -> Result<(), Failure> {
    let Some(wanted) = &options.preconditions else { return Ok(()) };
    let metadata = object.metadata();
    let name = metadata.name.as_deref().unwrap_or_default();
    let conflict = |what: &str, wanted: &str, found: &Option<String>| {
        let found = found.as_deref().unwrap_or_default();
        let why = format!(
            "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
        );
        Failure::from(ApiError::conflict_because(T::RESOURCE, name, &why))
    };
    if let Some(uid) = wanted.uid.as_ref().filter(|uid| metadata.uid.as_ref() != Some(*uid)) {
        return Err(conflict("UID", uid, &metadata.uid));
    }
    if let Some(rv) = &wanted.resource_version {
        parse_resource_version(rv)?;
        if metadata.resource_version.as_ref() != Some(rv) {
            return Err(conflict("ResourceVersion", rv, &metadata.resource_version));
        }
    }
    Ok(())
}
