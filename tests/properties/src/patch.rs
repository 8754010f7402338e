//! Patches on stored objects.

use std::sync::LazyLock;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use longshore_api::config::ConfigObject;
use longshore_api::decode::{FieldValidation, decode, decode_job};
use longshore_api::defaults::{prepare_create, set_defaults};
use longshore_api::patch::{PatchType, apply_patch};
use longshore_api::update::{prepare_update, validate_update};
use longshore_api::validate::validate;
use longshore_api::{ApiError, Resource};
use serde_json::{Value, from_value, json};

use crate::job::{NOW, UID, told, valid};
use crate::{config, job};

/// `data` is a digit for the stored object, a letter for the kind of the patch, `j` (JSON patch), `m`
/// (merge) or `s` (strategic merge), and the patch.
pub fn patch(data: &[u8]) {
    let [stored, kind, patch @ ..] = data else { return };
    let kind = match kind {
        b'j' => PatchType::Json,
        b'm' => PatchType::Merge,
        b's' => PatchType::Strategic,
        _ => return,
    };
    match stored {
        b'8' => config_patch(&*CONFIG_MAP, Resource::ConfigMaps, kind, patch),
        b'9' => config_patch(&*SECRET, Resource::Secrets, kind, patch),
        _ => job_patch(&JOBS[usize::from(*stored) % JOBS.len()], kind, patch),
    }
}

static JOBS: LazyLock<Vec<Job>> = LazyLock::new(|| {
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]});
    let rich = json!({
        "restartPolicy": "Never",
        "initContainers": [{"name": "i", "image": "i:1", "restartPolicy": "Always"}],
        "containers": [
            {"name": "c", "image": "i:1", "command": ["sh"], "args": ["-c", "true"],
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "ports": [{"containerPort": 80}],
                "resources": {"limits": {"cpu": "1", "memory": "64Mi"}},
                "volumeMounts": [{"name": "v", "mountPath": "/v"}]},
            {"name": "d", "image": "j:1"}],
        "imagePullSecrets": [{"name": "p"}],
        "volumes": [{"name": "v", "emptyDir": {}}]
    });
    let exit = json!({"operator": "In", "values": [1, 42]});
    vec![
        stored(json!({"template": {"spec": pod}}), None),
        stored(
            json!({"completionMode": "Indexed", "completions": 4, "parallelism": 2,
                "backoffLimitPerIndex": 1, "maxFailedIndexes": 2,
                "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": exit}]},
                "successPolicy": {"rules": [{"succeededIndexes": "0,2-3"}]},
                "template": {"metadata": {"labels": {"l": "m"}}, "spec": rich}}),
            Some(json!({"startTime": "2023-11-14T22:13:20Z", "active": 2, "conditions": [
                {"type": "Suspended", "status": "False"}]})),
        ),
        stored(json!({"suspend": true, "completions": 3, "template": {"spec": pod}}), None),
    ]
});

static CONFIG_MAP: LazyLock<ConfigMap> = LazyLock::new(|| {
    let map = json!({"metadata": {"name": "a"}, "data": {"k": "v"}, "binaryData": {"b": "AA=="}});
    ready(from_value(map).expect("a ConfigMap"))
});

static SECRET: LazyLock<Secret> = LazyLock::new(|| {
    let secret = json!({"metadata": {"name": "a"}, "stringData": {"k": "v"}, "immutable": true});
    ready(from_value(secret).expect("a Secret"))
});

fn stored(spec: Value, status: Option<Value>) -> Job {
    let metadata = json!({"name": "a", "labels": {"x": "y"}, "annotations": {"n": "o"}});
    let mut job: Job = from_value(json!({"metadata": metadata, "spec": spec})).expect("a Job");
    set_defaults(&mut job);
    prepare_create(&mut job, "default", UID, NOW);
    assert_eq!(validate(&job), [], "the stored Job");
    job.metadata.resource_version = Some("7".into());
    job.status = status.map(|status| from_value(status).expect("a status"));
    job
}

