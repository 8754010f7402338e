//! What Pods, their containers and their volumes may say, and what each mistake is called.

use serde_json::{Value, json};

use crate::testing::{errors, prepared, with};
use crate::validate::warnings;

/// A valid Job whose Pods have these fields besides.
fn pod(fields: Value) -> Value {
    let mut job = with("/spec/suspend", json!(false));
    for (field, value) in fields.as_object().cloned().unwrap_or_default() {
        job["spec"]["template"]["spec"][field] = value;
    }
    job
}

/// The same with one more container field.
fn container(field: &str, value: Value) -> Value {
    let mut job = with("/spec/suspend", json!(false));
    job["spec"]["template"]["spec"]["containers"][0][field] = value;
    job
}

fn volume(source: Value) -> Value {
    let mut volume = json!({"name": "w"});
    for (field, value) in source.as_object().cloned().unwrap_or_default() {
        volume[field] = value;
    }
    with("/spec/template/spec/volumes/1", volume)
}

fn variable(source: Value) -> Value {
    container("env", json!([{"name": "A", "valueFrom": source}]))
}

fn mount(fields: Value) -> Value {
    let mut mount = json!({"name": "v", "mountPath": "/m"});
    for (field, value) in fields.as_object().cloned().unwrap_or_default() {
        mount[field] = value;
    }
    container("volumeMounts", json!([mount]))
}

fn check(cases: Vec<(Value, &str)>) {
    for (job, expected) in cases {
        let found = errors(job);
        let told = found.iter().any(|error| error.contains(expected));
        assert!(told, "{expected:?} is not in {found:#?}");
    }
}

