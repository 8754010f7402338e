//! What a cluster allows its Jobs beyond the harmless.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, PodSpec, Volume};

use crate::field::FieldError;
use crate::validate_security::plain_capability;

/// The cluster's settings `[policy]`, and whether Secrets can be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterPolicy {
    /// Whether Pods may use the host's network.
    pub host_network: bool,
    /// Whether containers may be privileged.
    pub privileged: bool,
    /// Capabilities that containers may add beyond Docker's default set; `ALL` stands for all.
    pub capabilities: Vec<String>,
    /// The names of claims that are mapped to a folder or a share.
    pub claims: Vec<String>,
    /// Whether the cluster has a key for Secrets. Without one there are none.
    pub secrets: bool,
}

/// What a Job asks for that the cluster doesn't allow, each with the setting that would.
pub fn validate_policy(job: &Job, policy: &ClusterPolicy) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let path = "spec.template.spec";
    let Some(pod) = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()) else {
        return errors;
    };
    if pod.host_network == Some(true) && !policy.host_network {
        errors.push(not_allowed(format!("{path}.hostNetwork"), "set policy.host_network"));
    }
    let init = pod.init_containers.as_deref().unwrap_or_default();
    for (list, containers) in [("initContainers", init), ("containers", &pod.containers)] {
        for (at, container) in containers.iter().enumerate() {
            security(&format!("{path}.{list}[{at}]"), container, policy, &mut errors);
        }
    }
    for (at, volume) in pod.volumes.iter().flatten().enumerate() {
        claim(&format!("{path}.volumes[{at}]"), volume, policy, &mut errors);
    }
    if !policy.secrets {
        secrets(path, pod, &mut errors);
    }
    errors
}

/// What Docker gives a container that asks for nothing.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

fn not_allowed(path: String, setting: &str) -> FieldError {
    FieldError::forbidden(path, format!("not allowed in this cluster: {setting}"))
}

fn security(
    path: &str,
    container: &Container,
    policy: &ClusterPolicy,
    errors: &mut Vec<FieldError>,
) {
    let Some(context) = &container.security_context else { return };
    let path = format!("{path}.securityContext");
    if context.privileged == Some(true) && !policy.privileged {
        errors.push(not_allowed(format!("{path}.privileged"), "set policy.privileged"));
    }
    let allowed: BTreeSet<&str> =
        policy.capabilities.iter().map(|name| plain_capability(name)).collect();
    let added = context.capabilities.iter().flat_map(|set| set.add.iter().flatten());
    for (at, name) in added.enumerate() {
        let name = plain_capability(name);
        let harmless = DEFAULT_CAPABILITIES.contains(&name);
        if !harmless && !allowed.contains(name) && !allowed.contains("ALL") {
            let setting = format!("add {name} to policy.capabilities");
            errors.push(not_allowed(format!("{path}.capabilities.add[{at}]"), &setting));
        }
    }
}

fn claim(path: &str, volume: &Volume, policy: &ClusterPolicy, errors: &mut Vec<FieldError>) {
    let Some(claim) = &volume.persistent_volume_claim else { return };
    if !policy.claims.contains(&claim.claim_name) {
        let path = format!("{path}.persistentVolumeClaim.claimName");
        let setting = format!("map {} to a folder or a share in policy.claims", claim.claim_name);
        errors.push(not_allowed(path, &setting));
    }
}

/// The uses of Secrets that must be there: a Pod would wait for them for ever.
fn secrets(path: &str, pod: &PodSpec, errors: &mut Vec<FieldError>) {
    let mut uses = Vec::new();
    for at in 0..pod.image_pull_secrets.as_ref().map_or(0, Vec::len) {
        uses.push(format!("{path}.imagePullSecrets[{at}]"));
    }
    let init = pod.init_containers.as_deref().unwrap_or_default();
    for (list, containers) in [("initContainers", init), ("containers", &pod.containers)] {
        for (at, container) in containers.iter().enumerate() {
            let path = format!("{path}.{list}[{at}]");
            for (at, variable) in container.env.iter().flatten().enumerate() {
                let source =
                    variable.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
                if source.is_some_and(|secret| secret.optional != Some(true)) {
                    uses.push(format!("{path}.env[{at}].valueFrom.secretKeyRef"));
                }
            }
            for (at, source) in container.env_from.iter().flatten().enumerate() {
                if source.secret_ref.as_ref().is_some_and(|secret| secret.optional != Some(true)) {
                    uses.push(format!("{path}.envFrom[{at}].secretRef"));
                }
            }
        }
    }
    for (at, volume) in pod.volumes.iter().flatten().enumerate() {
        let path = format!("{path}.volumes[{at}]");
        if volume.secret.as_ref().is_some_and(|secret| secret.optional != Some(true)) {
            uses.push(format!("{path}.secret"));
        }
        let projected = volume.projected.iter().flat_map(|p| p.sources.iter().flatten());
        for (at, source) in projected.enumerate() {
            if source.secret.as_ref().is_some_and(|secret| secret.optional != Some(true)) {
                uses.push(format!("{path}.projected.sources[{at}].secret"));
            }
        }
    }
    let setting = "set secrets.key, so that there can be Secrets";
    errors.extend(uses.into_iter().map(|path| not_allowed(path, setting)));
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn job() -> Job {
        from_value(json!({"spec": {"template": {"spec": {
            "hostNetwork": true,
            "imagePullSecrets": [{"name": "r"}],
            "initContainers": [{"name": "i", "securityContext": {"privileged": true}}],
            "containers": [{"name": "c",
                "securityContext": {"capabilities": {"add": ["CHOWN", "CAP_NET_ADMIN"]}},
                "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "envFrom": [{"secretRef": {"name": "s", "optional": true}}]}],
            "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "p", "projected": {"sources": [{"secret": {"name": "s"}}]}}]
        }}}}))
        .expect("a Job")
    }

    #[test]
    fn what_the_cluster_does_not_allow_is_refused_with_the_setting() {
        let found = validate_policy(&job(), &ClusterPolicy::default());
        let texts: Vec<String> = found.iter().map(FieldError::to_string).collect();
        let text = |field: &str, setting: &str| {
            format!("spec.template.spec.{field}: Forbidden: not allowed in this cluster: {setting}")
        };
        let key = "set secrets.key, so that there can be Secrets";
        assert_eq!(
            texts,
            [
                text("hostNetwork", "set policy.host_network"),
                text("initContainers[0].securityContext.privileged", "set policy.privileged"),
                text(
                    "containers[0].securityContext.capabilities.add[1]",
                    "add NET_ADMIN to policy.capabilities"
                ),
                text(
                    "volumes[0].persistentVolumeClaim.claimName",
                    "map data to a folder or a share in policy.claims"
                ),
                text("imagePullSecrets[0]", key),
                text("containers[0].env[0].valueFrom.secretKeyRef", key),
                text("volumes[1].projected.sources[0].secret", key),
            ]
        );
    }

    #[test]
    fn what_the_cluster_allows_passes() {
        let policy = ClusterPolicy {
            host_network: true,
            privileged: true,
            capabilities: vec!["NET_ADMIN".into()],
            claims: vec!["data".into()],
            secrets: true,
        };
        assert_eq!(validate_policy(&job(), &policy), Vec::new());
        assert_eq!(validate_policy(&Job::default(), &ClusterPolicy::default()), Vec::new());
    }
}
