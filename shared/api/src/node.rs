//! Workers shown as Kubernetes Nodes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo, Taint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use longshore_job::Millis;
use uuid::Uuid;

use crate::pod::NULL_RUNTIME;
use crate::time::time;

/// What is known of a worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeInfo {
    pub name: String,
    pub ready: bool,
    /// The reason of the Ready condition, in one word; empty takes the usual one.
    pub reason: String,
    pub message: String,
    pub slots: u32,
    /// How many attempts it runs now.
    pub running: u32,
    /// `docker` or `null`.
    pub runtime: String,
    /// The version of the Docker engine.
    pub runtime_version: String,
    /// The version of the worker program.
    pub worker_version: String,
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub arch: String,
    pub kernel: String,
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    pub os_image: String,
    /// The name of the host.
    pub host: String,
    pub cpus: u32,
    /// In bytes.
    pub memory: u64,
    pub started: Millis,
    pub heartbeat: Millis,
    /// When its readiness last changed.
    pub since: Millis,
    /// Whether it takes no new attempts.
    pub unschedulable: bool,
}

/// The Node of a worker, complete but for its resourceVersion.
pub fn render_node(node: &NodeInfo) -> Node {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let labels = BTreeMap::from([
        label("kubernetes.io/hostname", &node.name),
        label("kubernetes.io/os", &node.os),
        label("kubernetes.io/arch", &node.arch),
        label("longshore.dev/runtime", &node.runtime),
    ]);
    let running = [("longshore.dev/running".to_owned(), node.running.to_string())];
    Node {
        metadata: ObjectMeta {
            name: Some(node.name.clone()),
            uid: Some(node_uid(&node.name)),
            creation_timestamp: Some(time(node.started)),
            labels: Some(labels),
            annotations: Some(BTreeMap::from(running)),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            unschedulable: node.unschedulable.then_some(true),
            taints: node.unschedulable.then(|| {
                vec![Taint {
                    key: "node.kubernetes.io/unschedulable".into(),
                    effect: "NoSchedule".into(),
                    ..Taint::default()
                }]
            }),
            ..NodeSpec::default()
        }),
        status: Some(NodeStatus {
            addresses: Some(vec![NodeAddress {
                type_: "Hostname".into(),
                address: node.host.clone(),
            }]),
            capacity: Some(capacity(node)),
            allocatable: Some(capacity(node)),
            conditions: Some(vec![ready(node)]),
            node_info: Some(system(node)),
            ..NodeStatus::default()
        }),
    }
}

/// The uid of a worker's Node: always the same for the same name.
pub fn node_uid(name: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_DNS, name.as_bytes()).to_string()
}

/// A slot is what Kubernetes calls a place for a Pod.
fn capacity(node: &NodeInfo) -> BTreeMap<String, Quantity> {
    BTreeMap::from([
        ("cpu".to_owned(), Quantity(node.cpus.to_string())),
        ("memory".to_owned(), Quantity(format!("{}Ki", node.memory / 1024))),
        ("pods".to_owned(), Quantity(node.slots.to_string())),
    ])
}

fn ready(node: &NodeInfo) -> NodeCondition {
    let usual = if node.ready { "WorkerReady" } else { "WorkerNotReady" };
    let reason = if node.reason.is_empty() { usual } else { &node.reason };
    let message = match (node.runtime == NULL_RUNTIME, node.message.is_empty()) {
        (false, false) => node.message.clone(),
        (false, true) if node.ready => "the worker takes attempts".into(),
        (false, true) => "the worker takes no attempts".into(),
        (true, false) => format!("null runtime: {}", node.message),
        (true, true) => "null runtime: no container is run".into(),
    };
    NodeCondition {
        type_: "Ready".into(),
        status: if node.ready { "True" } else { "False" }.into(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_heartbeat_time: Some(time(node.heartbeat)),
        last_transition_time: Some(time(node.since)),
    }
}

fn system(node: &NodeInfo) -> NodeSystemInfo {
    let runtime_version = if node.runtime == NULL_RUNTIME {
        "null://".to_owned()
    } else {
        format!("{}://{}", node.runtime, node.runtime_version)
    };
    NodeSystemInfo {
        architecture: node.arch.clone(),
        container_runtime_version: runtime_version,
        kernel_version: node.kernel.clone(),
        kubelet_version: node.worker_version.clone(),
        operating_system: node.os.clone(),
        os_image: node.os_image.clone(),
        ..NodeSystemInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::to_value;

    fn info() -> NodeInfo {
        NodeInfo {
            name: "worker-1".into(),
            ready: true,
            slots: 4,
            runtime: "docker".into(),
            runtime_version: "20.10.24".into(),
            os: "linux".into(),
            arch: "amd64".into(),
            cpus: 2,
            memory: 4 << 30,
            ..NodeInfo::default()
        }
    }

    #[test]
    fn slots_are_places_for_pods() {
        let node = to_value(render_node(&info())).expect("json");
        assert_eq!(node["status"]["capacity"]["pods"], "4");
        assert_eq!(node["status"]["capacity"]["memory"], "4194304Ki");
        assert_eq!(node["status"]["nodeInfo"]["containerRuntimeVersion"], "docker://20.10.24");
        assert_eq!(node["status"]["conditions"][0]["status"], "True");
        assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "worker-1");
    }

    #[test]
    fn the_null_runtime_is_told_in_the_version_and_the_condition() {
        let node = NodeInfo { runtime: "null".into(), ..info() };
        let node = to_value(render_node(&node)).expect("json");
        assert_eq!(node["status"]["nodeInfo"]["containerRuntimeVersion"], "null://");
        let message = node["status"]["conditions"][0]["message"].as_str().expect("message");
        assert!(message.contains("null"), "{message}");
    }
}
