//! A Node, which is a worker, in the order of `kubectl describe node`.

use serde_json::Value;

use super::text::{Text, plain};

/// `pods` are those that name this Node; the ones that have not ended are shown.
pub(super) fn describe(text: &mut Text, node: &Value, pods: &[Value]) {
    let (metadata, status) = (&node["metadata"], &node["status"]);
    text.field_if(0, "Name", &metadata["name"]);
    text.map(0, "Labels", &metadata["labels"], "=");
    text.map(0, "Annotations", &metadata["annotations"], ": ");
    text.time_if(0, "CreationTimestamp", &metadata["creationTimestamp"]);
    let unschedulable = node["spec"]["unschedulable"].as_bool().unwrap_or(false);
    text.field(0, "Unschedulable", &unschedulable.to_string());
    text.conditions(node);
    for (title, field) in
        [("Capacity", "capacity"), ("Allocatable", "allocatable"), ("System Info", "nodeInfo")]
    {
        let Some(entries) = status[field].as_object() else { continue };
        text.line(0, &format!("{title}:"));
        for (key, value) in entries {
            if plain(value).is_some_and(|value| !value.is_empty()) {
                text.field_if(1, key, value);
            }
        }
    }
    let running: Vec<Vec<String>> = pods
        .iter()
        .filter(|pod| !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")))
        .map(|pod| {
            let cell = |value: &Value| plain(value).unwrap_or_default();
            let metadata = &pod["metadata"];
            vec![
                cell(&metadata["namespace"]),
                cell(&metadata["name"]),
                cell(&pod["status"]["phase"]),
            ]
        })
        .collect();
    text.line(0, &format!("Non-terminated Pods: ({} in total)", running.len()));
    if !running.is_empty() {
        text.table(1, &["Namespace", "Name", "Status"], &running);
    }
}
