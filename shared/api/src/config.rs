//! ConfigMaps and Secrets.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{ByteString, Metadata};
use longshore_job::Millis;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::field::FieldError;
use crate::object_meta::{IMMUTABLE, changed_metadata, fixed_metadata, new_metadata};
use crate::rules::config_key;
use crate::validate_metadata::object_metadata;

/// As many bytes as all values may have.
const MAX_SIZE: usize = 1024 * 1024;

const NO_FINALIZERS: &str = "ConfigMaps and Secrets are deleted at once";

/// An object that holds values by keys.
pub trait ConfigObject:
    k8s_openapi::Resource
    + Metadata<Ty = ObjectMeta>
    + Clone
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Fills in what the client may leave out.
    fn set_defaults(&mut self);

    /// All errors of the object itself, in Kubernetes' words (`ValidateConfigMap`, `ValidateSecret`). None
    /// shows a value.
    fn validate(&self) -> Vec<FieldError>;

    /// What a change would alter though it is fixed.
    fn validate_update(&self, old: &Self) -> Vec<FieldError>;

    /// Fills in the metadata of a new object; see [`prepare_create`](crate::defaults::prepare_create).
    fn prepare_create(&mut self, namespace: &str, uid: &str, now: Millis) {
        new_metadata(self.metadata_mut(), namespace, uid, now);
    }

    /// Gives a changed object what isn't the client's to change.
    fn prepare_update(&mut self, old: &Self) {
        changed_metadata(old.metadata(), self.metadata_mut());
    }

    /// What is stored: all but what the store itself knows.
    fn stored(&self) -> Self {
        let mut stored = self.clone();
        stored.metadata_mut().resource_version = None;
        stored
    }
}

impl ConfigObject for ConfigMap {
    fn set_defaults(&mut self) {}

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        object_metadata(&self.metadata, NO_FINALIZERS, &mut errors);
        let binary: BTreeSet<&String> =
            self.binary_data.iter().flatten().map(|(key, _)| key).collect();
        let mut size = 0;
        for (key, value) in self.data.iter().flatten() {
            let path = format!("data[{key}]");
            config_key(&path, key, &mut errors);
            if binary.contains(key) {
                let text = "duplicate of key present in binaryData";
                errors.push(FieldError::invalid(path, key.as_str(), text));
            }
            size += value.len();
        }
        for (key, value) in self.binary_data.iter().flatten() {
            config_key(&format!("binaryData[{key}]"), key, &mut errors);
            size += value.0.len();
        }
        if size > MAX_SIZE {
            errors.push(FieldError::too_long("data", MAX_SIZE));
        }
        errors
    }

    fn validate_update(&self, old: &Self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        fixed_metadata(&old.metadata, &self.metadata, &mut errors);
        let same = [
            ("data", same(&old.data, &self.data)),
            ("binaryData", same(&old.binary_data, &self.binary_data)),
        ];
        immutable(old.immutable, self.immutable, &same, &mut errors);
        errors
    }
}

impl ConfigObject for Secret {
    fn set_defaults(&mut self) {
        let data = self.data.get_or_insert_default();
        for (key, text) in self.string_data.take().into_iter().flatten() {
            data.insert(key, ByteString(text.into_bytes()));
        }
        if data.is_empty() {
            self.data = None;
        }
        if self.type_.as_ref().is_none_or(String::is_empty) {
            self.type_ = Some("Opaque".into());
        }
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        object_metadata(&self.metadata, NO_FINALIZERS, &mut errors);
        let mut size = 0;
        for (key, value) in self.data.iter().flatten() {
            config_key(&format!("data[{key}]"), key, &mut errors);
            size += value.0.len();
        }
        if size > MAX_SIZE {
            errors.push(FieldError::too_long("data", MAX_SIZE));
        }
        type_of_secret(self, &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        fixed_metadata(&old.metadata, &self.metadata, &mut errors);
        if old.type_ != self.type_ {
            errors.push(FieldError::invalid("type", self.type_.as_deref(), IMMUTABLE));
        }
        immutable(
            old.immutable,
            self.immutable,
            &[("data", same(&old.data, &self.data))],
            &mut errors,
        );
        errors
    }
}

/// What some types of Secrets must hold.
fn type_of_secret(secret: &Secret, errors: &mut Vec<FieldError>) {
    let value = |key: &str| secret.data.as_ref().and_then(|data| data.get(key));
    let mut needs = |key: &str| {
        let found = value(key);
        if found.is_none() {
            errors.push(FieldError::required(format!("data[{key}]"), ""));
        }
        found
    };
    let json = match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => (".dockerconfigjson", needs(".dockerconfigjson")),
        Some("kubernetes.io/dockercfg") => (".dockercfg", needs(".dockercfg")),
        Some("kubernetes.io/ssh-auth") => {
            needs("ssh-privatekey");
            return;
        }
        Some("kubernetes.io/tls") => {
            needs("tls.crt");
            needs("tls.key");
            return;
        }
        Some("kubernetes.io/basic-auth") => {
            if value("username").is_none() && value("password").is_none() {
                needs("username");
                needs("password");
            }
            return;
        }
        _ => return,
    };
    if let (key, Some(value)) = json
        && serde_json::from_slice::<serde_json::Value>(&value.0).is_err()
    {
        let hidden = "<secret contents redacted>";
        errors.push(FieldError::invalid(format!("data[{key}]"), hidden, "must be JSON"));
    }
}

