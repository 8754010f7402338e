//! Volumes that are filled with the keys of ConfigMaps and Secrets, or with fields of the Pod.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use k8s_openapi::api::core::v1::{Container, DownwardAPIVolumeFile, KeyToPath, Volume};

use super::config::ConfigError;
use super::fields::Fields;
use crate::sources::{Data, Sources};

/// The files of a volume, by their paths in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    files: BTreeMap<String, (Vec<u8>, u32)>,
    /// Whether a Secret is among them, so that they must not be written to a disk.
    pub(super) secret: bool,
}

impl Files {
    /// What a volume is to hold; `None` for one that isn't filled.
    pub(super) fn of(
        volume: &Volume,
        container: &Container,
        fields: &Fields<'_>,
        sources: &Sources,
    ) -> Result<Option<Self>, ConfigError> {
        let mut files = Self::default();
        if let Some(from) = &volume.config_map {
            let found = sources.config_map(&from.name);
            let of = Object { kind: "configmap", name: &from.name, optional: from.optional };
            files.keys(of, found, from.items.as_deref(), from.default_mode)?;
        } else if let Some(from) = &volume.secret {
            let name = from.secret_name.as_deref().unwrap_or_default();
            let of = Object { kind: "secret", name, optional: from.optional };
            files.secret = true;
            files.keys(of, sources.secret(name), from.items.as_deref(), from.default_mode)?;
        } else if let Some(from) = &volume.downward_api {
            let items = from.items.as_deref().unwrap_or_default();
            files.fields(items, from.default_mode, container, fields)?;
        } else if let Some(from) = &volume.projected {
            let mode = from.default_mode;
            for source in from.sources.iter().flatten() {
                if let Some(from) = &source.config_map {
                    let found = sources.config_map(&from.name);
                    let of =
                        Object { kind: "configmap", name: &from.name, optional: from.optional };
                    files.keys(of, found, from.items.as_deref(), mode)?;
                }
                if let Some(from) = &source.secret {
                    let found = sources.secret(&from.name);
                    let of = Object { kind: "secret", name: &from.name, optional: from.optional };
                    files.secret = true;
                    files.keys(of, found, from.items.as_deref(), mode)?;
                }
                if let Some(from) = &source.downward_api {
                    let items = from.items.as_deref().unwrap_or_default();
                    files.fields(items, mode, container, fields)?;
                }
            }
        } else {
            return Ok(None);
        }
        Ok(Some(files))
    }

    /// Writes them below a folder, for all users or, with a group, for that one too.
    pub(super) fn write(&self, folder: &Path, group: Option<u32>) -> io::Result<()> {
        for (path, (content, mode)) in &self.files {
            let file = folder.join(path);
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent)?;
            }
            // Whole or not at all: another container of the Pod may be reading it.
            let new = folder.join(format!("{path}~"));
            fs::write(&new, content)?;
            let mut mode = *mode;
            if group.is_some() {
                std::os::unix::fs::chown(&new, None, group)?;
                mode |= 0o040;
            }
            fs::set_permissions(&new, Permissions::from_mode(mode))?;
            fs::rename(new, file)?;
        }
        Ok(())
    }

    fn keys(
        &mut self,
        of: Object<'_>,
        data: Option<&Data>,
        items: Option<&[KeyToPath]>,
        default_mode: Option<i32>,
    ) -> Result<(), ConfigError> {
        let optional = of.optional == Some(true);
        let Some(data) = data else {
            let Object { kind, name, .. } = of;
            return match optional {
                true => Ok(()),
                false => Err(ConfigError::Missing(format!("{kind} {name:?} not found"))),
            };
        };
        let Some(items) = items.filter(|items| !items.is_empty()) else {
            let all = data.iter().map(|(key, value)| (key.clone(), value.clone()));
            self.files.extend(all.map(|(key, value)| (key, (value, mode(None, default_mode)))));
            return Ok(());
        };
        for item in items {
            match data.get(&item.key) {
                Some(value) => {
                    let content = (value.clone(), mode(item.mode, default_mode));
                    self.files.insert(item.path.clone(), content);
                }
                None if optional => {}
                None => {
                    let key = &item.key;
                    let text = format!("{} {:?} has no key {key:?}", of.kind, of.name);
                    return Err(ConfigError::Missing(text));
                }
            }
        }
        Ok(())
    }

    fn fields(
        &mut self,
        items: &[DownwardAPIVolumeFile],
        default_mode: Option<i32>,
        container: &Container,
        fields: &Fields<'_>,
    ) -> Result<(), ConfigError> {
        for item in items {
            let value = match (&item.field_ref, &item.resource_field_ref) {
                (Some(selector), _) => fields.field(&selector.field_path),
                (None, Some(selector)) => fields.resource(selector, container),
                (None, None) => Ok(String::new()),
            };
            let value = value.map_err(ConfigError::Invalid)?.into_bytes();
            self.files.insert(item.path.clone(), (value, mode(item.mode, default_mode)));
        }
        Ok(())
    }
}

