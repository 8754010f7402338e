//! Bodies of requests that write.

use k8s_openapi::api::core::v1::{ConfigMap, Node, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use longshore_api::manifest::parse_yaml;
use longshore_api::{Resource, protobuf};
use serde_json::Value;

use crate::{config, job};

/// `data` is a letter for the content type, `j` (JSON), `y` (YAML) or `p` (protobuf), and the body.
pub fn body(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    let Some(value) = parse(*kind, body) else { return };
    match value["kind"].as_str() {
        Some("ConfigMap") => config::decoded::<ConfigMap>(Resource::ConfigMaps, value),
        Some("Secret") => config::decoded::<Secret>(Resource::Secrets, value),
        Some("Node") => {
            if let Ok(node) = serde_json::from_value::<Node>(value) {
                job::rows(node);
            }
        }
        Some("DeleteOptions") => {
            let _ = serde_json::from_value::<DeleteOptions>(value);
        }
        _ => job::decoded(value),
    }
}

/// The object of a body, read as the server reads it.
fn parse(kind: u8, body: &[u8]) -> Option<Value> {
    match kind {
        b'j' => serde_json::from_slice(body).ok(),
        b'y' => {
            let mut documents = parse_yaml(std::str::from_utf8(body).ok()?).ok()?;
            documents.pop().filter(|_| documents.is_empty())
        }
        b'p' => protobuf::to_json(body),
        _ => None,
    }
}
