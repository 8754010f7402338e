//! The rules for volumes and what they are filled with.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, EmptyDirVolumeSource, HostPathVolumeSource, KeyToPath,
    ProjectedVolumeSource, Volume, VolumeProjection,
};
use serde_json::Value;

use crate::field::FieldError;
use crate::rules::{absolute, config_key, file_mode, file_path, label, object_name, one_of};
use crate::validate_container::amount;
use crate::validate_env::{Asker, field_ref, resource_field_ref};

const MANY_TYPES: &str = "may not specify more than 1 volume type";

/// Checks the volumes of a Pod and returns their names. `containers` are those of its containers.
pub(crate) fn volumes<'a>(
    path: &str,
    volumes: &'a [Volume],
    containers: &BTreeSet<&str>,
    errors: &mut Vec<FieldError>,
) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (at, volume) in volumes.iter().enumerate() {
        let path = format!("{path}.volumes[{at}]");
        label(&format!("{path}.name"), &volume.name, errors);
        if !volume.name.is_empty() && !names.insert(volume.name.as_str()) {
            errors.push(FieldError::duplicate(format!("{path}.name"), volume.name.as_str()));
        }
        one_source(&path, volume, errors);
        source(&path, volume, containers, errors);
    }
    names
}

/// A volume is of one type. One of a type that isn't served is told by the table, unless it is empty.
fn one_source(path: &str, volume: &Volume, errors: &mut Vec<FieldError>) {
    let Ok(Value::Object(fields)) = serde_json::to_value(volume) else { return };
    let sources: Vec<_> = fields.iter().filter(|(field, _)| *field != "name").collect();
    match sources.as_slice() {
        [] => errors.push(FieldError::required(path, "must specify a volume type")),
        [(field, value)] => {
            let served = matches!(
                field.as_str(),
                "configMap"
                    | "downwardAPI"
                    | "emptyDir"
                    | "hostPath"
                    | "persistentVolumeClaim"
                    | "projected"
                    | "secret"
            );
            if !served && value.as_object().is_some_and(serde_json::Map::is_empty) {
                let text = "not supported yet";
                errors.push(FieldError::forbidden(format!("{path}.{field}"), text));
            }
        }
        _ => errors.push(FieldError::forbidden(path, MANY_TYPES)),
    }
}

fn source(path: &str, volume: &Volume, containers: &BTreeSet<&str>, errors: &mut Vec<FieldError>) {
    if let Some(folder) = &volume.empty_dir {
        empty_dir(&format!("{path}.emptyDir"), folder, errors);
    }
    if let Some(host) = &volume.host_path {
        host_path(&format!("{path}.hostPath"), host, errors);
    }
    if let Some(config_map) = &volume.config_map {
        let path = format!("{path}.configMap");
        object_name(&format!("{path}.name"), &config_map.name, errors);
        file_mode(&format!("{path}.defaultMode"), config_map.default_mode, errors);
        keys(&path, config_map.items.as_deref().unwrap_or_default(), errors);
    }
    if let Some(secret) = &volume.secret {
        let path = format!("{path}.secret");
        let name = secret.secret_name.as_deref().unwrap_or_default();
        object_name(&format!("{path}.secretName"), name, errors);
        file_mode(&format!("{path}.defaultMode"), secret.default_mode, errors);
        keys(&path, secret.items.as_deref().unwrap_or_default(), errors);
    }
    if let Some(fields) = &volume.downward_api {
        let path = format!("{path}.downwardAPI");
        file_mode(&format!("{path}.defaultMode"), fields.default_mode, errors);
        files(&path, fields.items.as_deref().unwrap_or_default(), containers, errors);
    }
    if let Some(projected) = &volume.projected {
        projection(&format!("{path}.projected"), projected, containers, errors);
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        let path = format!("{path}.persistentVolumeClaim.claimName");
        object_name(&path, &claim.claim_name, errors);
    }
}

fn empty_dir(path: &str, folder: &EmptyDirVolumeSource, errors: &mut Vec<FieldError>) {
    if let Some(limit) = &folder.size_limit {
        amount(&format!("{path}.sizeLimit"), &limit.0, errors);
    }
}

