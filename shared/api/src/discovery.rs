//! The discovery documents: what the server has, for kubectl and client libraries.

use serde_json::{Value, json};

use crate::accept::MediaType;
use crate::resource::Resource;

/// The form of the documents under `/api` and `/apis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// All groups with all their resources in one document: `apidiscovery.k8s.io/v2`.
    V2,
    /// The same from before Kubernetes 1.30.
    V2Beta1,
    /// Groups alone; the resources stand in documents of their own.
    Plain,
}

impl Discovery {
    /// The first form in the header that is known; plain without one.
    pub fn from_accept(accept: Option<&str>) -> Self {
        let media = accept.unwrap_or_default().split(',').map(MediaType::parse);
        media
            .filter(MediaType::takes_json)
            .find_map(|media| match (media.parameter("as"), media.parameter("v")) {
                (None, _) => Some(Self::Plain),
                (Some("APIGroupDiscoveryList"), Some("v2")) => Some(Self::V2),
                (Some("APIGroupDiscoveryList"), Some("v2beta1")) => Some(Self::V2Beta1),
                _ => None,
            })
            .unwrap_or(Self::Plain)
    }

    /// What the reply says it is; clients compare it with what they asked for.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::V2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Self::V2Beta1 => {
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
            }
            Self::Plain => "application/json",
        }
    }
}

/// The groups that have a name. Nothing of `policy` is served under its own path, but kubectl evicts a Pod
/// only where there is this group.
const GROUPS: [&str; 2] = ["batch", "policy"];

/// The document at `/api`: the core group.
pub fn api(form: Discovery) -> Value {
    match aggregated(form, &[""]) {
        Some(document) => document,
        None => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
    }
}

/// The document at `/apis`: the other groups.
pub fn apis(form: Discovery) -> Value {
    match aggregated(form, &GROUPS) {
        Some(document) => document,
        None => json!({
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": GROUPS.map(named_group),
        }),
    }
}

/// The document at `/apis/GROUP`.
pub fn group(name: &str) -> Option<Value> {
    let mut group = named_group(GROUPS.into_iter().find(|group| *group == name)?);
    group["kind"] = json!("APIGroup");
    group["apiVersion"] = json!("v1");
    Some(group)
}

/// The documents at `/api/v1` (group `""`) and `/apis/GROUP/v1`.
pub fn resources(group: &str) -> Option<Value> {
    if !group.is_empty() && !GROUPS.contains(&group) {
        return None;
    }
    let mut entries = Vec::new();
    for resource in Resource::ALL.into_iter().filter(|resource| resource.group() == group) {
        let mut entry = json!({
            "name": resource.plural(),
            "singularName": resource.singular(),
            "namespaced": resource.namespaced(),
            "kind": resource.kind(),
            "verbs": resource.verbs(),
        });
        if !resource.short_names().is_empty() {
            entry["shortNames"] = json!(resource.short_names());
        }
        if !categories(resource).is_empty() {
            entry["categories"] = json!(categories(resource));
        }
        entries.push(entry);
        for (name, verbs) in subresources(resource) {
            let mut entry = json!({
                "name": format!("{}/{name}", resource.plural()),
                "singularName": "",
                "namespaced": resource.namespaced(),
                "kind": resource.kind(),
                "verbs": verbs,
            });
            if *name == "eviction" {
                entry["kind"] = json!("Eviction");
                entry["group"] = json!("policy");
                entry["version"] = json!("v1");
            }
            entries.push(entry);
        }
    }
    let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": entries,
    }))
}

/// The document at `/version`. `version` is Longshore's own, and shows behind the version of
/// Kubernetes whose API it speaks.
pub fn version(version: &str) -> Value {
    json!({
        "major": "1",
        "minor": "34",
        "gitVersion": format!("v1.34.0+longshore-{version}"),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    })
}

/// The parts of an object with paths of their own, and what may be done with them.
fn subresources(resource: Resource) -> &'static [(&'static str, &'static [&'static str])] {
    match resource {
        Resource::Jobs => &[("status", &["get"])],
        Resource::Pods => &[("eviction", &["create"]), ("log", &["get"])],
        _ => &[],
    }
}

fn categories(resource: Resource) -> &'static [&'static str] {
    match resource {
        Resource::Jobs | Resource::Pods => &["all"],
        _ => &[],
    }
}

fn named_group(name: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn aggregated(form: Discovery, groups: &[&str]) -> Option<Value> {
    let version = match form {
        Discovery::V2 => "v2",
        Discovery::V2Beta1 => "v2beta1",
        Discovery::Plain => return None,
    };
    let items = groups.iter().map(|group| {
        let of_group = Resource::ALL.into_iter().filter(|resource| resource.group() == *group);
        let resources: Vec<Value> = of_group.map(aggregated_resource).collect();
        json!({
            "metadata": {"name": group, "creationTimestamp": null},
            "versions": [{"version": "v1", "freshness": "Current", "resources": resources}],
        })
    });
    Some(json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items.collect::<Vec<_>>(),
    }))
}

fn aggregated_resource(resource: Resource) -> Value {
    let kind = json!({"group": resource.group(), "version": "v1", "kind": resource.kind()});
    let subresource = |name: &str, verbs: &[&str]| {
        let eviction = json!({"group": "policy", "version": "v1", "kind": "Eviction"});
        let kind = if name == "eviction" { &eviction } else { &kind };
        json!({"subresource": name, "responseKind": kind, "verbs": verbs})
    };
    let subresources: Vec<Value> =
        subresources(resource).iter().map(|(name, verbs)| subresource(name, verbs)).collect();
    let mut entry = json!({
        "resource": resource.plural(),
        "responseKind": kind,
        "scope": if resource.namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular(),
        "verbs": resource.verbs(),
    });
    for (field, values) in [
        ("shortNames", json!(resource.short_names())),
        ("categories", json!(categories(resource))),
        ("subresources", json!(subresources)),
    ] {
        if values.as_array().is_some_and(|values| !values.is_empty()) {
            entry[field] = values;
        }
    }
    entry
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECTL: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
        application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

    #[test]
    fn kubectl_gets_the_aggregated_form() {
        let form = Discovery::from_accept(Some(KUBECTL));
        assert_eq!(form, Discovery::V2);
        let document = apis(form);
        let jobs = &document["items"][0]["versions"][0]["resources"][0];
        assert_eq!(jobs["resource"], "jobs");
        assert_eq!(jobs["subresources"][0]["subresource"], "status");
        let core = api(form);
        let names: Vec<_> = core["items"][0]["versions"][0]["resources"]
            .as_array()
            .expect("resources")
            .iter()
            .map(|resource| resource["resource"].as_str().expect("name"))
            .collect();
        assert_eq!(names, ["pods", "nodes", "events", "namespaces", "configmaps", "secrets"]);
    }

    #[test]
    fn others_get_the_plain_form() {
        assert_eq!(Discovery::from_accept(None), Discovery::Plain);
        assert_eq!(Discovery::from_accept(Some("application/json")), Discovery::Plain);
        assert_eq!(apis(Discovery::Plain)["groups"][0]["name"], "batch");
        let core = resources("").expect("core");
        assert!(
            core["resources"].as_array().expect("list").iter().any(|r| r["name"] == "pods/log")
        );
        assert_eq!(resources("apps"), None);
    }
}
