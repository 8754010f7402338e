//! The schemas of the served kinds: which fields there are, of which type, and how lists are merged.
//!
//! They come from k8s-openapi's types, so that strict decoding, strategic merge patches and the
//! OpenAPI documents all tell the same as the structs that hold the objects.

use std::sync::LazyLock;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, Status};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::resource::Resource;

/// What the schema of a value says about it.
#[derive(Clone, Copy, Debug)]
pub enum Shape<'a> {
    /// An object with these fields and no others.
    Object(&'a Map<String, Value>),
    /// An object with any keys, whose values all have the schema.
    Map(Schema<'a>),
    Array(Schema<'a>),
    String,
    /// A string holding an RFC 3339 time.
    Time,
    /// An integer of 32 bits, else of 64.
    Integer {
        narrow: bool,
    },
    Number,
    Boolean,
    /// A string or a number: quantities and ports.
    IntOrString,
    Any,
}

/// The schema of one value.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a>(&'a Value);

impl Schema<'static> {
    /// The schema of an object of the API.
    pub fn of(resource: Resource) -> Self {
        let name = match resource {
            Resource::Jobs => "io.k8s.api.batch.v1.Job",
            Resource::Pods => "io.k8s.api.core.v1.Pod",
            Resource::Nodes => "io.k8s.api.core.v1.Node",
            Resource::Events => "io.k8s.api.core.v1.Event",
            Resource::Namespaces => "io.k8s.api.core.v1.Namespace",
            Resource::ConfigMaps => "io.k8s.api.core.v1.ConfigMap",
            Resource::Secrets => "io.k8s.api.core.v1.Secret",
        };
        Self::named(name)
    }

    /// The schema of a type by its full name; one that isn't known takes any value.
    pub fn named(name: &str) -> Self {
        Self(DEFINITIONS.get(name).unwrap_or(&Value::Null))
    }
}

impl<'a> Schema<'a> {
    pub fn shape(self) -> Shape<'a> {
        let schema = self.resolved().0;
        if schema["x-kubernetes-int-or-string"] == true {
            return Shape::IntOrString;
        }
        let format = schema["format"].as_str().unwrap_or_default();
        match schema["type"].as_str() {
            Some("object") => match (&schema["properties"], &schema["additionalProperties"]) {
                (Value::Object(fields), _) => Shape::Object(fields),
                (_, values @ Value::Object(_)) => Shape::Map(Schema(values)),
                _ => Shape::Any,
            },
            Some("array") => Shape::Array(Schema(&schema["items"])),
            Some("string") if format == "date-time" => Shape::Time,
            Some("string") => Shape::String,
            Some("integer") => Shape::Integer { narrow: format == "int32" },
            Some("number") => Shape::Number,
            Some("boolean") => Shape::Boolean,
            _ => Shape::Any,
        }
    }

    /// The schema of a field of an object, or of a value of a map.
    pub fn field(self, name: &str) -> Option<Self> {
        match self.shape() {
            Shape::Object(fields) => fields.get(name).map(Schema),
            Shape::Map(values) => Some(values),
            _ => None,
        }
    }

    /// The schema of the items, if this is of an array.
    pub fn items(self) -> Option<Self> {
        match self.shape() {
            Shape::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The field by which a strategic merge patch finds the items that belong together.
    pub fn merge_key(self) -> Option<&'a str> {
        self.0[MERGE_KEY].as_str()
    }

    /// Whether a strategic merge patch adds to the list rather than replacing it.
    pub fn merges(self) -> bool {
        self.0[STRATEGY].as_str().is_some_and(|s| s.split(',').any(|word| word == "merge"))
    }

    /// The full name of the type, if it has one: what the schema refers to.
    pub fn name(self) -> Option<&'a str> {
        let direct = &self.0["$ref"];
        let reference = if direct.is_string() { direct } else { &self.0["allOf"][0]["$ref"] };
        reference.as_str()?.rsplit('/').next()
    }

    fn resolved(self) -> Self {
        match self.name() {
            Some(name) => Schema(DEFINITIONS.get(name).unwrap_or(&Value::Null)),
            None => self,
        }
    }
}

/// All types by their full names, as components of an OpenAPI v3 document.
pub fn definitions() -> &'static Map<String, Value> {
    &DEFINITIONS
}

const MERGE_KEY: &str = "x-kubernetes-patch-merge-key";
const STRATEGY: &str = "x-kubernetes-patch-strategy";

