//! Bodies in Kubernetes' protobuf, as `kubectl create configmap`, `kubectl create secret` and `kubectl
//! drain` send them.
//!
//! The messages are those of the `generated.proto` files of `k8s.io/api`, with the fields that a client sets.

use std::collections::BTreeMap;

use prost::Message;
use serde_json::{Map, Value, json};

use k8s_openapi::ByteString;

/// What every such body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// The object of a body as JSON; `None` for a kind that isn't read in this form, or if it is no such body.
pub fn to_json(body: &[u8]) -> Option<Value> {
    let unknown = Unknown::decode(body.strip_prefix(MAGIC)?).ok()?;
    let kind = unknown.type_meta.unwrap_or_default();
    let mut object = match (kind.api_version.as_str(), kind.kind.as_str()) {
        ("v1", "ConfigMap") => {
            let map = ConfigMap::decode(unknown.raw.as_slice()).ok()?;
            json!({
                "metadata": metadata(map.metadata),
                "data": map.data,
                "binaryData": bytes(map.binary_data),
                "immutable": map.immutable,
            })
        }
        ("v1", "Secret") => {
            let secret = Secret::decode(unknown.raw.as_slice()).ok()?;
            json!({
                "metadata": metadata(secret.metadata),
                "data": bytes(secret.data),
                "type": secret.kind,
                "stringData": secret.string_data,
                "immutable": secret.immutable,
            })
        }
        ("policy/v1", "Eviction") => {
            let eviction = Eviction::decode(unknown.raw.as_slice()).ok()?;
            json!({
                "metadata": metadata(eviction.metadata),
                "deleteOptions": eviction.delete_options.map(delete_options),
            })
        }
        (_, "DeleteOptions") => delete_options(DeleteOptions::decode(unknown.raw.as_slice()).ok()?),
        _ => return None,
    };
    object["apiVersion"] = json!(kind.api_version);
    object["kind"] = json!(kind.kind);
    Some(object)
}

#[derive(Clone, PartialEq, Message)]
struct Unknown {
    #[prost(message, optional, tag = "1")]
    type_meta: Option<TypeMeta>,
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    api_version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

#[derive(Clone, PartialEq, Message)]
struct ObjectMeta {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    generate_name: Option<String>,
    #[prost(string, optional, tag = "3")]
    namespace: Option<String>,
    #[prost(string, optional, tag = "5")]
    uid: Option<String>,
    #[prost(string, optional, tag = "6")]
    resource_version: Option<String>,
    #[prost(btree_map = "string, string", tag = "11")]
    labels: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "12")]
    annotations: BTreeMap<String, String>,
    #[prost(string, repeated, tag = "14")]
    finalizers: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct ConfigMap {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(btree_map = "string, string", tag = "2")]
    data: BTreeMap<String, String>,
    #[prost(btree_map = "string, bytes", tag = "3")]
    binary_data: BTreeMap<String, Vec<u8>>,
    #[prost(bool, optional, tag = "4")]
    immutable: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
struct Secret {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(btree_map = "string, bytes", tag = "2")]
    data: BTreeMap<String, Vec<u8>>,
    #[prost(string, optional, tag = "3")]
    kind: Option<String>,
    #[prost(btree_map = "string, string", tag = "4")]
    string_data: BTreeMap<String, String>,
    #[prost(bool, optional, tag = "5")]
    immutable: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
struct Eviction {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    delete_options: Option<DeleteOptions>,
}

#[derive(Clone, PartialEq, Message)]
struct DeleteOptions {
    #[prost(int64, optional, tag = "1")]
    grace_period_seconds: Option<i64>,
    #[prost(message, optional, tag = "2")]
    preconditions: Option<Preconditions>,
    #[prost(bool, optional, tag = "3")]
    orphan_dependents: Option<bool>,
    #[prost(string, optional, tag = "4")]
    propagation_policy: Option<String>,
    #[prost(string, repeated, tag = "5")]
    dry_run: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Preconditions {
    #[prost(string, optional, tag = "1")]
    uid: Option<String>,
    #[prost(string, optional, tag = "2")]
    resource_version: Option<String>,
}

fn delete_options(options: DeleteOptions) -> Value {
    let preconditions = options.preconditions.map(|preconditions| {
        json!({ "uid": preconditions.uid, "resourceVersion": preconditions.resource_version })
    });
    json!({
        "gracePeriodSeconds": options.grace_period_seconds,
        "preconditions": preconditions,
        "orphanDependents": options.orphan_dependents,
        "propagationPolicy": options.propagation_policy,
        "dryRun": options.dry_run,
    })
}

fn metadata(metadata: Option<ObjectMeta>) -> Value {
    let metadata = metadata.unwrap_or_default();
    json!({
        "name": metadata.name,
        "generateName": metadata.generate_name,
        "namespace": metadata.namespace,
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
        "labels": metadata.labels,
        "annotations": metadata.annotations,
        "finalizers": metadata.finalizers,
    })
}

/// In base64, as JSON has bytes.
fn bytes(data: BTreeMap<String, Vec<u8>>) -> Value {
    let data = data.into_iter().map(|(key, value)| (key, json!(ByteString(value))));
    Value::Object(data.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(kind: &str, object: &impl Message) -> Vec<u8> {
        let type_meta = TypeMeta { api_version: "v1".into(), kind: kind.into() };
        let unknown = Unknown { type_meta: Some(type_meta), raw: object.encode_to_vec() };
        [MAGIC, &unknown.encode_to_vec()].concat()
    }

    #[test]
    fn a_secret_becomes_json() {
        let secret = Secret {
            metadata: Some(ObjectMeta { name: Some("s".into()), ..ObjectMeta::default() }),
            data: BTreeMap::from([("key".into(), b"x".to_vec())]),
            ..Secret::default()
        };
        let value = to_json(&body("Secret", &secret)).expect("a Secret");
        assert_eq!((&value["kind"], &value["metadata"]["name"]), (&json!("Secret"), &json!("s")));
        assert_eq!(value["data"], json!({"key": "eA=="}));
    }

    #[test]
    fn an_eviction_becomes_json() {
        let options = DeleteOptions { grace_period_seconds: Some(5), ..DeleteOptions::default() };
        let eviction = Eviction { metadata: None, delete_options: Some(options) };
        let type_meta = TypeMeta { api_version: "policy/v1".into(), kind: "Eviction".into() };
        let unknown = Unknown { type_meta: Some(type_meta), raw: eviction.encode_to_vec() };
        let value = to_json(&[MAGIC, &unknown.encode_to_vec()].concat()).expect("an Eviction");
        assert_eq!(value["deleteOptions"]["gracePeriodSeconds"], json!(5));
    }

    #[test]
    fn anything_else_is_none() {
        let whole = body("Secret", &Secret::default());
        assert!(to_json(&body("Job", &Secret::default())).is_none());
        for wrong in [&b""[..], b"k8s", b"k8s\0\xff", &whole[1..]] {
            assert!(to_json(wrong).is_none(), "{wrong:?}");
        }
    }
}