fn host_path(path: &str, host: &HostPathVolumeSource, errors: &mut Vec<FieldError>) {
    let types = [
        "",
        "BlockDevice",
        "CharDevice",
        "Directory",
        "DirectoryOrCreate",
        "File",
        "FileOrCreate",
        "Socket",
    ];
    absolute(&format!("{path}.path"), &host.path, errors);
    one_of(&format!("{path}.type"), host.type_.as_deref(), &types, errors);
}

/// Several sources in one folder: no two of their files may have the same path.
fn projection(
    path: &str,
    projected: &ProjectedVolumeSource,
    containers: &BTreeSet<&str>,
    errors: &mut Vec<FieldError>,
) {
    file_mode(&format!("{path}.defaultMode"), projected.default_mode, errors);
    let mut paths = BTreeSet::new();
    for (at, source) in projected.sources.iter().flatten().enumerate() {
        let path = format!("{path}.sources[{at}]");
        let (sources, found) = projected_source(&path, source, containers, errors);
        if sources > 1 {
            errors.push(FieldError::forbidden(path.as_str(), MANY_TYPES));
        }
        for file in found {
            if !file.is_empty() && !paths.insert(file) {
                let text = "conflicting duplicate paths";
                errors.push(FieldError::invalid(path.as_str(), file, text));
            }
        }
    }
}

/// Checks one source of a projected volume; how many it is, and the paths that it names.
fn projected_source<'a>(
    path: &str,
    source: &'a VolumeProjection,
    containers: &BTreeSet<&str>,
    errors: &mut Vec<FieldError>,
) -> (usize, Vec<&'a str>) {
    let (mut sources, mut paths) = (0, Vec::new());
    let config_map = source.config_map.as_ref().map(|source| (&source.name, &source.items));
    let secret = source.secret.as_ref().map(|source| (&source.name, &source.items));
    for (field, found) in [("configMap", config_map), ("secret", secret)] {
        if let Some((name, items)) = found {
            sources += 1;
            let path = format!("{path}.{field}");
            object_name(&format!("{path}.name"), name, errors);
            keys(&path, items.as_deref().unwrap_or_default(), errors);
            paths.extend(items.iter().flatten().map(|item| item.path.as_str()));
        }
    }
    if let Some(fields) = &source.downward_api {
        sources += 1;
        let items = fields.items.as_deref().unwrap_or_default();
        files(&format!("{path}.downwardAPI"), items, containers, errors);
        paths.extend(items.iter().map(|item| item.path.as_str()));
    }
    (sources, paths)
}

fn keys(path: &str, items: &[KeyToPath], errors: &mut Vec<FieldError>) {
    for (at, item) in items.iter().enumerate() {
        let path = format!("{path}.items[{at}]");
        config_key(&format!("{path}.key"), &item.key, errors);
        file_path(&format!("{path}.path"), &item.path, errors);
        file_mode(&format!("{path}.mode"), item.mode, errors);
    }
}

fn files(
    path: &str,
    items: &[DownwardAPIVolumeFile],
    containers: &BTreeSet<&str>,
    errors: &mut Vec<FieldError>,
) {
    for (at, item) in items.iter().enumerate() {
        let path = format!("{path}.items[{at}]");
        file_path(&format!("{path}.path"), &item.path, errors);
        file_mode(&format!("{path}.mode"), item.mode, errors);
        if let Some(selector) = &item.field_ref {
            field_ref(&format!("{path}.fieldRef"), selector, Asker::File, errors);
        }
        if let Some(selector) = &item.resource_field_ref {
            let path = format!("{path}.resourceFieldRef");
            resource_field_ref(&path, selector, Asker::File, containers, errors);
        }
        match (&item.field_ref, &item.resource_field_ref) {
            (Some(_), Some(_)) => {
                let text = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(FieldError::invalid(path, "resource", text));
            }
            (None, None) => {
                let text = "one of fieldRef and resourceFieldRef is required";
                errors.push(FieldError::required(path, text));
            }
            _ => {}
        }
    }
}