/// The lists that strategic merge patches merge, as the Go types' tags say: type, field, strategy,
/// merge key (none for lists of plain strings).
const MERGED_LISTS: &[(&str, &str, &str, Option<&str>)] = &[
    ("io.k8s.api.batch.v1.JobStatus", "conditions", "merge", Some("type")),
    ("io.k8s.api.core.v1.Container", "env", "merge", Some("name")),
    ("io.k8s.api.core.v1.Container", "ports", "merge", Some("containerPort")),
    ("io.k8s.api.core.v1.Container", "volumeDevices", "merge", Some("devicePath")),
    ("io.k8s.api.core.v1.Container", "volumeMounts", "merge", Some("mountPath")),
    ("io.k8s.api.core.v1.EphemeralContainer", "env", "merge", Some("name")),
    ("io.k8s.api.core.v1.EphemeralContainer", "ports", "merge", Some("containerPort")),
    ("io.k8s.api.core.v1.EphemeralContainer", "volumeDevices", "merge", Some("devicePath")),
    ("io.k8s.api.core.v1.EphemeralContainer", "volumeMounts", "merge", Some("mountPath")),
    ("io.k8s.api.core.v1.NodeSpec", "podCIDRs", "merge", None),
    ("io.k8s.api.core.v1.NodeStatus", "addresses", "merge", Some("type")),
    ("io.k8s.api.core.v1.NodeStatus", "conditions", "merge", Some("type")),
    ("io.k8s.api.core.v1.NamespaceStatus", "conditions", "merge", Some("type")),
    ("io.k8s.api.core.v1.PodSpec", "containers", "merge", Some("name")),
    ("io.k8s.api.core.v1.PodSpec", "ephemeralContainers", "merge", Some("name")),
    ("io.k8s.api.core.v1.PodSpec", "hostAliases", "merge", Some("ip")),
    ("io.k8s.api.core.v1.PodSpec", "imagePullSecrets", "merge", Some("name")),
    ("io.k8s.api.core.v1.PodSpec", "initContainers", "merge", Some("name")),
    ("io.k8s.api.core.v1.PodSpec", "resourceClaims", "merge,retainKeys", Some("name")),
    ("io.k8s.api.core.v1.PodSpec", "schedulingGates", "merge", Some("name")),
    ("io.k8s.api.core.v1.PodSpec", "topologySpreadConstraints", "merge", Some("topologyKey")),
    ("io.k8s.api.core.v1.PodSpec", "volumes", "merge,retainKeys", Some("name")),
    ("io.k8s.api.core.v1.PodStatus", "conditions", "merge", Some("type")),
    ("io.k8s.api.core.v1.PodStatus", "hostIPs", "merge", Some("ip")),
    ("io.k8s.api.core.v1.PodStatus", "podIPs", "merge", Some("ip")),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "finalizers", "merge", None),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "ownerReferences", "merge", Some("uid")),
];

static DEFINITIONS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut generator = SchemaSettings::openapi3().into_generator();
    generator.subschema_for::<Job>();
    generator.subschema_for::<Pod>();
    generator.subschema_for::<Node>();
    generator.subschema_for::<Event>();
    generator.subschema_for::<Namespace>();
    generator.subschema_for::<ConfigMap>();
    generator.subschema_for::<Secret>();
    generator.subschema_for::<Status>();
    generator.subschema_for::<DeleteOptions>();
    let mut definitions = generator.take_definitions(true);

    for (name, field, strategy, merge_key) in MERGED_LISTS {
        let list = definitions
            .get_mut(*name)
            .and_then(|schema| schema.pointer_mut(&format!("/properties/{field}")))
            .and_then(Value::as_object_mut);
        if let Some(list) = list {
            list.insert(STRATEGY.into(), json!(strategy));
            if let Some(key) = merge_key {
                list.insert(MERGE_KEY.into(), json!(key));
            }
        }
    }
    definitions
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_merged_list_is_a_field_of_its_type() {
        for (name, field, _, key) in MERGED_LISTS {
            let list = Schema::named(name).field(field);
            let list = list.unwrap_or_else(|| panic!("{name} has no field {field}"));
            assert!(list.merges(), "{name}.{field}");
            let items = list.items().expect("an array");
            match key {
                Some(key) => assert!(items.field(key).is_some(), "{name}.{field} has no {key}"),
                None => assert!(matches!(items.shape(), Shape::String), "{name}.{field}"),
            }
        }
    }

    #[test]
    fn fields_are_found_through_references() {
        let containers = Schema::of(Resource::Jobs)
            .field("spec")
            .and_then(|s| s.field("template"))
            .and_then(|s| s.field("spec"))
            .and_then(|s| s.field("containers"))
            .expect("containers");
        assert_eq!(containers.merge_key(), Some("name"));
        let image = containers.items().and_then(|c| c.field("image")).expect("image");
        assert!(matches!(image.shape(), Shape::String));
    }
}
