//! The rules for the security contexts of Pods and containers.

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Capabilities, PodSecurityContext, SeccompProfile, SecurityContext,
};

use crate::field::FieldError;
use crate::rules::one_of;

/// The security context of a Pod.
pub(crate) fn pod_security(path: &str, context: &PodSecurityContext, errors: &mut Vec<FieldError>) {
    id(&format!("{path}.runAsUser"), context.run_as_user, errors);
    id(&format!("{path}.runAsGroup"), context.run_as_group, errors);
    id(&format!("{path}.fsGroup"), context.fs_group, errors);
    for (at, group) in context.supplemental_groups.iter().flatten().enumerate() {
        id(&format!("{path}.supplementalGroups[{at}]"), Some(*group), errors);
    }
    let changes = ["Always", "OnRootMismatch"];
    let change = context.fs_group_change_policy.as_deref();
    one_of(&format!("{path}.fsGroupChangePolicy"), change, &changes, errors);
    seccomp(path, context.seccomp_profile.as_ref(), errors);
    app_armor(path, context.app_armor_profile.as_ref(), errors);
}

/// The security context of a container.
pub(crate) fn container_security(
    path: &str,
    context: &SecurityContext,
    errors: &mut Vec<FieldError>,
) {
    id(&format!("{path}.runAsUser"), context.run_as_user, errors);
    id(&format!("{path}.runAsGroup"), context.run_as_group, errors);
    seccomp(path, context.seccomp_profile.as_ref(), errors);
    app_armor(path, context.app_armor_profile.as_ref(), errors);
    if let Some(set) = &context.capabilities {
        capabilities(&format!("{path}.capabilities"), set, errors);
    }
    if context.allow_privilege_escalation == Some(false) {
        if context.privileged == Some(true) {
            let text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(FieldError::invalid_object(path, text));
        }
        let added = context.capabilities.iter().flat_map(|set| set.add.iter().flatten());
        if added.into_iter().any(|name| plain_capability(name) == "SYS_ADMIN") {
            let text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` \
                        CAP_SYS_ADMIN";
            errors.push(FieldError::invalid_object(path, text));
        }
    }
}

/// A capability's name as Docker lists them: without `CAP_`.
pub(crate) fn plain_capability(name: &str) -> &str {
    name.strip_prefix("CAP_").unwrap_or(name)
}

/// All that Linux has, without their prefix.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

fn capabilities(path: &str, set: &Capabilities, errors: &mut Vec<FieldError>) {
    for (field, names) in [("add", &set.add), ("drop", &set.drop)] {
        for (at, name) in names.iter().flatten().enumerate() {
            if name != "ALL" && !CAPABILITIES.contains(&plain_capability(name)) {
                errors.push(FieldError::invalid(
                    format!("{path}.{field}[{at}]"),
                    name.as_str(),
                    "must be a Linux capability such as NET_ADMIN, or ALL",
                ));
            }
        }
    }
}

/// The number of a user or a group.
fn id(path: &str, id: Option<i64>, errors: &mut Vec<FieldError>) {
    if let Some(id) = id.filter(|id| !(0..=i64::from(i32::MAX)).contains(id)) {
        let text = format!("must be between 0 and {}, inclusive", i32::MAX);
        errors.push(FieldError::invalid(path, id, text));
    }
}

fn seccomp(path: &str, profile: Option<&SeccompProfile>, errors: &mut Vec<FieldError>) {
    let Some(profile) = profile else { return };
    let kinds = ["Localhost", "RuntimeDefault", "Unconfined"];
    one_of(&format!("{path}.seccompProfile.type"), Some(&profile.type_), &kinds, errors);
}

fn app_armor(path: &str, profile: Option<&AppArmorProfile>, errors: &mut Vec<FieldError>) {
    let Some(profile) = profile else { return };
    let kinds = ["Localhost", "RuntimeDefault", "Unconfined"];
    one_of(&format!("{path}.appArmorProfile.type"), Some(&profile.type_), &kinds, errors);
}