fn immutable(
    old: Option<bool>,
    new: Option<bool>,
    same: &[(&str, bool)],
    errors: &mut Vec<FieldError>,
) {
    if old != Some(true) {
        return;
    }
    let text = "field is immutable when `immutable` is set";
    if new != Some(true) {
        errors.push(FieldError::forbidden("immutable", text));
    }
    for (field, _) in same.iter().filter(|(_, same)| !same) {
        errors.push(FieldError::forbidden(*field, text));
    }
}

/// None is as good as an empty map.
fn same<T: PartialEq + Default>(old: &Option<T>, new: &Option<T>) -> bool {
    let none = T::default();
    old.as_ref().unwrap_or(&none) == new.as_ref().unwrap_or(&none)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::decode::{FieldValidation, decode};
    use crate::resource::Resource;

    fn read<T: ConfigObject>(value: Value) -> T {
        let decoded = decode(resource::<T>(), value, FieldValidation::Strict);
        let (mut object, _): (T, _) = decoded.expect("decoded");
        object.set_defaults();
        object.prepare_create("default", "u", 0);
        object
    }

    fn resource<T: ConfigObject>() -> Resource {
        let kind = T::KIND;
        Resource::ALL.into_iter().find(|resource| resource.kind() == kind).expect("served")
    }

    fn texts(errors: Vec<FieldError>) -> Vec<String> {
        errors.iter().map(FieldError::to_string).collect()
    }

    #[test]
    fn config_maps_are_judged_in_kubernetes_words() {
        let judge = |value| texts(read::<ConfigMap>(value).validate());
        let name = json!({"name": "c"});
        assert!(judge(json!({"metadata": name, "data": {"a.b-C_1": ""}})).is_empty());
        let bad =
            judge(json!({"metadata": name, "data": {"a b": "", "x": ""}, "binaryData": {"x": ""}}));
        assert_eq!(bad.len(), 2);
        assert!(bad[0].starts_with("data[a b]: Invalid value: \"a b\": "), "{bad:?}");
        assert_eq!(bad[1], "data[x]: Invalid value: \"x\": duplicate of key present in binaryData");
        let long = "x".repeat(MAX_SIZE + 1);
        let bad = judge(json!({"metadata": name, "data": {"a": long}}));
        assert_eq!(bad, ["data: Too long: may not be more than 1048576 bytes"]);
        let bad = judge(json!({"metadata": {"name": "C"}}));
        assert!(bad[0].starts_with("metadata.name: Invalid value: \"C\""), "{bad:?}");
    }

    #[test]
    fn a_secret_takes_texts_and_has_a_type() {
        let secret: Secret = read(
            json!({"metadata": {"name": "s"}, "data": {"a": "eA=="}, "stringData": {"b": "y"}}),
        );
        assert_eq!(secret.type_.as_deref(), Some("Opaque"));
        assert_eq!(secret.string_data, None);
        let data = secret.data.expect("data");
        assert_eq!((&data["a"].0[..], &data["b"].0[..]), (&b"x"[..], &b"y"[..]));
    }

    #[test]
    fn types_of_secrets_have_their_keys() {
        let judge = |kind: &str, data: Value| {
            let value = json!({"metadata": {"name": "s"}, "type": kind, "stringData": data});
            texts(read::<Secret>(value).validate())
        };
        assert_eq!(
            judge("kubernetes.io/tls", json!({"tls.crt": "x"})),
            ["data[tls.key]: Required value"]
        );
        assert_eq!(judge("kubernetes.io/basic-auth", json!({})).len(), 2);
        assert!(judge("kubernetes.io/basic-auth", json!({"password": "x"})).is_empty());
        let docker =
            judge("kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": "hidden"}));
        assert_eq!(
            docker,
            [
                "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": must be JSON"
            ]
        );
    }

    #[test]
    fn no_error_shows_what_is_in_a_secret() {
        let hidden = "correct-horse";
        for value in [
            json!({"metadata": {"name": "s"}, "data": {"a": hidden}}),
            json!({"metadata": {"name": "s"}, "stringData": {"a": [hidden]}}),
            json!({"metadata": {"name": "s"}, "data": hidden}),
            json!({"metadata": {"name": "s"}, "stringdata": {"a": hidden}}),
        ] {
            let decoded = decode::<Secret>(Resource::Secrets, value, FieldValidation::Strict);
            let errors = texts(decoded.expect_err("wrong"));
            assert!(!errors.is_empty() && !errors.concat().contains(hidden), "{errors:?}");
        }
    }

    #[test]
    fn what_is_immutable_stays() {
        let secret = |value: &str, immutable: bool| -> Secret {
            read(json!({
                "metadata": {"name": "s"}, "stringData": {"a": value}, "immutable": immutable
            }))
        };
        let old = secret("1", true);
        let update = |new: Secret| texts(new.validate_update(&old));
        let text = "Forbidden: field is immutable when `immutable` is set";
        assert_eq!(update(secret("2", true)), [format!("data: {text}")]);
        assert_eq!(update(secret("1", false)), [format!("immutable: {text}")]);
        assert!(update(secret("1", true)).is_empty());
        let mut other = secret("1", true);
        other.type_ = Some("x".into());
        assert_eq!(update(other), ["type: Invalid value: \"x\": field is immutable"]);
    }
}