/// Where files come from.
struct Object<'a> {
    kind: &'a str,
    name: &'a str,
    optional: Option<bool>,
}

fn mode(own: Option<i32>, default: Option<i32>) -> u32 {
    own.or(default).and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o644) & 0o777
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use k8s_openapi::api::core::v1::PodSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::{Value, from_value, json};

    use super::super::fields::Host;
    use super::*;
    use crate::sources::tests::Fixed;

    fn files(volume: Value) -> Result<Option<Files>, ConfigError> {
        let mut volume = volume;
        volume["name"] = json!("v");
        let spec: PodSpec = from_value(json!({
            "containers": [{ "name": "c", "volumeMounts": [{ "name": "v", "mountPath": "/v" }] }],
            "volumes": [volume],
        }))
        .expect("a Pod");
        let data = |value: &str| Data::from([("k".into(), value.into()), ("l".into(), "2".into())]);
        let objects = Fixed {
            config_maps: BTreeMap::from([("c".into(), data("1"))]),
            secrets: BTreeMap::from([("s".into(), data("x"))]),
        };
        let metadata = ObjectMeta { name: Some("pod".into()), ..ObjectMeta::default() };
        let container = &spec.containers[0];
        let sources = Sources::load(&objects, "n", &spec, container).now_or_never();
        let sources = sources.expect("nothing to wait for").expect("loaded");
        let host = Host::default();
        let fields = Fields { metadata: &metadata, spec: &spec, host: &host };
        Files::of(&spec.volumes.as_ref().expect("a volume")[0], container, &fields, &sources)
    }

    fn texts(files: &Files) -> Vec<(&str, &str, u32)> {
        let text = |content| std::str::from_utf8(content).expect("text");
        let all = files.files.iter();
        all.map(|(path, (content, mode))| (path.as_str(), text(content), *mode)).collect()
    }

    #[test]
    fn keys_become_files() {
        let all = files(json!({ "configMap": { "name": "c", "defaultMode": 0o400 } }));
        let all = all.expect("found").expect("files");
        assert_eq!(texts(&all), [("k", "1", 0o400), ("l", "2", 0o400)]);
        assert!(!all.secret);
        let some = files(json!({ "secret": {
            "secretName": "s", "items": [{ "key": "k", "path": "a/b", "mode": 0o600 }]
        } }));
        let some = some.expect("found").expect("files");
        assert_eq!(texts(&some), [("a/b", "x", 0o600)]);
        assert!(some.secret);
    }

    #[test]
    fn several_sources_share_a_folder() {
        let all = files(json!({ "projected": { "sources": [
            { "configMap": { "name": "c", "items": [{ "key": "k", "path": "c" }] } },
            { "secret": { "name": "s", "items": [{ "key": "k", "path": "s" }] } },
            { "downwardAPI": { "items": [
                { "path": "name", "fieldRef": { "fieldPath": "metadata.name" } } ] } },
        ] } }));
        let all = all.expect("found").expect("files");
        assert_eq!(texts(&all), [("c", "1", 0o644), ("name", "pod", 0o644), ("s", "x", 0o644)]);
        assert!(all.secret);
    }

    #[test]
    fn what_is_not_there_is_missed_unless_it_is_optional() {
        let missing = |text: &str| Err(ConfigError::Missing(text.into()));
        let none = files(json!({ "configMap": { "name": "x" } }));
        assert_eq!(none, missing("configmap \"x\" not found"));
        let items = json!([{ "key": "z", "path": "z" }]);
        let no_key = files(json!({ "secret": { "secretName": "s", "items": items } }));
        assert_eq!(no_key, missing("secret \"s\" has no key \"z\""));
        let optional = files(json!({ "secret": { "secretName": "x", "optional": true } }));
        assert_eq!(texts(&optional.expect("fine").expect("a folder")), []);
        assert_eq!(files(json!({ "emptyDir": {} })), Ok(None));
    }

    #[test]
    fn files_are_written_for_the_group_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let files =
            Files { files: BTreeMap::from([("a/b".into(), (b"x".into(), 0o400))]), secret: false };
        files.write(folder.path(), Some(7)).expect("written");
        files.write(folder.path(), Some(7)).expect("written again");
        let file = folder.path().join("a/b");
        assert_eq!(fs::read(&file).expect("read"), b"x");
        let metadata = fs::metadata(&file).expect("there");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o440);
        assert_eq!(std::os::unix::fs::MetadataExt::gid(&metadata), 7);
    }
}
