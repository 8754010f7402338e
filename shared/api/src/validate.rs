//! Kubernetes' validation of Jobs, and what Longshore doesn't support yet.
//!
//! The rules and their wording are those of Kubernetes' `ValidateJob`.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector as SelectorObject;
use serde_json::{Value, json};

use crate::defaults::{
    CONTROLLER_UID_LABEL, JOB_NAME_LABEL, LEGACY_CONTROLLER_UID_LABEL, LEGACY_JOB_NAME_LABEL,
};
use crate::field::{FieldError, Warning};
use crate::names;
use crate::rules::{not_negative, one_of};
use crate::selector::LabelSelector;
use crate::spec::ALLOW_OVERLAP;
use crate::support;
use crate::validate_metadata::{labels, metadata};
use crate::validate_pod::{pod, pod_warnings};
use crate::validate_policies::{failure_policy, managed_by, success_policy};

/// The value of `spec.managedBy` by which a Job is run here; one that names another controller is
/// left to that one.
pub const MANAGED_BY: &str = "kubernetes.io/job-controller";

/// All errors of a Job, in the order of its fields. It must have its defaults, and its metadata from
/// [`prepare_create`](crate::defaults::prepare_create) or
/// [`prepare_update`](crate::update::prepare_update).
pub fn validate(job: &Job) -> Vec<FieldError> {
    let mut errors = Vec::new();
    metadata(job, &mut errors);
    let Some(spec) = &job.spec else {
        errors.push(FieldError::required("spec", ""));
        return errors;
    };
    counts(job, spec, &mut errors);
    failed_indexes(spec, &mut errors);
    managed_by(spec, &mut errors);
    words(spec, &mut errors);
    failure_policy(spec, &mut errors);
    success_policy(spec, &mut errors);
    selector(job, spec, &mut errors);
    template(spec, &mut errors);
    errors.extend(support::check(&as_json(spec)).0);
    errors
}

/// What a client should know of a valid Job: what it sets that has no effect.
pub fn warnings(job: &Job) -> Vec<Warning> {
    let Some(spec) = &job.spec else { return Vec::new() };
    let mut warnings = support::check(&as_json(spec)).1;
    if let Some(pod) = &spec.template.spec {
        pod_warnings("spec.template.spec", pod, &mut warnings);
    }
    if let Some(other) = spec.managed_by.as_deref().filter(|managed_by| *managed_by != MANAGED_BY) {
        warnings.push(Warning(format!(
            "spec.managedBy leaves the Job to the controller {other}: it is not run here"
        )));
    }
    let owners = job.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty());
    if owners {
        warnings.push(Warning(
            "metadata.ownerReferences has no effect: a Job is not deleted with its owner".into(),
        ));
    }
    for (annotation, value) in job.metadata.annotations.iter().flatten() {
        if annotation == ALLOW_OVERLAP && value == "true" {
            warnings.push(Warning(format!(
                "metadata.annotations[{ALLOW_OVERLAP}] has no effect: a new Pod of an index \
                 waits until the old one has ended"
            )));
        } else if annotation.starts_with("longshore.dev/") && !is_known(annotation) {
            warnings.push(Warning(format!(
                "metadata.annotations[{annotation}] has no effect: there is no such annotation"
            )));
        }
    }
    warnings
}

/// As many Pods of an Indexed Job as may run at once.
const MAX_INDEXED_PARALLELISM: i32 = 100_000;

fn counts(job: &Job, spec: &JobSpec, errors: &mut Vec<FieldError>) {
    for (field, value) in [
        ("spec.parallelism", spec.parallelism.map(i64::from)),
        ("spec.completions", spec.completions.map(i64::from)),
        ("spec.activeDeadlineSeconds", spec.active_deadline_seconds),
        ("spec.backoffLimit", spec.backoff_limit.map(i64::from)),
        ("spec.ttlSecondsAfterFinished", spec.ttl_seconds_after_finished.map(i64::from)),
        ("spec.backoffLimitPerIndex", spec.backoff_limit_per_index.map(i64::from)),
        ("spec.maxFailedIndexes", spec.max_failed_indexes.map(i64::from)),
    ] {
        not_negative(field, value, errors);
    }
    if spec.completion_mode.as_deref() != Some("Indexed") {
        return;
    }
    match spec.completions {
        None => {
            errors.push(FieldError::required("spec.completions", "when completion mode is Indexed"))
        }
        Some(completions) if completions > 0 => {
            let name = job.metadata.name.as_deref().unwrap_or_default();
            if let Some(problem) = names::dns1123_label(&format!("{name}-{}", completions - 1)) {
                let detail =
                    format!("will not able to create pod with invalid DNS label: {problem}");
                errors.push(FieldError::invalid("metadata.name", name, detail));
            }
        }
        Some(_) => {}
    }
    if let Some(parallelism) = spec.parallelism.filter(|n| *n > MAX_INDEXED_PARALLELISM) {
        errors.push(FieldError::invalid(
            "spec.parallelism",
            parallelism,
            format!(
                "must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is \
                 Indexed"
            ),
        ));
    }
}

/// As many indexes as may fail, and as many completions as bound the other figures less tightly.
const MAX_FAILED_INDEXES: i32 = 100_000;
const MANY_COMPLETIONS: i32 = 100_000;
/// The parallelism and the failed indexes of Jobs with more completions than that.
const MAX_WITH_MANY_COMPLETIONS: i32 = 10_000;

