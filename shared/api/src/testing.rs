//! Jobs for the tests: valid ones but for one place, and arbitrary JSON for the property tests, rich in
//! what Jobs and patches are made of.

use k8s_openapi::api::batch::v1::Job;
use proptest::prelude::*;
use serde_json::{Map, Value, from_value, json};

use crate::defaults::{prepare_create, set_defaults};
use crate::field::FieldError;
use crate::validate::validate;

/// A new Job as it is validated.
pub(crate) fn prepared(value: Value) -> Job {
    let mut job: Job = from_value(value).expect("a Job");
    set_defaults(&mut job);
    prepare_create(&mut job, "default", "u-1", 1_000);
    job
}

/// The texts of all errors of a Job.
pub(crate) fn errors(value: Value) -> Vec<String> {
    validate(&prepared(value)).iter().map(FieldError::to_string).collect()
}

/// A valid Job with one thing changed: the value at a pointer, `null` to remove it.
pub(crate) fn with(pointer: &str, value: Value) -> Value {
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "a", "annotations": {}, "labels": {}},
        "spec": {
            "completionMode": "Indexed", "completions": 3, "parallelism": 2,
            "template": {"metadata": {"labels": {}}, "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "c", "image": "i:1", "resources": {"limits": {}},
                    "volumeMounts": [{"name": "v", "mountPath": "/data"}]}],
                "volumes": [{"name": "v", "emptyDir": {}}]
            }}
        }
    });
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let key = key.replace("~1", "/");
    match job.pointer_mut(parent).expect("the parent") {
        Value::Array(items) => items.push(value),
        Value::Object(fields) if value.is_null() => {
            fields.shift_remove(&key);
        }
        parent => parent[key] = value,
    }
    job
}

pub(crate) const POD: &str = "/spec/template/spec";
pub(crate) const CONTAINER: &str = "/spec/template/spec/containers/0";

/// Any JSON, in which the keys of Jobs and the words of patches are frequent.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "batch/v1", "Job", "Indexed", "Never", "replace", "delete", "a", "1s", "500m", "/",
            "é",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A Job-shaped object with anything in the places of its fields.
pub(crate) fn any_job() -> impl Strategy<Value = Value> {
    let list = || prop::collection::vec(any_json(), 0..3);
    (any_json(), any_json(), any_json(), list(), list()).prop_map(
        |(metadata, mut spec, pod, containers, volumes)| {
            if let Value::Object(spec) = &mut spec {
                let mut pod = if pod.is_object() { pod } else { json!({}) };
                pod["containers"] = json!(containers);
                pod["volumes"] = json!(volumes);
                spec.insert("template".into(), json!({"spec": pod}));
            }
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
        },
    )
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec![
            "metadata", "spec", "template", "containers", "name", "labels", "annotations", "env",
            "value", "volumes", "volumeMounts", "mountPath", "emptyDir", "hostPath", "path",
            "parallelism", "completions", "completionMode", "resources", "limits", "cpu", "memory",
            "$patch", "$retainKeys", "$deleteFromPrimitiveList/finalizers", "finalizers", "image",
            "selector", "matchLabels", "suspend", "restartPolicy", "op", "from",
        ])
        .prop_map(str::to_owned),
        1 => "\\PC{0,8}",
    ]
}
