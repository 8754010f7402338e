//! The rules for environment variables and for references to fields and resources.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    Container, EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector, ResourceFieldSelector,
};

use crate::field::FieldError;
use crate::names;
use crate::quantity::parse_milli;
use crate::rules::{config_key, object_name, one_of};
use crate::validate_pod::Surroundings;

/// Who asks for a field of the Pod: a variable, or a file in a volume.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Asker {
    Variable,
    File,
}

/// The variables of a container.
pub(crate) fn variables(
    path: &str,
    container: &Container,
    pod: &Surroundings<'_>,
    errors: &mut Vec<FieldError>,
) {
    for (at, variable) in container.env.iter().flatten().enumerate() {
        env(&format!("{path}.env[{at}]"), variable, pod, errors);
    }
    for (at, source) in container.env_from.iter().flatten().enumerate() {
        env_from(&format!("{path}.envFrom[{at}]"), source, errors);
    }
}

/// A reference to a field of the Pod.
pub(crate) fn field_ref(
    path: &str,
    selector: &ObjectFieldSelector,
    asker: Asker,
    errors: &mut Vec<FieldError>,
) {
    let path = format!("{path}.fieldPath");
    let field = selector.field_path.as_str();
    if let Some(version) = selector.api_version.as_deref().filter(|v| !v.is_empty() && *v != "v1") {
        let problem = format!("error converting fieldPath: unsupported pod version: {version}");
        errors.push(FieldError::invalid(path, field, problem));
        return;
    }
    if field.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let subscript = field.strip_suffix("']").and_then(|rest| rest.split_once("['"));
    let problem = match subscript {
        Some(("metadata.labels", key)) => names::qualified_name(key),
        // The prefix of an annotation may have capital letters.
        Some(("metadata.annotations", key)) => names::qualified_name(&key.to_lowercase()),
        Some(_) => Some("error converting fieldPath: does not support subscript".into()),
        None => {
            plain_field(&path, field, asker, errors);
            return;
        }
    };
    if let Some(problem) = problem {
        errors.push(FieldError::invalid(path, field, problem));
    }
}

