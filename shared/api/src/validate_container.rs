//! The rules for a container: its image, its mounts and its resources.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, ContainerPort, ResourceRequirements, VolumeMount};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::field::{FieldError, Warning};
use crate::quantity::parse_milli;
use crate::rules::{absolute, descending, label, one_of};
use crate::validate_env::variables;
use crate::validate_pod::Surroundings;
use crate::validate_security::container_security;

/// Where Longshore puts its own files into a container.
const RESERVED: [&str; 3] = ["/.longshore", "/.longshore-exit", "/.longshore-secrets"];

/// The least that Docker takes as a limit, in thousandths: 6 MiB and a hundredth of a CPU.
const LEAST_MEMORY: i128 = 6 * 1024 * 1024 * 1_000;
const LEAST_CPU: i128 = 10;

const EPHEMERAL_STORAGE: &str = "ephemeral-storage";

const BAD_QUANTITY: &str = "quantities must match the regular expression \
    '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// One container, of either kind.
pub(crate) fn container(
    path: &str,
    container: &Container,
    pod: &Surroundings<'_>,
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
    let policies = ["FallbackToLogsOnError", "File"];
    let policy = container.termination_message_policy.as_deref();
    one_of(&format!("{path}.terminationMessagePolicy"), policy, &policies, errors);
    for (field, value) in [
        ("workingDir", &container.working_dir),
        ("terminationMessagePath", &container.termination_message_path),
    ] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            absolute(&format!("{path}.{field}"), value, errors);
        }
    }
    if let Some(file) = container.termination_message_path.as_deref() {
        free_place(&format!("{path}.terminationMessagePath"), file, errors);
    }
    variables(path, container, pod, errors);
    let port_list = container.ports.as_deref().unwrap_or_default();
    ports(&format!("{path}.ports"), port_list, pod.host_network, errors);
    let mount_list = container.volume_mounts.as_deref().unwrap_or_default();
    mounts(&format!("{path}.volumeMounts"), mount_list, pod, errors);
    if let Some(needs) = &container.resources {
        resources(&format!("{path}.resources"), needs, errors);
    }
    if let Some(context) = &container.security_context {
        container_security(&format!("{path}.securityContext"), context, errors);
    }
}

/// Values without effect: storage is not counted.
pub(crate) fn container_warnings(path: &str, container: &Container, warnings: &mut Vec<Warning>) {
    let limits = container.resources.as_ref().and_then(|needs| needs.limits.as_ref());
    if limits.is_some_and(|limits| limits.contains_key(EPHEMERAL_STORAGE)) {
        warnings.push(Warning(format!(
            "{path}.resources.limits[{EPHEMERAL_STORAGE}] has no effect: storage is not counted, \
             other than that of an emptyDir with a sizeLimit"
        )));
    }
}

/// Checks a quantity; if it is one, the amount in thousandths.
pub(crate) fn amount(path: &str, text: &str, errors: &mut Vec<FieldError>) -> Option<i128> {
    let problem = match parse_milli(text) {
        None => BAD_QUANTITY,
        Some(amount) if amount < 0 => "must be greater than or equal to 0",
        Some(amount) => return Some(amount),
    };
    errors.push(FieldError::invalid(path, text, problem));
    None
}

fn ports(path: &str, ports: &[ContainerPort], host_network: bool, errors: &mut Vec<FieldError>) {
    for (at, port) in ports.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let number = port.container_port;
        if !(1..=65_535).contains(&number) {
            let text = "must be between 1 and 65535, inclusive";
            errors.push(FieldError::invalid(format!("{path}.containerPort"), number, text));
        }
        match port.host_port {
            None | Some(0) => {}
            Some(_) if !host_network => errors.push(FieldError::forbidden(
                format!("{path}.hostPort"),
                "not supported yet: ports of containers are not opened on the host",
            )),
            Some(host_port) if host_port != number => errors.push(FieldError::invalid(
                format!("{path}.hostPort"),
                host_port,
                "must match `containerPort` when `hostNetwork` is true",
            )),
            Some(_) => {}
        }
        let protocols = ["SCTP", "TCP", "UDP"];
        one_of(&format!("{path}.protocol"), port.protocol.as_deref(), &protocols, errors);
    }
}

fn mounts(
    path: &str,
    mounts: &[VolumeMount],
    pod: &Surroundings<'_>,
    errors: &mut Vec<FieldError>,
) {
    let mut targets = BTreeSet::new();
    for (at, mount) in mounts.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if mount.name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !pod.volumes.contains(mount.name.as_str()) {
            errors.push(FieldError::not_found(format!("{path}.name"), mount.name.as_str()));
        }
        let target = mount.mount_path.as_str();
        let place = format!("{path}.mountPath");
        absolute(&place, target, errors);
        if !target.is_empty() && !targets.insert(target) {
            errors.push(FieldError::invalid(place.as_str(), target, "must be unique"));
        }
        if target.contains(':') {
            errors.push(FieldError::invalid(place.as_str(), target, "must not contain ':'"));
        }
        free_place(&place, target, errors);

        let sub_path = mount.sub_path.as_deref().unwrap_or_default();
        let expression = mount.sub_path_expr.as_deref().unwrap_or_default();
        descending(&format!("{path}.subPath"), sub_path, errors);
        descending(&format!("{path}.subPathExpr"), expression, errors);
        if !sub_path.is_empty() && !expression.is_empty() {
            let text = "subPathExpr and subPath are mutually exclusive";
            errors.push(FieldError::invalid(format!("{path}.subPathExpr"), expression, text));
        }
    }
}

/// A place in the container that isn't its root and doesn't hold Longshore's own files.
fn free_place(path: &str, place: &str, errors: &mut Vec<FieldError>) {
    let parts = || place.split('/').filter(|part| !part.is_empty() && *part != ".");
    let reserved = parts().next().is_some_and(|first| {
        RESERVED.into_iter().any(|reserved| reserved.trim_start_matches('/') == first)
    });
    if place.starts_with('/') && (parts().next().is_none() || reserved) {
        let text = "the place is taken: it holds the container's own files";
        errors.push(FieldError::forbidden(path, text));
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
        if !matches!(name.as_str(), "cpu" | "memory" | EPHEMERAL_STORAGE) {
            let why = "not supported yet: resources are cpu and memory";
            errors.push(FieldError::forbidden(path, why));
            continue;
        }
        if let Some(amount) = amount(&path, text, errors) {
            found.insert(name.as_str(), (amount, text.as_str()));
        }
    }
    found
}