fn ready<T: ConfigObject>(mut object: T) -> T {
    object.set_defaults();
    object.prepare_create("default", UID, NOW);
    assert_eq!(object.validate(), [], "the stored object");
    object
}

/// The object with the patch laid on it.
fn patched<T: serde::Serialize>(current: &T, kind: PatchType, patch: &[u8]) -> Option<Value> {
    let current = job::json(current);
    match apply_patch(&current, kind, patch) {
        Ok(patched) => {
            if kind != PatchType::Json {
                let again = apply_patch(&patched, kind, patch);
                assert_eq!(again.as_ref(), Ok(&patched), "a merge that is made again");
            }
            Some(patched)
        }
        Err(error) => {
            let error = ApiError::from(error);
            assert!(matches!(error.code, 400 | 422) && !error.message.is_empty());
            None
        }
    }
}

fn job_patch(current: &Job, kind: PatchType, patch: &[u8]) {
    let Some(value) = patched(current, kind, patch) else { return };
    let mut new = match decode_job(value, FieldValidation::Warn) {
        Ok((new, _)) => new,
        Err(errors) => return told(&ApiError::undecodable(Resource::Jobs, &errors), &errors),
    };
    set_defaults(&mut new);
    prepare_update(current, &mut new);
    let mut errors = validate(&new);
    errors.extend(validate_update(current, &new));
    if !errors.is_empty() {
        return told(&ApiError::invalid(Resource::Jobs, "a", &errors), &errors);
    }
    assert_eq!(identity(&new.metadata), identity(&current.metadata));
    assert_eq!(new.status, current.status, "the status is the server's own");
    let (before, after) = (current.metadata.generation, new.metadata.generation);
    assert!(after == before || after == before.map(|before| before + 1), "{before:?} {after:?}");
    let (Some(old_spec), Some(new_spec)) = (&current.spec, &new.spec) else { panic!("no spec") };
    let open = old_spec.suspend == Some(true);
    assert_eq!(fixed(new_spec, open), fixed(old_spec, open), "what can't be changed");
    valid(&new);
}

fn config_patch<T>(current: &T, resource: Resource, kind: PatchType, patch: &[u8])
where
    T: ConfigObject + PartialEq + std::fmt::Debug,
{
    let Some(value) = patched(current, kind, patch) else { return };
    let mut new: T = match decode(resource, value, FieldValidation::Warn) {
        Ok((new, _)) => new,
        Err(errors) => return told(&ApiError::undecodable(resource, &errors), &errors),
    };
    new.set_defaults();
    new.prepare_update(current);
    let mut errors = new.validate();
    errors.extend(new.validate_update(current));
    if !errors.is_empty() {
        return told(&ApiError::invalid(resource, "a", &errors), &errors);
    }
    assert_eq!(identity(new.metadata()), identity(current.metadata()));
    config::valid(&new.stored());
}

fn identity(metadata: &ObjectMeta) -> [Value; 4] {
    [
        json!(metadata.name),
        json!(metadata.namespace),
        json!(metadata.uid),
        json!(metadata.creation_timestamp),
    ]
}

/// What no change alters; `open` if the Job has never started, as the placement of its Pods is open then.
fn fixed(spec: &JobSpec, open: bool) -> Value {
    let pod = spec.template.spec.clone().unwrap_or_default();
    let labels = spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.clone());
    json!({
        "selector": spec.selector,
        "mode": spec.completion_mode,
        "perIndex": spec.backoff_limit_per_index,
        "failure": spec.pod_failure_policy,
        "success": spec.success_policy,
        "managedBy": spec.managed_by,
        "containers": containers(&pod.containers),
        "initContainers": containers(&pod.init_containers.unwrap_or_default()),
        "restartPolicy": pod.restart_policy,
        "labels": labels.filter(|_| !open),
    })
}

fn containers(all: &[k8s_openapi::api::core::v1::Container]) -> Vec<Value> {
    let list = |texts: &Option<Vec<String>>| texts.clone().unwrap_or_default();
    all.iter()
        .map(|one| json!([one.name, one.image, list(&one.command), list(&one.args)]))
        .collect()
}