/// A reference to a resource of a container.
pub(crate) fn resource_field_ref(
    path: &str,
    selector: &ResourceFieldSelector,
    asker: Asker,
    containers: &BTreeSet<&str>,
    errors: &mut Vec<FieldError>,
) {
    let name = format!("{path}.containerName");
    match selector.container_name.as_deref().filter(|name| !name.is_empty()) {
        None if asker == Asker::File => errors.push(FieldError::required(name, "")),
        Some(container) if !containers.contains(container) => {
            errors.push(FieldError::not_found(name, container));
        }
        _ => {}
    }
    let resource = selector.resource.as_str();
    let resource_path = format!("{path}.resource");
    match resource {
        "" => errors.push(FieldError::required(resource_path, "")),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => errors.push(
            FieldError::forbidden(resource_path, "not supported yet: storage is not counted"),
        ),
        _ => {
            let known = ["limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
            one_of(&resource_path, Some(resource), &known, errors);
        }
    }
    if let Some(divisor) = &selector.divisor {
        divisor_of(&format!("{path}.divisor"), resource, &divisor.0, errors);
    }
}

fn env(path: &str, variable: &EnvVar, pod: &Surroundings<'_>, errors: &mut Vec<FieldError>) {
    let name = format!("{path}.name");
    if variable.name.is_empty() {
        errors.push(FieldError::required(name, ""));
    } else if let Some(problem) = names::env_name(&variable.name) {
        errors.push(FieldError::invalid(name, variable.name.as_str(), problem));
    }
    let value = variable.value.as_deref().unwrap_or_default();
    if value.contains('\0') {
        let text = "must not contain a null byte";
        errors.push(FieldError::invalid(format!("{path}.value"), value, text));
    }
    let Some(source) = &variable.value_from else { return };
    let path = format!("{path}.valueFrom");
    let sources = env_source(&path, source, pod, errors);
    let problem = match sources {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or \
              `secretKeyRef`"
        }
        _ if !value.is_empty() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.push(FieldError::invalid(path, "", problem));
}

/// Checks the source of a value and counts how many it names.
fn env_source(
    path: &str,
    source: &EnvVarSource,
    pod: &Surroundings<'_>,
    errors: &mut Vec<FieldError>,
) -> usize {
    // It is refused as such, so that it needn't be told that it is none.
    let mut sources = usize::from(source.file_key_ref.is_some());
    if let Some(selector) = &source.field_ref {
        sources += 1;
        field_ref(&format!("{path}.fieldRef"), selector, Asker::Variable, errors);
    }
    if let Some(selector) = &source.resource_field_ref {
        sources += 1;
        let path = format!("{path}.resourceFieldRef");
        resource_field_ref(&path, selector, Asker::Variable, &pod.containers, errors);
    }
    let config_map = source.config_map_key_ref.as_ref().map(|s| (&s.name, &s.key));
    let secret = source.secret_key_ref.as_ref().map(|s| (&s.name, &s.key));
    for (field, selector) in [("configMapKeyRef", config_map), ("secretKeyRef", secret)] {
        if let Some((name, key)) = selector {
            sources += 1;
            object_name(&format!("{path}.{field}.name"), name, errors);
            config_key(&format!("{path}.{field}.key"), key, errors);
        }
    }
    sources
}

fn env_from(path: &str, source: &EnvFromSource, errors: &mut Vec<FieldError>) {
    if let Some(prefix) = source.prefix.as_deref().filter(|prefix| !prefix.is_empty())
        && let Some(problem) = names::env_name(prefix)
    {
        errors.push(FieldError::invalid(format!("{path}.prefix"), prefix, problem));
    }
    let config_map = source.config_map_ref.as_ref().map(|source| &source.name);
    let secret = source.secret_ref.as_ref().map(|source| &source.name);
    for (field, name) in [("configMapRef", config_map), ("secretRef", secret)] {
        if let Some(name) = name {
            object_name(&format!("{path}.{field}.name"), name, errors);
        }
    }
    let problem = match (config_map, secret) {
        (None, None) => "must specify one of: `configMapRef` or `secretRef`",
        (Some(_), Some(_)) => "may not have more than one field specified at a time",
        _ => return,
    };
    errors.push(FieldError::invalid(path, "", problem));
}

fn plain_field(path: &str, field: &str, asker: Asker, errors: &mut Vec<FieldError>) {
    let reason = match field {
        "status.podIP" | "status.podIPs" => "the Pod's address is not known before it runs",
        "status.hostIPs" => "set status.hostIP",
        _ => {
            let known: &[&str] = match asker {
                Asker::Variable => &[
                    "metadata.name",
                    "metadata.namespace",
                    "metadata.uid",
                    "spec.nodeName",
                    "spec.serviceAccountName",
                    "status.hostIP",
                ],
                Asker::File => &[
                    "metadata.annotations",
                    "metadata.labels",
                    "metadata.name",
                    "metadata.namespace",
                    "metadata.uid",
                ],
            };
            one_of(path, Some(field), known, errors);
            return;
        }
    };
    errors.push(FieldError::forbidden(path, format!("not supported yet: {reason}")));
}

fn divisor_of(path: &str, resource: &str, divisor: &str, errors: &mut Vec<FieldError>) {
    let amount = parse_milli(divisor);
    let is_power = |base: i128| {
        let mut power = 1_000;
        (0..7).any(|_| {
            let found = amount == Some(power);
            power *= base;
            found
        })
    };
    let problem = match (resource, amount) {
        // As good as none.
        (_, Some(0)) => return,
        ("limits.cpu" | "requests.cpu", Some(1 | 1_000)) => return,
        ("limits.cpu" | "requests.cpu", _) => {
            "only divisor's values 1m and 1 are supported with the cpu resource"
        }
        (_, Some(_)) if is_power(1_000) || is_power(1_024) => return,
        _ => {
            "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are \
             supported with the memory resource"
        }
    };
    errors.push(FieldError::invalid(path, divisor, problem));
}
