//! Arbitrary JSON for the property tests, rich in what Jobs and patches are made of.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

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