/// `backoffLimitPerIndex` and `maxFailedIndexes`.
fn failed_indexes(spec: &JobSpec, errors: &mut Vec<FieldError>) {
    let (per_index, most) = (spec.backoff_limit_per_index, spec.max_failed_indexes);
    if most.is_some() && per_index.is_none() {
        let text = "when maxFailedIndexes is specified";
        errors.push(FieldError::required("spec.backoffLimitPerIndex", text));
    }
    if spec.completion_mode.as_deref() != Some("Indexed") {
        for (field, value) in
            [("spec.backoffLimitPerIndex", per_index), ("spec.maxFailedIndexes", most)]
        {
            if let Some(value) = value {
                let text = "requires indexed completion mode";
                errors.push(FieldError::invalid(field, value, text));
            }
        }
        return;
    }
    let completions = spec.completions.unwrap_or(0);
    if let Some(most) = most {
        let path = "spec.maxFailedIndexes";
        if spec.completions.is_some() && most > completions {
            let text = "must be less than or equal to completions";
            errors.push(FieldError::invalid(path, most, text));
        }
        if most > MAX_FAILED_INDEXES {
            let text = format!("must be less than or equal to {MAX_FAILED_INDEXES}");
            errors.push(FieldError::invalid(path, most, text));
        }
    }
    if completions <= MANY_COMPLETIONS || per_index.is_none() {
        return;
    }
    if most.is_none() {
        let text = format!("must be specified when completions is above {MANY_COMPLETIONS}");
        errors.push(FieldError::required("spec.maxFailedIndexes", text));
    }
    for (field, value) in [("spec.parallelism", spec.parallelism), ("spec.maxFailedIndexes", most)]
    {
        if let Some(value) = value.filter(|value| *value > MAX_WITH_MANY_COMPLETIONS) {
            let text = format!(
                "must be less than or equal to {MAX_WITH_MANY_COMPLETIONS} when completions are \
                 above {MANY_COMPLETIONS} and used with backoff limit per index"
            );
            errors.push(FieldError::invalid(field, value, text));
        }
    }
}

fn words(spec: &JobSpec, errors: &mut Vec<FieldError>) {
    let modes = ["Indexed", "NonIndexed"];
    one_of("spec.completionMode", spec.completion_mode.as_deref(), &modes, errors);
    // Replacing a Pod before it has failed would forestall the policy's judgement.
    let policies: &[&str] = match spec.pod_failure_policy {
        Some(_) => &["Failed"],
        None => &["Failed", "TerminatingOrFailed"],
    };
    let policy = spec.pod_replacement_policy.as_deref();
    one_of("spec.podReplacementPolicy", policy, policies, errors);
    let restart = spec.template.spec.as_ref().and_then(|pod| pod.restart_policy.as_deref());
    for (field, is_set) in [
        ("podFailurePolicy", spec.pod_failure_policy.is_some()),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index.is_some()),
    ] {
        if is_set && restart == Some("OnFailure") {
            errors.push(FieldError::invalid(
                "spec.template.spec.restartPolicy",
                "OnFailure",
                format!("only \"Never\" is supported when {field} is specified"),
            ));
        }
    }
}

fn selector(job: &Job, spec: &JobSpec, errors: &mut Vec<FieldError>) {
    let Some(selector) = &spec.selector else {
        errors.push(FieldError::required("spec.selector", ""));
        return;
    };
    let metadata = spec.template.metadata.as_ref();
    let template_labels = metadata.and_then(|metadata| metadata.labels.as_ref());
    if spec.manual_selector != Some(true) {
        generated_selector(job, spec, selector, errors);
    }
    match LabelSelector::of(selector) {
        Err(error) => {
            errors.push(FieldError::invalid("spec.selector", as_json(selector), error.to_string()));
        }
        Ok(parsed) if !parsed.matches(template_labels) => errors.push(FieldError::invalid(
            "spec.template.metadata.labels",
            template_labels.map_or_else(|| json!({}), as_json),
            "`selector` does not match template `labels`",
        )),
        Ok(_) => {}
    }
}

/// Without `manualSelector` the selector and the labels must be those that were generated.
fn generated_selector(
    job: &Job,
    spec: &JobSpec,
    selector: &SelectorObject,
    errors: &mut Vec<FieldError>,
) {
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let labels = spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    for (key, expected) in [
        (CONTROLLER_UID_LABEL, uid),
        (JOB_NAME_LABEL, name),
        (LEGACY_CONTROLLER_UID_LABEL, uid),
        (LEGACY_JOB_NAME_LABEL, name),
    ] {
        let value = labels.and_then(|labels| labels.get(key));
        if value.is_none_or(|value| value != expected) {
            errors.push(FieldError::invalid(
                format!("spec.template.metadata.labels[{key}]"),
                value.map(String::as_str),
                format!("must be {expected:?}"),
            ));
        }
    }
    let generated = selector.match_labels.as_ref().is_some_and(|labels| {
        labels.len() == 1 && labels.get(CONTROLLER_UID_LABEL).is_some_and(|value| value == uid)
    });
    let plain = selector.match_expressions.as_ref().is_none_or(Vec::is_empty);
    if !generated || !plain {
        errors.push(FieldError::invalid(
            "spec.selector",
            as_json(selector),
            "`selector` not auto-generated",
        ));
    }
}

fn template(spec: &JobSpec, errors: &mut Vec<FieldError>) {
    if let Some(metadata) = &spec.template.metadata {
        labels("spec.template.metadata", metadata, errors);
    }
    match &spec.template.spec {
        Some(spec) => pod("spec.template.spec", spec, errors),
        None => errors.push(FieldError::required("spec.template.spec", "")),
    }
}

fn is_known(annotation: &str) -> bool {
    use crate::spec::{BACKOFF_BASE, BACKOFF_CAP, LEASE};
    [BACKOFF_BASE, BACKOFF_CAP, LEASE, ALLOW_OVERLAP].contains(&annotation)
}

fn as_json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}
