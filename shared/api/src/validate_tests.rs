//! Whole Jobs, from what a client sends to the errors it gets.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::decode::{FieldValidation, decode_job};
use crate::defaults::{prepare_create, set_defaults};
use crate::testing::{CONTAINER, POD, any_job, any_json, errors, prepared, with};
use crate::validate::{validate, warnings};

#[test]
fn a_good_job_has_no_errors() {
    assert_eq!(errors(with("/spec/suspend", json!(true))), Vec::<String>::new());
}

#[test]
fn each_rule_has_kubernetes_words() {
    let long_name = "x".repeat(62);
    let cases = [
        ("/metadata/name", Value::Null, "metadata.name: Required value: name or generateName is"),
        ("/metadata/name", json!("A"), "metadata.name: Invalid value: \"A\": a lowercase RFC 1123"),
        ("/metadata/name", json!(long_name), "will not able to create pod with invalid DNS label"),
        (
            "/metadata/labels/x",
            json!("a b"),
            "metadata.labels: Invalid value: \"a b\": a valid label",
        ),
        ("/metadata/finalizers", json!(["x"]), "metadata.finalizers: Forbidden: not supported yet"),
        (
            "/spec/completions",
            Value::Null,
            "spec.completions: Required value: when completion mode is Indexed",
        ),
        (
            "/spec/completions",
            json!(-1),
            "spec.completions: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "/spec/parallelism",
            json!(100_001),
            "spec.parallelism: Invalid value: 100001: must be less",
        ),
        ("/spec/backoffLimit", json!(-1), "spec.backoffLimit: Invalid value: -1"),
        (
            "/spec/completionMode",
            json!("X"),
            "spec.completionMode: Unsupported value: \"X\": supported values: \"Indexed\", \"NonIndexed\"",
        ),
        ("/spec/podReplacementPolicy", json!("X"), "spec.podReplacementPolicy: Unsupported value"),
        (
            "/spec/selector",
            json!({"matchLabels": {"a": "b"}}),
            "`selector` does not match template `labels`",
        ),
        ("/spec/selector", json!({"matchLabels": {"a": "b"}}), "`selector` not auto-generated"),
        ("/spec/template/spec", Value::Null, "spec.template.spec: Required value"),
        (
            &format!("{POD}/restartPolicy"),
            Value::Null,
            "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
        ),
        (
            &format!("{POD}/restartPolicy"),
            json!("Always"),
            "spec.template.spec.restartPolicy: Unsupported value: \"Always\": supported values: \
             \"OnFailure\", \"Never\"",
        ),
        (&format!("{POD}/containers"), json!([]), "spec.template.spec.containers: Required value"),
        (
            &format!("{POD}/containers/1"),
            json!({"name": "c", "image": "x"}),
            "spec.template.spec.containers[1].name: Duplicate value: \"c\"",
        ),
        (
            &format!("{POD}/terminationGracePeriodSeconds"),
            json!(-1),
            "must be greater than or equal",
        ),
        (&format!("{POD}/hostname"), json!("a.b"), "spec.template.spec.hostname: Invalid value"),
        (
            &format!("{CONTAINER}/image"),
            Value::Null,
            "spec.template.spec.containers[0].image: Required value",
        ),
        (&format!("{CONTAINER}/imagePullPolicy"), json!("X"), "imagePullPolicy: Unsupported value"),
        (
            &format!("{CONTAINER}/workingDir"),
            json!("x"),
            "workingDir: Invalid value: \"x\": must be an",
        ),
        (
            &format!("{CONTAINER}/env"),
            json!([{"name": "a=b"}]),
            "env[0].name: Invalid value: \"a=b\"",
        ),
        (
            &format!("{CONTAINER}/resources/limits/cpu"),
            json!("x"),
            "limits[cpu]: Invalid value: \"x\": quantities must match",
        ),
        (&format!("{CONTAINER}/resources/limits/memory"), json!("1Ki"), "must be at least 6Mi"),
        (
            &format!("{CONTAINER}/resources/limits/x~1gpu"),
            json!("1"),
            "limits[x/gpu]: Forbidden: not supported yet",
        ),
        (
            &format!("{CONTAINER}/resources"),
            json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}),
            "requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ),
        (
            &format!("{CONTAINER}/volumeMounts/1"),
            json!({"name": "w", "mountPath": "/w"}),
            "volumeMounts[1].name: Not found: \"w\"",
        ),
        (
            &format!("{CONTAINER}/volumeMounts/1"),
            json!({"name": "v", "mountPath": "/data"}),
            "volumeMounts[1].mountPath: Invalid value: \"/data\": must be unique",
        ),
        (
            &format!("{CONTAINER}/volumeMounts/1"),
            json!({"name": "v", "mountPath": "/.longshore/x"}),
            "volumeMounts[1].mountPath: Forbidden",
        ),
        (
            &format!("{POD}/volumes/1"),
            json!({"name": "v", "emptyDir": {}}),
            "volumes[1].name: Duplicate value: \"v\"",
        ),
        (
            &format!("{POD}/volumes/1"),
            json!({"name": "w", "hostPath": {"path": "/a/../b"}}),
            "volumes[1].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
        ),
        (
            &format!("{POD}/volumes/1"),
            json!({"name": "w", "emptyDir": {}, "hostPath": {"path": "/"}}),
            "volumes[1]: Forbidden: may not specify more than 1 volume type",
        ),
        (
            &format!("{POD}/volumes/1"),
            json!({"name": "w", "nfs": {"server": "x", "path": "/"}}),
            "volumes[1].nfs: Forbidden: not supported yet: volumes are emptyDir, hostPath, persistentVolumeClaim, configMap, secret, downwardAPI and projected",
        ),
        (
            "/metadata/annotations/longshore.dev~1lease",
            json!("1s"),
            "metadata.annotations[longshore.dev/lease]: Invalid value: \"1s\": must be at least 2s",
        ),
        (
            "/metadata/annotations/longshore.dev~1backoff-base",
            json!("soon"),
            "Invalid value: \"soon\": must be a duration such as",
        ),
        (
            "/metadata/annotations/longshore.dev~1allow-overlap",
            json!("yes"),
            "Unsupported value: \"yes\": supported values: \"true\", \"false\"",
        ),
    ];
    for (pointer, value, expected) in cases {
        let found = errors(with(pointer, value.clone()));
        let told = found.iter().any(|error| error.contains(expected));
        assert!(told, "{pointer} = {value}: {expected:?} is not in {found:#?}");
    }
}

