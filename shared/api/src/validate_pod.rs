//! The rules for a Pod's specification, its container and its volumes.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::field::FieldError;
use crate::names;
use crate::quantity::parse_milli;
use crate::validate::{not_negative, one_of};

/// Where Longshore puts its own files into a container.
const RESERVED: [&str; 2] = ["/.longshore", "/.longshore-exit"];

/// The least that Docker takes as a limit, in thousandths: 6 MiB and a hundredth of a CPU.
const LEAST_MEMORY: i128 = 6 * 1024 * 1024 * 1_000;
const LEAST_CPU: i128 = 10;

/// The specification of a Job's Pods.
pub(crate) fn pod(path: &str, pod: &PodSpec, errors: &mut Vec<FieldError>) {
    let volumes = volumes(path, pod.volumes.as_deref().unwrap_or_default(), errors);
    let containers = format!("{path}.containers");
    if pod.containers.is_empty() {
        errors.push(FieldError::required(containers.as_str(), ""));
    }
    let mut names = BTreeSet::new();
    for (at, container) in pod.containers.iter().enumerate() {
        let path = format!("{containers}[{at}]");
        if !container.name.is_empty() && !names.insert(container.name.as_str()) {
            errors.push(FieldError::duplicate(format!("{path}.name"), container.name.as_str()));
        }
        validate_container(&path, container, &volumes, errors);
    }
    if pod.containers.len() > 1 {
        errors.push(FieldError::forbidden(
            format!("{containers}[1]"),
            "not supported yet: a Pod has one container",
        ));
    }
    let policies = ["OnFailure", "Never"];
    let policy = format!("{path}.restartPolicy");
    match pod.restart_policy.as_deref() {
        None | Some("") => {
            errors.push(FieldError::required(policy, r#"valid values: "OnFailure", "Never""#))
        }
        word => one_of(&policy, word, &policies, errors),
    }
    let grace = pod.termination_grace_period_seconds;
    not_negative(&format!("{path}.terminationGracePeriodSeconds"), grace, errors);
    if let Some(hostname) = pod.hostname.as_deref().filter(|hostname| !hostname.is_empty())
        && let Some(problem) = names::dns1123_label(hostname)
    {
        errors.push(FieldError::invalid(format!("{path}.hostname"), hostname, problem));
    }
}

/// Checks the volumes and returns their names.
fn volumes<'a>(
    path: &str,
    volumes: &'a [Volume],
    errors: &mut Vec<FieldError>,
) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (at, volume) in volumes.iter().enumerate() {
        let path = format!("{path}.volumes[{at}]");
        label(&format!("{path}.name"), &volume.name, errors);
        if !volume.name.is_empty() && !names.insert(volume.name.as_str()) {
            errors.push(FieldError::duplicate(format!("{path}.name"), volume.name.as_str()));
        }
        let sources = serde_json::to_value(volume)
            .ok()
            .and_then(|volume| volume.as_object().map(|fields| fields.len().saturating_sub(1)));
        if sources == Some(0) {
            errors.push(FieldError::required(path.as_str(), "must specify a volume type"));
        } else if sources > Some(1) {
            let text = "may not specify more than 1 volume type";
            errors.push(FieldError::forbidden(path.as_str(), text));
        }
        if let Some(host_path) = &volume.host_path {
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
            let path = format!("{path}.hostPath");
            absolute(&format!("{path}.path"), &host_path.path, errors);
            one_of(&format!("{path}.type"), host_path.type_.as_deref(), &types, errors);
        }
    }
    names
}

fn validate_container(
    path: &str,
    container: &Container,
    volumes: &BTreeSet<&str>,
    errors: &mut Vec<FieldError>,
) {
    label(&format!("{path}.name"), &container.name, errors);
    let image = container.image.as_deref().unwrap_or_default();
    if image.is_empty() {
        errors.push(FieldError::required(format!("{path}.image"), ""));
    } else if image.trim() != image {
        let text = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(format!("{path}.image"), image, text));
    }
    let policies = ["Always", "IfNotPresent", "Never"];
    let policy = container.image_pull_policy.as_deref();
    one_of(&format!("{path}.imagePullPolicy"), policy, &policies, errors);
    if let Some(folder) = container.working_dir.as_deref().filter(|folder| !folder.is_empty()) {
        absolute(&format!("{path}.workingDir"), folder, errors);
    }
    for (at, variable) in container.env.iter().flatten().enumerate() {
        let path = format!("{path}.env[{at}].name");
        if variable.name.is_empty() {
            errors.push(FieldError::required(path, ""));
        } else if let Some(problem) = names::env_name(&variable.name) {
            errors.push(FieldError::invalid(path, variable.name.as_str(), problem));
        }
    }
    for (at, port) in container.ports.iter().flatten().enumerate() {
        let path = format!("{path}.ports[{at}]");
        if !(1..=65_535).contains(&port.container_port) {
            let text = "must be between 1 and 65535, inclusive";
            let path = format!("{path}.containerPort");
            errors.push(FieldError::invalid(path, port.container_port, text));
        }
        let protocols = ["SCTP", "TCP", "UDP"];
        one_of(&format!("{path}.protocol"), port.protocol.as_deref(), &protocols, errors);
    }
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    mount_rules(path, mounts, volumes, errors);
    if let Some(needs) = &container.resources {
        resources(&format!("{path}.resources"), needs, errors);
    }
}

