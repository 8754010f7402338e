//! Changes of a stored Job: what a client may change, and what stays as it is.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde::Serialize;
use serde_json::Value;

use crate::field::FieldError;
use crate::object_meta::{IMMUTABLE, changed_metadata, fixed_metadata};

/// Takes over from the stored Job what isn't the client's to change: the status, the creation and
/// deletion times, and the uid and namespace where the client left them out. The generation grows by
/// one if the spec differs.
///
/// `new` must have its defaults filled in.
pub fn prepare_update(old: &Job, new: &mut Job) {
    changed_metadata(&old.metadata, &mut new.metadata);
    let changed = i64::from(!same(&old.spec, &new.spec));
    let generation = old.metadata.generation.unwrap_or(1).saturating_add(changed);
    new.metadata.generation = Some(generation);
    new.status.clone_from(&old.status);
}

/// What a change would alter though it is fixed: Kubernetes' `ValidateJobUpdate`. `old` is the stored
/// Job with its status, `new` the same after [`prepare_update`].
///
/// Whether `new` is valid by itself is asked of [`validate`](crate::validate::validate).
pub fn validate_update(old: &Job, new: &Job) -> Vec<FieldError> {
    let mut errors = Vec::new();
    fixed_metadata(&old.metadata, &new.metadata, &mut errors);
    let (Some(old_spec), Some(new_spec)) = (&old.spec, &new.spec) else { return errors };
    completions(old_spec, new_spec, &mut errors);
    fixed("spec.selector", &old_spec.selector, &new_spec.selector, &mut errors);
    let directives = may_change_directives(old);
    fixed(
        "spec.template",
        &template(old_spec, directives),
        &template(new_spec, directives),
        &mut errors,
    );
    fixed("spec.completionMode", &old_spec.completion_mode, &new_spec.completion_mode, &mut errors);
    fixed(
        "spec.podFailurePolicy",
        &old_spec.pod_failure_policy,
        &new_spec.pod_failure_policy,
        &mut errors,
    );
    fixed(
        "spec.backoffLimitPerIndex",
        &old_spec.backoff_limit_per_index,
        &new_spec.backoff_limit_per_index,
        &mut errors,
    );
    fixed("spec.managedBy", &old_spec.managed_by, &new_spec.managed_by, &mut errors);
    fixed("spec.successPolicy", &old_spec.success_policy, &new_spec.success_policy, &mut errors);
    errors
}

/// The completions of an Indexed Job may change, but only together with its parallelism.
fn completions(old: &JobSpec, new: &JobSpec, errors: &mut Vec<FieldError>) {
    if old.completions == new.completions {
        return;
    }
    if new.completion_mode.as_deref() != Some("Indexed") {
        errors.push(FieldError::invalid("spec.completions", new.completions, IMMUTABLE));
    } else if new.completions.is_some() && new.completions != new.parallelism {
        errors.push(FieldError::invalid(
            "spec.completions",
            new.completions,
            "can only be modified in tandem with spec.parallelism",
        ));
    }
}

/// Before a suspended Job has ever started, what steers the placement of its Pods is still open.
fn may_change_directives(old: &Job) -> bool {
    let suspended = old.spec.as_ref().and_then(|spec| spec.suspend).unwrap_or(false);
    let started = old.status.as_ref().is_some_and(|status| status.start_time.is_some());
    suspended && !started
}

/// The template, without what may be changed.
fn template(spec: &JobSpec, without_directives: bool) -> PodTemplateSpec {
    let mut template = spec.template.clone();
    if without_directives {
        if let Some(metadata) = &mut template.metadata {
            metadata.labels = None;
            metadata.annotations = None;
        }
        if let Some(pod) = &mut template.spec {
            pod.node_selector = None;
            pod.tolerations = None;
            pod.scheduling_gates = None;
            if let Some(affinity) = &mut pod.affinity {
                affinity.node_affinity = None;
            }
        }
    }
    template
}

fn fixed<T: Serialize>(path: &str, old: &T, new: &T, errors: &mut Vec<FieldError>) {
    let (old, new) = (plain(old), plain(new));
    if let Some(place) = difference(&old, &new, path) {
        let detail = if place == path {
            IMMUTABLE.to_owned()
        } else {
            format!("{IMMUTABLE} ({place} differs)")
        };
        // A whole template would drown the message; the place that differs says more.
        let shown = match &new {
            Value::Object(_) | Value::Array(_) => None,
            _ => Some(new),
        };
        errors.push(FieldError { value: shown, ..FieldError::invalid(path, Value::Null, detail) });
    }
}

fn same<T: Serialize>(old: &T, new: &T) -> bool {
    plain(old) == plain(new)
}

/// The value as JSON in which empty and absent are the same, as they are to Kubernetes.
fn plain<T: Serialize>(value: &T) -> Value {
    let mut value = serde_json::to_value(value).unwrap_or(Value::Null);
    prune(&mut value);
    value
}

fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(prune);
            fields.retain(|_, field| !is_empty(field));
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        // An empty object can mean something (`emptyDir: {}`), an empty list or map can't differ
        // from none.
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Where two values differ first.
fn difference(old: &Value, new: &Value, path: &str) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
            keys.into_iter().find_map(|key| {
                let (old, new) = (old.get(key), new.get(key));
                let path = format!("{path}.{key}");
                difference(old.unwrap_or(&Value::Null), new.unwrap_or(&Value::Null), &path)
            })
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => old
            .iter()
            .zip(new)
            .enumerate()
            .find_map(|(at, (old, new))| difference(old, new, &format!("{path}[{at}]"))),
        _ => (old != new).then(|| path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defaults::{prepare_create, set_defaults};
    use serde_json::{from_value, json};

    fn stored(spec: Value) -> Job {
        let mut job: Job =
            from_value(json!({"metadata": {"name": "a"}, "spec": spec})).expect("a Job");
        set_defaults(&mut job);
        prepare_create(&mut job, "default", "u", 1_000);
        job
    }

    fn indexed() -> Job {
        stored(json!({"completionMode": "Indexed", "completions": 4, "parallelism": 2,
            "template": {"spec": {"restartPolicy": "Never",
                "containers": [{"name": "c", "image": "x:1"}]}}}))
    }

    fn errors(old: &Job, change: impl Fn(&mut JobSpec)) -> Vec<String> {
        let mut new = old.clone();
        change(new.spec.as_mut().expect("spec"));
        prepare_update(old, &mut new);
        validate_update(old, &new).iter().map(FieldError::to_string).collect()
    }

    #[test]
    fn what_kubernetes_lets_change_may_change() {
        let none: [&str; 0] = [];
        assert_eq!(
            errors(&indexed(), |spec| {
                spec.parallelism = Some(7);
                spec.suspend = Some(true);
                spec.backoff_limit = Some(1);
                spec.active_deadline_seconds = Some(9);
                spec.ttl_seconds_after_finished = Some(3);
                spec.pod_replacement_policy = Some("Failed".into());
                spec.max_failed_indexes = Some(2);
            }),
            none
        );
        assert_eq!(
            errors(&indexed(), |spec| {
                spec.completions = Some(3);
                spec.parallelism = Some(3);
            }),
            none
        );
    }

    #[test]
    fn the_template_is_fixed_and_the_place_is_named() {
        let errors = errors(&indexed(), |spec| {
            spec.template.spec.as_mut().expect("pod").containers[0].image = Some("x:2".into());
        });
        assert_eq!(
            errors,
            ["spec.template: Invalid value: field is immutable \
              (spec.template.spec.containers[0].image differs)"]
        );
    }

    #[test]
    fn the_policies_are_fixed() {
        let errors = errors(&indexed(), |spec| {
            spec.backoff_limit_per_index = Some(1);
            spec.managed_by = Some("x.io/y".into());
            spec.pod_failure_policy = Some(Default::default());
            spec.success_policy = Some(Default::default());
            spec.completion_mode = Some("NonIndexed".into());
        });
        let fields: Vec<&str> = errors.iter().filter_map(|text| text.split(':').next()).collect();
        assert_eq!(
            fields,
            [
                "spec.completionMode",
                "spec.podFailurePolicy",
                "spec.backoffLimitPerIndex",
                "spec.managedBy",
                "spec.successPolicy"
            ]
        );
        assert!(errors.iter().all(|text| text.contains("field is immutable")), "{errors:?}");
    }

    #[test]
    fn completions_change_only_with_the_parallelism() {
        assert_eq!(
            errors(&indexed(), |spec| spec.completions = Some(5)),
            ["spec.completions: Invalid value: 5: can only be modified in tandem with \
              spec.parallelism"]
        );
        let plain = stored(json!({"completions": 2, "template": {}}));
        assert_eq!(
            errors(&plain, |spec| spec.completions = Some(5)),
            ["spec.completions: Invalid value: 5: field is immutable"]
        );
    }

    #[test]
    fn labels_of_a_suspended_job_that_never_started_may_change() {
        let label = |spec: &mut JobSpec| {
            let metadata = spec.template.metadata.get_or_insert_default();
            metadata.labels.get_or_insert_default().insert("x".into(), "y".into());
        };
        let mut job = stored(json!({"suspend": true, "template": {}}));
        assert!(errors(&job, label).is_empty());
        job.status = from_value(json!({"startTime": "2024-01-01T00:00:00Z"})).ok();
        assert!(errors(&job, label)[0].starts_with("spec.template: Invalid value"));
    }

    #[test]
    fn the_generation_counts_changes_of_the_spec_alone() {
        let old = indexed();
        let mut new = old.clone();
        new.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
        new.metadata.uid = None;
        new.metadata.creation_timestamp = None;
        prepare_update(&old, &mut new);
        assert_eq!(new.metadata.generation, Some(1));
        assert_eq!(new.metadata.uid, old.metadata.uid);
        assert_eq!(new.metadata.creation_timestamp, old.metadata.creation_timestamp);
        new.spec.as_mut().expect("spec").suspend = Some(true);
        prepare_update(&old, &mut new);
        assert_eq!(new.metadata.generation, Some(2));
    }

    #[test]
    fn a_name_or_uid_cannot_change() {
        let old = indexed();
        let mut new = old.clone();
        new.metadata.uid = Some("other".into());
        prepare_update(&old, &mut new);
        assert_eq!(
            validate_update(&old, &new)[0].to_string(),
            "metadata.uid: Invalid value: \"other\": field is immutable"
        );
    }
}