#[test]
fn a_volume_of_no_type_is_an_empty_dir() {
    let job = prepared(with(&format!("{POD}/volumes/1"), json!({"name": "w"})));
    assert_eq!(validate(&job), Vec::new());
    let pod = job.spec.and_then(|spec| spec.template.spec).expect("pod");
    assert!(pod.volumes.expect("volumes")[1].empty_dir.is_some());
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let job = prepared(with("/metadata/annotations/longshore.dev~1foo", json!("1")));
    assert_eq!(validate(&job), Vec::new());
    assert!(warnings(&job)[0].0.contains("longshore.dev/foo"));
    let job = prepared(with(&format!("{CONTAINER}/resources/requests"), json!({"cpu": "1"})));
    assert!(warnings(&job)[0].0.contains("requests has no effect"));
    assert_eq!(warnings(&prepared(with("/spec/suspend", json!(false)))), Vec::new());
}

proptest! {
    #[test]
    fn nothing_that_is_sent_brings_the_server_down(
        value in prop_oneof![any_job(), any_json()],
    ) {
        for mode in [FieldValidation::Strict, FieldValidation::Warn, FieldValidation::Ignore] {
            if let Ok((mut job, _)) = decode_job(value.clone(), mode) {
                set_defaults(&mut job);
                prepare_create(&mut job, "default", "u", 1);
                let _ = validate(&job);
                let _ = warnings(&job);
            }
        }
    }
}
