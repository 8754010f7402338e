//! The kinds of objects that Longshore serves, and their names in the Kubernetes API.

/// One kind of object of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    Jobs,
    Pods,
    Nodes,
    Events,
    Namespaces,
    ConfigMaps,
    Secrets,
}

impl Resource {
    pub const ALL: [Self; 7] = [
        Self::Jobs,
        Self::Pods,
        Self::Nodes,
        Self::Events,
        Self::Namespaces,
        Self::ConfigMaps,
        Self::Secrets,
    ];

    /// The API group; empty for the core group.
    pub fn group(self) -> &'static str {
        match self {
            Self::Jobs => "batch",
            _ => "",
        }
    }

    pub fn version(self) -> &'static str {
        "v1"
    }

    /// `batch/v1` or `v1`.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Jobs => "batch/v1",
            _ => "v1",
        }
    }

    /// The name in paths: `jobs`.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Pods => "pods",
            Self::Nodes => "nodes",
            Self::Events => "events",
            Self::Namespaces => "namespaces",
            Self::ConfigMaps => "configmaps",
            Self::Secrets => "secrets",
        }
    }

    pub fn singular(self) -> &'static str {
        match self {
            Self::Jobs => "job",
            Self::Pods => "pod",
            Self::Nodes => "node",
            Self::Events => "event",
            Self::Namespaces => "namespace",
            Self::ConfigMaps => "configmap",
            Self::Secrets => "secret",
        }
    }

    pub fn short_names(self) -> &'static [&'static str] {
        match self {
            Self::Jobs | Self::Secrets => &[],
            Self::Pods => &["po"],
            Self::Nodes => &["no"],
            Self::Events => &["ev"],
            Self::Namespaces => &["ns"],
            Self::ConfigMaps => &["cm"],
        }
    }

    pub fn kind(self) -> &'static str {
        match self {
            Self::Jobs => "Job",
            Self::Pods => "Pod",
            Self::Nodes => "Node",
            Self::Events => "Event",
            Self::Namespaces => "Namespace",
            Self::ConfigMaps => "ConfigMap",
            Self::Secrets => "Secret",
        }
    }

    pub fn list_kind(self) -> &'static str {
        match self {
            Self::Jobs => "JobList",
            Self::Pods => "PodList",
            Self::Nodes => "NodeList",
            Self::Events => "EventList",
            Self::Namespaces => "NamespaceList",
            Self::ConfigMaps => "ConfigMapList",
            Self::Secrets => "SecretList",
        }
    }

    pub fn namespaced(self) -> bool {
        !matches!(self, Self::Nodes | Self::Namespaces)
    }

    /// The resource as error texts name it: `jobs.batch`, `pods`.
    pub fn qualified(self) -> &'static str {
        match self {
            Self::Jobs => "jobs.batch",
            other => other.plural(),
        }
    }

    /// The kind as error texts name it: `Job.batch`, `Pod`.
    pub fn qualified_kind(self) -> &'static str {
        match self {
            Self::Jobs => "Job.batch",
            other => other.kind(),
        }
    }

    /// What clients may do with it, as discovery tells them.
    pub fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::Jobs | Self::ConfigMaps | Self::Secrets => {
                &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
            }
            Self::Nodes => &["delete", "get", "list", "patch", "update", "watch"],
            Self::Pods => &["delete", "get", "list", "watch"],
            Self::Events | Self::Namespaces => &["get", "list", "watch"],
        }
    }

    /// The resource of a plural name in a group (`""` for the core group).
    pub fn find(group: &str, plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.group() == group && r.plural() == plural)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_found_by_group_and_name() {
        assert_eq!(Resource::find("batch", "jobs"), Some(Resource::Jobs));
        assert_eq!(Resource::find("", "jobs"), None);
        assert_eq!(Resource::find("", "pods"), Some(Resource::Pods));
    }
}