#[test]
fn of_a_pod_that_uses_all_there_is_only_what_workers_lack_is_refused() {
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    let job = pod(json!({
        "activeDeadlineSeconds": 1, "hostNetwork": true, "imagePullSecrets": [{"name": "r"}],
        "dnsPolicy": "ClusterFirstWithHostNet",
        "securityContext": {"runAsUser": 0, "runAsGroup": 1, "fsGroup": 2, "runAsNonRoot": false,
            "supplementalGroups": [3], "supplementalGroupsPolicy": "Merge",
            "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "Unconfined"},
            "appArmorProfile": {"type": "RuntimeDefault"}},
        "initContainers": [
            {"name": "i", "image": "x"},
            {"name": "s", "image": "x", "restartPolicy": "Always"}],
        "containers": [
            {"name": "c", "image": "x", "terminationMessagePath": "/tmp/end",
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "ports": [{"containerPort": 80, "hostPort": 80}],
                "env": [
                    {"name": "A", "valueFrom": field("metadata.labels['a/b']")},
                    {"name": "B", "valueFrom": field("metadata.annotations['A.b/C']")},
                    {"name": "C", "valueFrom": field("spec.nodeName")},
                    {"name": "D", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu",
                        "divisor": "1m"}}},
                    {"name": "E", "valueFrom": {"resourceFieldRef": {"resource":
                        "requests.memory", "containerName": "d", "divisor": "1Mi"}}},
                    {"name": "F", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}},
                    {"name": "G", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k.x",
                        "optional": true}}}],
                "envFrom": [{"configMapRef": {"name": "m"}},
                    {"prefix": "P_", "secretRef": {"name": "s"}}],
                "securityContext": {"readOnlyRootFilesystem": true, "procMount": "Default",
                    "allowPrivilegeEscalation": false, "runAsNonRoot": true,
                    "capabilities": {"add": ["NET_ADMIN", "CAP_KILL"], "drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"}},
                "volumeMounts": [
                    {"name": "v", "mountPath": "/v", "subPath": "a/b", "readOnly": true,
                        "mountPropagation": "None", "recursiveReadOnly": "Disabled"},
                    {"name": "p", "mountPath": "/p", "subPathExpr": "$(A)"}]},
            {"name": "d", "image": "x"}],
        "volumes": [
            {"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "m", "configMap": {"name": "m", "defaultMode": 0, "items": [
                {"key": "k", "path": "a/k", "mode": 511}]}},
            {"name": "s", "secret": {"secretName": "s", "optional": true}},
            {"name": "d", "downwardAPI": {"items": [
                {"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}},
                {"path": "c", "resourceFieldRef": {"containerName": "c",
                    "resource": "limits.memory"}}]}},
            {"name": "p", "projected": {"sources": [{"configMap": {"name": "m"}},
                {"secret": {"name": "s"}}, {"downwardAPI": {"items": []}}]}},
            {"name": "q", "persistentVolumeClaim": {"claimName": "data", "readOnly": true}}]
    }));
    let mut found = errors(job);
    found.retain(|error| !error.contains("Forbidden: not supported yet: "));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn pods_are_judged_in_kubernetes_words() {
    let twice = json!([{"name": "c", "image": "x"}]);
    check(vec![
        (
            pod(json!({"initContainers": twice})),
            "spec.template.spec.containers[0].name: Duplicate value: \"c\"",
        ),
        (
            pod(json!({"initContainers": [
                {"name": "i", "image": "x", "restartPolicy": "OnFailure"}]})),
            "initContainers[0].restartPolicy: Unsupported value: \"OnFailure\": supported values: \
             \"Always\"",
        ),
        (
            container("restartPolicy", json!("Always")),
            "containers[0].restartPolicy: Forbidden: may not be set for non-init containers",
        ),
        (
            pod(json!({"activeDeadlineSeconds": 0})),
            "activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ),
        (
            pod(json!({"imagePullSecrets": [{"name": "a b"}]})),
            "imagePullSecrets[0].name: Invalid value: \"a b\"",
        ),
        (
            pod(json!({"securityContext": {"runAsUser": -1}})),
            "securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647",
        ),
        (
            pod(json!({"securityContext": {"supplementalGroups": [1, 4_294_967_296_i64]}})),
            "securityContext.supplementalGroups[1]: Invalid value: 4294967296: must be between",
        ),
        (
            pod(json!({"securityContext": {"seccompProfile": {"type": "X"}}})),
            "securityContext.seccompProfile.type: Unsupported value: \"X\"",
        ),
        (pod(json!({"subdomain": "x"})), "subdomain: Forbidden: not supported yet"),
        (pod(json!({"hostPID": true})), "hostPID: Forbidden: not supported yet"),
    ]);
}

#[test]
fn containers_are_judged_in_kubernetes_words() {
    let security = |context: Value| container("securityContext", context);
    check(vec![
        (
            security(json!({"allowPrivilegeEscalation": false, "privileged": true})),
            "securityContext: Invalid value: cannot set `allowPrivilegeEscalation` to false and \
             `privileged` to true",
        ),
        (
            security(json!({"allowPrivilegeEscalation": false,
                "capabilities": {"add": ["CAP_SYS_ADMIN"]}})),
            "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
        ),
        (
            security(json!({"capabilities": {"drop": ["FLY"]}})),
            "securityContext.capabilities.drop[0]: Invalid value: \"FLY\": must be a Linux",
        ),
        (
            container("terminationMessagePolicy", json!("X")),
            "terminationMessagePolicy: Unsupported value: \"X\"",
        ),
        (
            container("terminationMessagePath", json!("x")),
            "terminationMessagePath: Invalid value: \"x\": must be an absolute path",
        ),
        (
            container("terminationMessagePath", json!("/.longshore/x")),
            "terminationMessagePath: Forbidden: the place is taken",
        ),
        (
            container("ports", json!([{"containerPort": 80, "hostPort": 80}])),
            "ports[0].hostPort: Forbidden: not supported yet",
        ),
        (container("livenessProbe", json!({"periodSeconds": 1})), "livenessProbe: Forbidden"),
        (mount(json!({"subPath": "/a"})), "subPath: Invalid value: \"/a\": must be a relative"),
        (mount(json!({"subPath": "a/../b"})), "subPath: Invalid value: \"a/../b\": must not"),
        (
            mount(json!({"subPath": "a", "subPathExpr": "b"})),
            "subPathExpr: Invalid value: \"b\": subPathExpr and subPath are mutually exclusive",
        ),
        (mount(json!({"mountPropagation": "Bidirectional"})), "mountPropagation: Forbidden"),
        (mount(json!({"mountPath": "//.longshore"})), "mountPath: Forbidden: the place is taken"),
        (mount(json!({"mountPath": "/."})), "mountPath: Forbidden: the place is taken"),
    ]);
}

#[test]
fn variables_are_judged_in_kubernetes_words() {
    let field = |path: &str| variable(json!({"fieldRef": {"fieldPath": path}}));
    let resource = |selector: Value| variable(json!({"resourceFieldRef": selector}));
    let from = |source: Value| container("envFrom", json!([source]));
    check(vec![
        (variable(json!({})), "env[0].valueFrom: Invalid value: \"\": must specify one of:"),
        (
            variable(json!({"fieldRef": {"fieldPath": "metadata.name"},
                "secretKeyRef": {"name": "s", "key": "k"}})),
            "valueFrom: Invalid value: \"\": may not have more than one field specified at a time",
        ),
        (
            container(
                "env",
                json!([{"name": "A", "value": "x",
                "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
            ),
            "valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
        ),
        (field(""), "fieldRef.fieldPath: Required value"),
        (
            field("metadata.labels"),
            "fieldPath: Unsupported value: \"metadata.labels\": supported values: \
             \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \
             \"spec.serviceAccountName\", \"status.hostIP\"",
        ),
        (field("status.podIP"), "fieldPath: Forbidden: not supported yet: the Pod's address"),
        (field("metadata.labels['a b']"), "fieldPath: Invalid value: \"metadata.labels['a b']\""),
        (field("spec['a']"), "fieldPath: Invalid value: \"spec['a']\": error converting"),
        (resource(json!({"resource": ""})), "resourceFieldRef.resource: Required value"),
        (
            resource(json!({"resource": "limits.gpu"})),
            "resourceFieldRef.resource: Unsupported value: \"limits.gpu\"",
        ),
        (
            resource(json!({"resource": "limits.cpu", "divisor": "2"})),
            "divisor: Invalid value: \"2\": only divisor's values 1m and 1 are supported with the \
             cpu resource",
        ),
        (
            resource(json!({"resource": "limits.memory", "divisor": "1m"})),
            "divisor: Invalid value: \"1m\": only divisor's values 1, 1k,",
        ),
        (
            resource(json!({"resource": "limits.cpu", "containerName": "x"})),
            "resourceFieldRef.containerName: Not found: \"x\"",
        ),
        (
            variable(json!({"configMapKeyRef": {"name": "", "key": "a/b"}})),
            "configMapKeyRef.name: Required value",
        ),
        (
            variable(json!({"configMapKeyRef": {"name": "m", "key": "a/b"}})),
            "configMapKeyRef.key: Invalid value: \"a/b\": a valid config key must consist of",
        ),
        (from(json!({})), "envFrom[0]: Invalid value: \"\": must specify one of: `configMapRef`"),
        (
            from(json!({"configMapRef": {"name": "m"}, "secretRef": {"name": "s"}})),
            "envFrom[0]: Invalid value: \"\": may not have more than one field specified",
        ),
        (
            from(json!({"prefix": "a=", "configMapRef": {"name": "m"}})),
            "envFrom[0].prefix: Invalid value: \"a=\"",
        ),
        (from(json!({"secretRef": {"name": "A"}})), "envFrom[0].secretRef.name: Invalid value"),
    ]);
}

#[test]
fn volumes_are_judged_in_kubernetes_words() {
    let items = |items: Value| volume(json!({"configMap": {"name": "m", "items": items}}));
    let files = |items: Value| volume(json!({"downwardAPI": {"items": items}}));
    check(vec![
        (volume(json!({"configMap": {}})), "volumes[1].configMap.name: Required value"),
        (volume(json!({"secret": {}})), "volumes[1].secret.secretName: Required value"),
        (
            volume(json!({"secret": {"secretName": "s", "defaultMode": 512}})),
            "secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), \
             both inclusive",
        ),
        (items(json!([{"path": "a"}])), "configMap.items[0].key: Required value"),
        (items(json!([{"key": "a"}])), "configMap.items[0].path: Required value"),
        (
            items(json!([{"key": "a", "path": "/a"}])),
            "items[0].path: Invalid value: \"/a\": must be a relative path",
        ),
        (
            items(json!([{"key": "a", "path": "a/.."}])),
            "items[0].path: Invalid value: \"a/..\": must not contain '..'",
        ),
        (
            items(json!([{"key": "a", "path": "..a"}])),
            "items[0].path: Invalid value: \"..a\": must not start with '..'",
        ),
        (
            files(json!([{"path": "a"}])),
            "items[0]: Required value: one of fieldRef and resourceFieldRef is required",
        ),
        (
            files(json!([{"path": "a", "fieldRef": {"fieldPath": "spec.nodeName"}}])),
            "fieldPath: Unsupported value: \"spec.nodeName\": supported values: \
             \"metadata.annotations\", \"metadata.labels\"",
        ),
        (
            files(json!([{"path": "a", "resourceFieldRef": {"resource": "limits.cpu"}}])),
            "resourceFieldRef.containerName: Required value",
        ),
        (
            volume(json!({"projected": {"sources": [
                {"configMap": {"name": "a", "items": [{"key": "k", "path": "p"}]}},
                {"secret": {"name": "b", "items": [{"key": "k", "path": "p"}]}}]}})),
            "projected.sources[1]: Invalid value: \"p\": conflicting duplicate paths",
        ),
        (
            volume(json!({"projected": {"sources": [
                {"configMap": {"name": "a"}, "secret": {"name": "b"}}]}})),
            "projected.sources[0]: Forbidden: may not specify more than 1 volume type",
        ),
        (
            volume(json!({"emptyDir": {"sizeLimit": "-1"}})),
            "emptyDir.sizeLimit: Invalid value: \"-1\": must be greater than or equal to 0",
        ),
        (
            volume(json!({"persistentVolumeClaim": {}})),
            "persistentVolumeClaim.claimName: Required value",
        ),
        (volume(json!({"ephemeral": {}})), "volumes[1].ephemeral: Forbidden: not supported yet"),
    ]);
}

#[test]
fn storage_that_is_not_counted_is_a_warning() {
    let limits = json!({"limits": {"ephemeral-storage": "1Gi"}});
    let job = container("resources", limits);
    assert_eq!(errors(job.clone()), Vec::<String>::new());
    let warnings = warnings(&prepared(job));
    assert!(warnings[0].0.contains("limits[ephemeral-storage] has no effect"), "{warnings:?}");
}
