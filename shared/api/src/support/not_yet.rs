//! Fields that are judged like all others, and that the workers don't carry out yet: refused for now.

use serde_json::{Value, json};

const POD: &str = "io.k8s.api.core.v1.PodSpec";
const CONTAINER: &str = "io.k8s.api.core.v1.Container";
const VOLUME: &str = "io.k8s.api.core.v1.Volume";
const MOUNT: &str = "io.k8s.api.core.v1.VolumeMount";
const EMPTY_DIR: &str = "io.k8s.api.core.v1.EmptyDirVolumeSource";

const FIELDS: [(&str, &str); 19] = [
    (POD, "activeDeadlineSeconds"),
    (POD, "hostNetwork"),
    (POD, "imagePullSecrets"),
    (POD, "initContainers"),
    (POD, "securityContext"),
    (CONTAINER, "envFrom"),
    (CONTAINER, "securityContext"),
    (CONTAINER, "terminationMessagePath"),
    (CONTAINER, "terminationMessagePolicy"),
    ("io.k8s.api.core.v1.EnvVar", "valueFrom"),
    (VOLUME, "configMap"),
    (VOLUME, "downwardAPI"),
    (VOLUME, "persistentVolumeClaim"),
    (VOLUME, "projected"),
    (VOLUME, "secret"),
    (MOUNT, "subPath"),
    (MOUNT, "subPathExpr"),
    (EMPTY_DIR, "medium"),
    (EMPTY_DIR, "sizeLimit"),
];

/// Why a field of a type is refused for now, if it is.
pub(super) fn reason(type_name: &str, field: &str) -> Option<&'static str> {
    let why = match field {
        "activeDeadlineSeconds" => "set spec.activeDeadlineSeconds of the Job",
        "initContainers" => ONE_CONTAINER,
        "securityContext" => "a container runs as its image says",
        _ => "the workers don't carry it out",
    };
    FIELDS.contains(&(type_name, field)).then_some(why)
}

/// Whether a value asks for nothing but what is done anyway.
pub(super) fn is_usual(field: &str, value: &Value) -> bool {
    match field {
        "terminationMessagePath" => *value == json!("/dev/termination-log"),
        "terminationMessagePolicy" => *value == json!("File"),
        _ => super::is_empty(value),
    }
}

/// Why a Pod has no second container.
pub(super) const ONE_CONTAINER: &str = "a Pod has one container";
