//! The downward API: what a Pod's variables and files say of the Pod itself. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceFieldSelector};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use longshore_api::quantity::parse_milli;

/// What a Pod's fields are read from.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) metadata: &'a ObjectMeta,
    pub(super) spec: &'a PodSpec,
    pub(super) host: &'a Host,
}

/// The host, as far as Pods are told of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    /// What its Node gives as its address.
    pub(super) address: String,
    pub(super) cpus: u32,
    /// In bytes.
    pub(super) memory: u64,
}

impl Fields<'_> {
    /// The value of a `fieldPath`; the error is fit for the user.
    pub(super) fn field(&self, path: &str) -> Result<String, String> {
        let metadata = self.metadata;
        let value = match path {
            "metadata.name" => metadata.name.clone(),
            "metadata.namespace" => metadata.namespace.clone(),
            "metadata.uid" => metadata.uid.clone(),
            "metadata.labels" => Some(lines(metadata.labels.as_ref())),
            "metadata.annotations" => Some(lines(metadata.annotations.as_ref())),
            "spec.nodeName" => self.spec.node_name.clone(),
            "spec.serviceAccountName" => self.spec.service_account_name.clone(),
            "status.hostIP" => Some(self.host.address.clone()),
            _ => {
                let of = |map: Option<&BTreeMap<String, String>>, key: &str| {
                    map.and_then(|map| map.get(key)).cloned()
                };
                if let Some(key) = subscript(path, "metadata.labels") {
                    of(metadata.labels.as_ref(), key)
                } else if let Some(key) = subscript(path, "metadata.annotations") {
                    of(metadata.annotations.as_ref(), key)
                } else {
                    return Err(format!("unsupported fieldPath: {path}"));
                }
            }
        };
        Ok(value.unwrap_or_default())
    }

    /// The value of a `resourceFieldRef`, of the container that it names or else of `own`. A limit that
    /// isn't set is what the host has.
    pub(super) fn resource(
        &self,
        selector: &ResourceFieldSelector,
        own: &Container,
    ) -> Result<String, String> {
        let init = self.spec.init_containers.iter().flatten();
        let container = match selector.container_name.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => init.chain(&self.spec.containers).find(|one| one.name == name),
            None => Some(own),
        };
        let container = container
            .ok_or_else(|| format!("container {:?} not found", selector.container_name))?;
        let resource = selector.resource.as_str();
        let resources = container.resources.clone().unwrap_or_default();
        let (list, name, otherwise) = match resource {
            "limits.cpu" => (resources.limits, "cpu", i128::from(self.host.cpus) * 1_000),
            "limits.memory" => (resources.limits, "memory", i128::from(self.host.memory) * 1_000),
            "requests.cpu" => (resources.requests, "cpu", 0),
            "requests.memory" => (resources.requests, "memory", 0),
            _ => return Err(format!("unsupported container resource : {resource}")),
        };
        let set = list.as_ref().and_then(|list| list.get(name));
        let amount = set.and_then(|set| parse_milli(&set.0)).unwrap_or(otherwise);
        let divisor = selector.divisor.as_ref().and_then(|divisor| parse_milli(&divisor.0));
        let divisor = divisor.filter(|divisor| *divisor > 0).unwrap_or(1_000);
        Ok((amount / divisor + i128::from(amount % divisor != 0)).to_string())
    }
}

/// The key of `map['key']`.
fn subscript<'a>(path: &'a str, map: &str) -> Option<&'a str> {
    path.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']")
}

/// Labels and annotations as a file has them: `key="value"` on each line, by key.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines = map.into_iter().flatten().map(|(key, value)| format!("{key}={}", quoted(value)));
    lines.collect::<Vec<_>>().join("\n")
}

/// As Go's `%q` has it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other if other.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(other)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn with(check: impl Fn(Fields<'_>)) {
        let metadata = from_value(json!({
            "name": "p", "namespace": "n", "uid": "u",
            "labels": { "a": "1", "b/c": "x\"y\nz" }, "annotations": {}
        }));
        let spec = from_value(json!({
            "nodeName": "w",
            "initContainers": [{ "name": "i", "resources": { "limits": { "cpu": "250m" } } }],
            "containers": [{ "name": "c", "resources": { "requests": { "memory": "1025Ki" } } }]
        }));
        let host = Host { address: "h".into(), cpus: 2, memory: 4096 };
        let (metadata, spec) = (metadata.expect("metadata"), spec.expect("a specification"));
        check(Fields { metadata: &metadata, spec: &spec, host: &host });
    }

    #[test]
    fn fields_are_those_of_the_pod() {
        with(|fields| {
            for (path, value) in [
                ("metadata.name", "p"),
                ("metadata.namespace", "n"),
                ("metadata.uid", "u"),
                ("metadata.labels['a']", "1"),
                ("metadata.labels['none']", ""),
                ("metadata.labels", "a=\"1\"\nb/c=\"x\\\"y\\nz\""),
                ("metadata.annotations", ""),
                ("spec.nodeName", "w"),
                ("status.hostIP", "h"),
            ] {
                assert_eq!(fields.field(path).as_deref(), Ok(value), "{path}");
            }
            assert!(fields.field("status.podIP").is_err());
        });
    }

    #[test]
    fn resources_are_rounded_up_in_their_divisor() {
        with(|fields| {
            for (container, resource, divisor, value) in [
                ("i", "limits.cpu", "1m", "250"),
                ("i", "limits.cpu", "0", "1"),
                ("", "limits.cpu", "1", "2"),
                ("", "limits.memory", "1Ki", "4"),
                ("", "requests.memory", "1Mi", "2"),
                ("", "requests.cpu", "1m", "0"),
            ] {
                let selector = from_value(json!({
                    "containerName": container, "resource": resource, "divisor": divisor
                }));
                let own = &fields.spec.containers[0];
                let found = fields.resource(&selector.expect("a selector"), own);
                assert_eq!(found.as_deref(), Ok(value), "{container} {resource} {divisor}");
            }
        });
    }
}
