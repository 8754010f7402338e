//! The kinds of objects that are served, and which of them a request selects.

use std::sync::Arc;

use k8s_openapi::Metadata;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use longshore_api::Resource;
use longshore_api::selector::{FieldSelector, LabelSelector, Selectable};
use longshore_api::table::TableRow;

use crate::errors::Failure;
use crate::negotiate::Params;

/// A kind of object that is served.
pub(crate) trait Served:
    Selectable + TableRow + Metadata<Ty = ObjectMeta> + Clone + Send + Sync + 'static
{
    const RESOURCE: Resource;

    /// The object of a change, if it is of this kind.
    fn of(object: &Object) -> Option<&Self>;
}

/// An object of any kind, shared by all watchers.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Job(Arc<Job>),
    Pod(Arc<Pod>),
    Event(Arc<Event>),
    Node(Arc<Node>),
    ConfigMap(Arc<ConfigMap>),
    Secret(Arc<Secret>),
}

impl Served for Job {
    const RESOURCE: Resource = Resource::Jobs;

    fn of(object: &Object) -> Option<&Self> {
        match object {
            Object::Job(job) => Some(job),
            _ => None,
        }
    }
}

impl Served for Pod {
    const RESOURCE: Resource = Resource::Pods;

    fn of(object: &Object) -> Option<&Self> {
        match object {
            Object::Pod(pod) => Some(pod),
            _ => None,
        }
    }
}

impl Served for Event {
    const RESOURCE: Resource = Resource::Events;

    fn of(object: &Object) -> Option<&Self> {
        match object {
            Object::Event(event) => Some(event),
            _ => None,
        }
    }
}

impl Served for Node {
    const RESOURCE: Resource = Resource::Nodes;

    fn of(object: &Object) -> Option<&Self> {
        match object {
            Object::Node(node) => Some(node),
            _ => None,
        }
    }
}

impl Served for ConfigMap {
    const RESOURCE: Resource = Resource::ConfigMaps;

    fn of(object: &Object) -> Option<&Self> {
        match object {
            Object::ConfigMap(config_map) => Some(config_map),
            _ => None,
        }
    }
}

impl Served for Secret {
    const RESOURCE: Resource = Resource::Secrets;

    fn of(object: &Object) -> Option<&Self> {
        match object {
            Object::Secret(secret) => Some(secret),
            _ => None,
        }
    }
}

impl Served for Namespace {
    const RESOURCE: Resource = Resource::Namespaces;

    /// Namespaces have no changes of their own: any exists.
    fn of(_object: &Object) -> Option<&Self> {
        None
    }
}

/// Which objects a request is about: a namespace or all, and the two selectors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub(crate) namespace: Option<String>,
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
}

impl Selection {
    /// # Errors
    /// 400 if a selector can't be read or names a field that can't be selected by.
    pub(crate) fn of(
        resource: Resource,
        namespace: Option<String>,
        params: &Params,
    ) -> Result<Self, Failure> {
        Ok(Self {
            namespace,
            labels: LabelSelector::parse(params.text("labelSelector").unwrap_or_default())?,
            fields: FieldSelector::parse(
                resource,
                params.text("fieldSelector").unwrap_or_default(),
            )?,
        })
    }

    pub(crate) fn matches<T: Served>(&self, object: &T) -> bool {
        let namespace = object.metadata().namespace.as_deref();
        self.namespace.as_deref().is_none_or(|wanted| namespace == Some(wanted))
            && self.labels.matches(object.labels())
            && self.fields.matches(object)
    }

    /// The one namespace that can match: of the path, or of the field selector.
    pub(crate) fn only_namespace(&self) -> Option<&str> {
        self.namespace.as_deref().or_else(|| self.fields.exact("metadata.namespace"))
    }

    /// The one name that can match.
    pub(crate) fn only_name(&self) -> Option<&str> {
        self.fields.exact("metadata.name")
    }
}