fn mount_rules(
    path: &str,
    mounts: &[VolumeMount],
    volumes: &BTreeSet<&str>,
    errors: &mut Vec<FieldError>,
) {
    let mut targets = BTreeSet::new();
    for (at, mount) in mounts.iter().enumerate() {
        let path = format!("{path}.volumeMounts[{at}]");
        if mount.name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !volumes.contains(mount.name.as_str()) {
            errors.push(FieldError::not_found(format!("{path}.name"), mount.name.as_str()));
        }
        let target = mount.mount_path.as_str();
        let path = format!("{path}.mountPath");
        absolute(&path, target, errors);
        if !target.is_empty() && !targets.insert(target) {
            errors.push(FieldError::invalid(path.as_str(), target, "must be unique"));
        }
        if target.contains(':') {
            errors.push(FieldError::invalid(path.as_str(), target, "must not contain ':'"));
        }
        let plain = target.trim_end_matches('/');
        let inside = |reserved: &str| {
            plain
                .strip_prefix(reserved)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if (plain.is_empty() && !target.is_empty()) || RESERVED.into_iter().any(inside) {
            let text = "the place is taken: it holds the container's own files";
            errors.push(FieldError::forbidden(path.as_str(), text));
        }
    }
}

fn resources(path: &str, needs: &ResourceRequirements, errors: &mut Vec<FieldError>) {
    let limits = quantities(&format!("{path}.limits"), needs.limits.as_ref(), errors);
    let requests = quantities(&format!("{path}.requests"), needs.requests.as_ref(), errors);
    for (name, (requested, text)) in &requests {
        if let Some((limit, limit_text)) = limits.get(name)
            && requested > limit
        {
            errors.push(FieldError::invalid(
                format!("{path}.requests"),
                *text,
                format!("must be less than or equal to {name} limit of {limit_text}"),
            ));
        }
    }
    for (name, least, words) in [("memory", LEAST_MEMORY, "6Mi"), ("cpu", LEAST_CPU, "10m")] {
        if let Some((limit, text)) = limits.get(name)
            && (1..least).contains(limit)
        {
            errors.push(FieldError::invalid(
                format!("{path}.limits[{name}]"),
                *text,
                format!("must be at least {words}, the least that Docker takes"),
            ));
        }
    }
}

/// The quantities that can be read, by their names, with their texts.
fn quantities<'a>(
    path: &str,
    list: Option<&'a BTreeMap<String, Quantity>>,
    errors: &mut Vec<FieldError>,
) -> BTreeMap<&'a str, (i128, &'a str)> {
    let mut found = BTreeMap::new();
    for (name, Quantity(text)) in list.into_iter().flatten() {
        let path = format!("{path}[{name}]");
        if !matches!(name.as_str(), "cpu" | "memory") {
            let why = "not supported yet: resources are cpu and memory";
            errors.push(FieldError::forbidden(path, why));
            continue;
        }
        match parse_milli(text) {
            None => errors.push(FieldError::invalid(
                path,
                text.as_str(),
                "quantities must match the regular expression \
                 '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            )),
            Some(amount) if amount < 0 => errors.push(FieldError::invalid(
                path,
                text.as_str(),
                "must be greater than or equal to 0",
            )),
            Some(amount) => {
                found.insert(name.as_str(), (amount, text.as_str()));
            }
        }
    }
    found
}

fn label(path: &str, name: &str, errors: &mut Vec<FieldError>) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if let Some(problem) = names::dns1123_label(name) {
        errors.push(FieldError::invalid(path, name, problem));
    }
}

/// A path that Docker can use: from the root, and without a way back up.
fn absolute(path: &str, value: &str, errors: &mut Vec<FieldError>) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if !value.starts_with('/') {
        errors.push(FieldError::invalid(path, value, "must be an absolute path"));
    } else if value.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path, value, "must not contain '..'"));
    }
}
