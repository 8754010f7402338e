//! Manifests as the command line reads them.

use longshore_api::manifest::{ManifestError, parse_yaml};
use serde_json::Value;

use crate::job;

/// `data` is a manifest, YAML or JSON.
pub fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = parse_yaml(text);
    if let Ok(json) = serde_json::from_str(text) {
        same_as_json(&read, &json);
    }
    let objects = match read {
        Ok(objects) => objects,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    for object in objects {
        assert!(object["kind"].is_string() && object["apiVersion"].is_string());
        if object["kind"] == "Job" {
            job::decoded(object);
        }
    }
}

/// A text that is JSON is refused for what it says alone, or for a key given twice.
fn same_as_json(read: &Result<Vec<Value>, ManifestError>, json: &Value) {
    match read {
        Ok(objects) if json["kind"].as_str().is_some_and(|kind| !kind.ends_with("List")) => {
            assert_eq!(objects.as_slice(), std::slice::from_ref(json));
        }
        Err(ManifestError::NotYaml { source }) if json.is_object() => {
            panic!("JSON is refused as YAML: {source}");
        }
        _ => {}
    }
}
