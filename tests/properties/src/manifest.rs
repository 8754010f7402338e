//! Manifests as the command line reads them.

use longshore_api::manifest::parse_yaml;

use crate::job;

/// `data` is a manifest, YAML or JSON.
pub fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let objects = match parse_yaml(text) {
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
