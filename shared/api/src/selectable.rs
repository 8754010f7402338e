//! The labels and fields of the served objects, by which selectors choose.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// An object that label selectors and field selectors can choose.
pub trait Selectable {
    fn labels(&self) -> Option<&BTreeMap<String, String>>;

    /// The value of one of [`selectable_fields`](crate::selector::selectable_fields); empty for a
    /// field that isn't set.
    fn field(&self, name: &str) -> Cow<'_, str>;
}

impl Selectable for Job {
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.metadata.labels.as_ref()
    }

    fn field(&self, name: &str) -> Cow<'_, str> {
        match name {
            "status.successful" => {
                let succeeded = self.status.as_ref().and_then(|status| status.succeeded);
                Cow::Owned(succeeded.unwrap_or(0).to_string())
            }
            _ => metadata_field(&self.metadata, name),
        }
    }
}

impl Selectable for Pod {
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.metadata.labels.as_ref()
    }

    fn field(&self, name: &str) -> Cow<'_, str> {
        let spec = self.spec.as_ref();
        let status = self.status.as_ref();
        match name {
            "spec.nodeName" => text(spec.and_then(|spec| spec.node_name.as_ref())),
            "spec.restartPolicy" => text(spec.and_then(|spec| spec.restart_policy.as_ref())),
            "spec.schedulerName" => text(spec.and_then(|spec| spec.scheduler_name.as_ref())),
            "spec.serviceAccountName" => {
                text(spec.and_then(|spec| spec.service_account_name.as_ref()))
            }
            "spec.hostNetwork" => flag(spec.and_then(|spec| spec.host_network)),
            "status.phase" => text(status.and_then(|status| status.phase.as_ref())),
            "status.podIP" | "status.podIPs" => {
                text(status.and_then(|status| status.pod_ip.as_ref()))
            }
            "status.nominatedNodeName" => {
                text(status.and_then(|status| status.nominated_node_name.as_ref()))
            }
            _ => metadata_field(&self.metadata, name),
        }
    }
}

impl Selectable for Node {
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.metadata.labels.as_ref()
    }

    fn field(&self, name: &str) -> Cow<'_, str> {
        match name {
            "spec.unschedulable" => flag(self.spec.as_ref().and_then(|spec| spec.unschedulable)),
            _ => metadata_field(&self.metadata, name),
        }
    }
}

impl Selectable for Event {
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.metadata.labels.as_ref()
    }

    fn field(&self, name: &str) -> Cow<'_, str> {
        let involved = &self.involved_object;
        match name {
            "involvedObject.kind" => text(involved.kind.as_ref()),
            "involvedObject.namespace" => text(involved.namespace.as_ref()),
            "involvedObject.name" => text(involved.name.as_ref()),
            "involvedObject.uid" => text(involved.uid.as_ref()),
            "involvedObject.apiVersion" => text(involved.api_version.as_ref()),
            "involvedObject.resourceVersion" => text(involved.resource_version.as_ref()),
            "involvedObject.fieldPath" => text(involved.field_path.as_ref()),
            "reason" => text(self.reason.as_ref()),
            "reportingComponent" => text(self.reporting_component.as_ref()),
            "source" => text(self.source.as_ref().and_then(|source| source.component.as_ref())),
            "type" => text(self.type_.as_ref()),
            _ => metadata_field(&self.metadata, name),
        }
    }
}

impl Selectable for Namespace {
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.metadata.labels.as_ref()
    }

    fn field(&self, name: &str) -> Cow<'_, str> {
        match name {
            "status.phase" => text(self.status.as_ref().and_then(|status| status.phase.as_ref())),
            _ => metadata_field(&self.metadata, name),
        }
    }
}

impl Selectable for ConfigMap {
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.metadata.labels.as_ref()
    }

    fn field(&self, name: &str) -> Cow<'_, str> {
        metadata_field(&self.metadata, name)
    }
}

impl Selectable for Secret {
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.metadata.labels.as_ref()
    }

    fn field(&self, name: &str) -> Cow<'_, str> {
        match name {
            "type" => text(self.type_.as_ref()),
            _ => metadata_field(&self.metadata, name),
        }
    }
}

fn metadata_field<'a>(metadata: &'a ObjectMeta, name: &str) -> Cow<'a, str> {
    match name {
        "metadata.name" => text(metadata.name.as_ref()),
        "metadata.namespace" => text(metadata.namespace.as_ref()),
        _ => Cow::Borrowed(""),
    }
}

fn text(value: Option<&String>) -> Cow<'_, str> {
    Cow::Borrowed(value.map_or("", String::as_str))
}

fn flag(value: Option<bool>) -> Cow<'static, str> {
    Cow::Borrowed(if value == Some(true) { "true" } else { "false" })
}
