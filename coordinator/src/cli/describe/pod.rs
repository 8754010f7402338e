//! A Pod, which is an attempt, in the order of `kubectl describe pod`; and the
//! containers and volumes that a Job's template has too.

use serde_json::Value;

use super::text::{Text, plain};

pub(super) fn describe(text: &mut Text, pod: &Value) {
    let (metadata, spec, status) = (&pod["metadata"], &pod["spec"], &pod["status"]);
    text.field_if(0, "Name", &metadata["name"]);
    text.field_if(0, "Namespace", &metadata["namespace"]);
    text.field(0, "Node", &plain(&spec["nodeName"]).unwrap_or("<none>".to_owned()));
    text.time_if(0, "Start Time", &status["startTime"]);
    text.map(0, "Labels", &metadata["labels"], "=");
    text.map(0, "Annotations", &metadata["annotations"], ": ");
    text.field_if(0, "Status", &status["phase"]);
    text.field_if(0, "Reason", &status["reason"]);
    text.field_if(0, "Message", &status["message"]);
    let owner = &metadata["ownerReferences"][0];
    if let (Some(kind), Some(name)) = (owner["kind"].as_str(), owner["name"].as_str()) {
        text.field(0, "Controlled By", &format!("{kind}/{name}"));
    }
    let statuses = status["containerStatuses"].as_array().map(Vec::as_slice).unwrap_or(&[]);
    containers(text, 0, spec, statuses);
    text.conditions(pod);
    volumes(text, 0, spec);
}

/// What a Job's template says of its Pods.
pub(super) fn template(text: &mut Text, spec: &Value) {
    containers(text, 1, spec, &[]);
    volumes(text, 1, spec);
    text.field_if(1, "Restart Policy", &spec["restartPolicy"]);
}

fn containers(text: &mut Text, depth: usize, spec: &Value, statuses: &[Value]) {
    text.line(depth, "Containers:");
    let depth = depth + 1;
    for container in spec["containers"].as_array().into_iter().flatten() {
        let name = container["name"].as_str().unwrap_or_default();
        text.line(depth, name);
        let depth = depth + 1;
        let status = statuses.iter().find(|status| status["name"] == name);
        if let Some(status) = status {
            text.field_if(depth, "Container ID", &status["containerID"]);
        }
        text.field_if(depth, "Image", &container["image"]);
        text.words(depth, "Command", &container["command"]);
        text.words(depth, "Args", &container["args"]);
        text.field_if(depth, "Working Dir", &container["workingDir"]);
        if let Some(status) = status {
            state(text, depth, "State", &status["state"]);
            if status["lastState"].as_object().is_some_and(|last| !last.is_empty()) {
                state(text, depth, "Last State", &status["lastState"]);
            }
            text.field_if(depth, "Ready", &status["ready"]);
            text.field_if(depth, "Restart Count", &status["restartCount"]);
        }
        for (key, field) in [("Limits", "limits"), ("Requests", "requests")] {
            if container["resources"][field].is_object() {
                text.map(depth, key, &container["resources"][field], ": ");
            }
        }
        let list = |field: &str, show: fn(&Value) -> String| {
            container[field].as_array().into_iter().flatten().map(show).collect::<Vec<_>>()
        };
        text.several(depth, "Environment", &list("env", variable));
        text.several(depth, "Mounts", &list("volumeMounts", mount));
    }
}

fn state(text: &mut Text, depth: usize, key: &str, state: &Value) {
    let Some((kind, state)) = state.as_object().and_then(|state| state.iter().next()) else {
        return;
    };
    let mut name = kind.clone();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text.field(depth, key, &name);
    text.field_if(depth + 1, "Reason", &state["reason"]);
    text.field_if(depth + 1, "Message", &state["message"]);
    text.field_if(depth + 1, "Exit Code", &state["exitCode"]);
    text.field_if(depth + 1, "Signal", &state["signal"]);
    text.time_if(depth + 1, "Started", &state["startedAt"]);
    text.time_if(depth + 1, "Finished", &state["finishedAt"]);
}

fn volumes(text: &mut Text, depth: usize, spec: &Value) {
    let Some(all) = spec["volumes"].as_array().filter(|all| !all.is_empty()) else { return };
    text.line(depth, "Volumes:");
    for volume in all {
        text.line(depth + 1, volume["name"].as_str().unwrap_or_default());
        for (kind, source) in volume.as_object().into_iter().flatten() {
            if kind == "name" {
                continue;
            }
            text.field(depth + 2, "Type", kind);
            for (key, value) in source.as_object().into_iter().flatten() {
                text.field_if(depth + 2, key, value);
            }
        }
    }
}

fn variable(variable: &Value) -> String {
    let name = variable["name"].as_str().unwrap_or_default();
    match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
        Some(path) => format!("{name} (v1:{path})"),
        None => format!("{name}={}", plain(&variable["value"]).unwrap_or_default()),
    }
}

fn mount(mount: &Value) -> String {
    let path = mount["mountPath"].as_str().unwrap_or_default();
    let name = mount["name"].as_str().unwrap_or_default();
    let access = if mount["readOnly"] == true { "ro" } else { "rw" };
    format!("{path} from {name} ({access})")
}
