//! The rules for a Pod's specification.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, PodSpec};

use crate::field::{FieldError, Warning};
use crate::names;
use crate::rules::{not_negative, object_name, one_of};
use crate::validate_container::{container, container_warnings};
use crate::validate_security::pod_security;
use crate::validate_volume::volumes;

/// What the rules for one container need to know of its Pod.
pub(crate) struct Surroundings<'a> {
    /// The names of the Pod's volumes.
    pub(crate) volumes: BTreeSet<&'a str>,
    /// The names of all its containers.
    pub(crate) containers: BTreeSet<&'a str>,
    pub(crate) host_network: bool,
}

/// The specification of a Job's Pods.
pub(crate) fn pod(path: &str, pod: &PodSpec, errors: &mut Vec<FieldError>) {
    let init = pod.init_containers.as_deref().unwrap_or_default();
    let containers: BTreeSet<&str> =
        init.iter().chain(&pod.containers).map(|container| container.name.as_str()).collect();
    let surroundings = Surroundings {
        volumes: volumes(path, pod.volumes.as_deref().unwrap_or_default(), &containers, errors),
        containers,
        host_network: pod.host_network.unwrap_or(false),
    };

    if pod.containers.is_empty() {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    let mut names = BTreeSet::new();
    for (list, containers) in [("initContainers", init), ("containers", &pod.containers)] {
        for (at, one) in containers.iter().enumerate() {
            let path = format!("{path}.{list}[{at}]");
            if !one.name.is_empty() && !names.insert(one.name.as_str()) {
                errors.push(FieldError::duplicate(format!("{path}.name"), one.name.as_str()));
            }
            restart_policy(&path, one, list == "initContainers", errors);
            container(&path, one, &surroundings, errors);
        }
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
    if let Some(deadline) = pod.active_deadline_seconds
        && !(1..=i64::from(i32::MAX)).contains(&deadline)
    {
        let text = format!("must be between 1 and {}, inclusive", i32::MAX);
        let path = format!("{path}.activeDeadlineSeconds");
        errors.push(FieldError::invalid(path, deadline, text));
    }
    if let Some(hostname) = pod.hostname.as_deref().filter(|hostname| !hostname.is_empty())
        && let Some(problem) = names::dns1123_label(hostname)
    {
        errors.push(FieldError::invalid(format!("{path}.hostname"), hostname, problem));
    }
    for (at, secret) in pod.image_pull_secrets.iter().flatten().enumerate() {
        object_name(&format!("{path}.imagePullSecrets[{at}].name"), &secret.name, errors);
    }
    if let Some(context) = &pod.security_context {
        pod_security(&format!("{path}.securityContext"), context, errors);
    }
}

/// What a valid Pod sets that has no effect, and only its values tell.
pub(crate) fn pod_warnings(path: &str, pod: &PodSpec, warnings: &mut Vec<Warning>) {
    let init = pod.init_containers.as_deref().unwrap_or_default();
    for (list, containers) in [("initContainers", init), ("containers", &pod.containers)] {
        for (at, container) in containers.iter().enumerate() {
            container_warnings(&format!("{path}.{list}[{at}]"), container, warnings);
        }
    }
}

/// Of its own a container has none, but for an init container that is to run all along.
fn restart_policy(path: &str, container: &Container, init: bool, errors: &mut Vec<FieldError>) {
    let path = format!("{path}.restartPolicy");
    match container.restart_policy.as_deref() {
        None | Some("") => {}
        word if init => one_of(&path, word, &["Always"], errors),
        Some(_) => {
            errors.push(FieldError::forbidden(path, "may not be set for non-init containers"));
        }
    }
}
