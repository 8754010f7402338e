//! The rules for names, labels and annotations.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use longshore_job::Millis;

use crate::field::FieldError;
use crate::human::parse_duration;
use crate::names;
use crate::spec::{ALLOW_OVERLAP, BACKOFF_BASE, BACKOFF_CAP, LEASE};

/// As many bytes as the keys and values of all annotations may have.
const MAX_ANNOTATIONS: usize = 256 * 1024;

const SECOND: Millis = 1_000;
const DAY: Millis = 24 * 60 * 60 * SECOND;

/// The metadata of a Job.
pub(crate) fn metadata(job: &Job, errors: &mut Vec<FieldError>) {
    let wait = "a deletion waits for the Pods alone";
    object_metadata(&job.metadata, wait, errors);
    let name = job.metadata.name.as_deref().unwrap_or_default();
    if name.len() > 63 && names::dns1123_subdomain(name).is_none() {
        // It is the value of a label on every Pod.
        let problem = "must be no more than 63 bytes";
        errors.push(FieldError::invalid("metadata.name", name, problem));
    }
    settings(job, errors);
}

/// The metadata of any object. `no_finalizers` says why there are none.
pub(crate) fn object_metadata(
    metadata: &ObjectMeta,
    no_finalizers: &str,
    errors: &mut Vec<FieldError>,
) {
    let generate = metadata.generate_name.as_deref().unwrap_or_default();
    // The end of a prefix may be what the end of a name may not.
    let prefix = generate.strip_suffix('-').unwrap_or(generate);
    if !generate.is_empty()
        && let Some(problem) = names::dns1123_subdomain(prefix)
    {
        errors.push(FieldError::invalid("metadata.generateName", generate, problem));
    }
    match metadata.name.as_deref() {
        None | Some("") => {
            errors.push(FieldError::required("metadata.name", "name or generateName is required"))
        }
        Some(name) => {
            if let Some(problem) = names::dns1123_subdomain(name) {
                errors.push(FieldError::invalid("metadata.name", name, problem));
            }
        }
    }
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    if let Some(problem) = names::dns1123_label(namespace) {
        errors.push(FieldError::invalid("metadata.namespace", namespace, problem));
    }
    labels("metadata", metadata, errors);
    if metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty()) {
        errors.push(FieldError::forbidden(
            "metadata.finalizers",
            format!("not supported yet: {no_finalizers}"),
        ));
    }
}

/// The labels and annotations of a Job or of its Pods.
pub(crate) fn labels(path: &str, metadata: &ObjectMeta, errors: &mut Vec<FieldError>) {
    for (key, value) in metadata.labels.iter().flatten() {
        if let Some(problem) = names::qualified_name(key) {
            errors.push(FieldError::invalid(format!("{path}.labels"), key.as_str(), problem));
        }
        if let Some(problem) = names::label_value(value) {
            errors.push(FieldError::invalid(format!("{path}.labels"), value.as_str(), problem));
        }
    }
    let mut size = 0;
    for (key, value) in metadata.annotations.iter().flatten() {
        // The prefix of an annotation may have capital letters.
        if let Some(problem) = names::qualified_name(&key.to_lowercase()) {
            errors.push(FieldError::invalid(format!("{path}.annotations"), key.as_str(), problem));
        }
        size += key.len() + value.len();
    }
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long(format!("{path}.annotations"), MAX_ANNOTATIONS));
    }
}

/// Longshore's own annotations.
fn settings(job: &Job, errors: &mut Vec<FieldError>) {
    let base = duration(job, BACKOFF_BASE, 0, DAY, errors);
    let cap = duration(job, BACKOFF_CAP, 0, DAY, errors);
    if let (Some(base), Some(cap)) = (base, cap)
        && cap < base
    {
        errors.push(FieldError::invalid(
            path_of(BACKOFF_CAP),
            annotation(job, BACKOFF_CAP),
            format!("must not be less than {BACKOFF_BASE}"),
        ));
    }
    duration(job, LEASE, 2 * SECOND, DAY, errors);
    if let Some(value) = annotation(job, ALLOW_OVERLAP)
        && !matches!(value, "true" | "false")
    {
        errors.push(FieldError::not_supported(path_of(ALLOW_OVERLAP), value, &["true", "false"]));
    }
}

fn duration(
    job: &Job,
    name: &str,
    least: Millis,
    most: Millis,
    errors: &mut Vec<FieldError>,
) -> Option<Millis> {
    let text = annotation(job, name)?;
    let problem = match parse_duration(text) {
        Some(length) if length < least => {
            format!("must be at least {}s", least / SECOND)
        }
        Some(length) if length > most => format!("must be at most {}h", most / (3_600 * SECOND)),
        Some(length) => return Some(length),
        None => "must be a duration such as 15s, 500ms or 10m".to_owned(),
    };
    errors.push(FieldError::invalid(path_of(name), text, problem));
    None
}

fn annotation<'a>(job: &'a Job, name: &str) -> Option<&'a str> {
    job.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

fn path_of(annotation: &str) -> String {
    format!("metadata.annotations[{annotation}]")
}
