//! Security contexts as Docker has them. Pure.

use bollard::models::HostConfig;
use k8s_openapi::api::core::v1::{Container, PodSpec};

/// Puts what the contexts of the Pod and the container ask for into Docker's configuration; gives the
/// user to run as, if it isn't the image's. The error is fit for the user; Kubernetes' reason for it is
/// `CreateContainerConfigError`.
pub(super) fn apply(
    spec: &PodSpec,
    container: &Container,
    image_user: &str,
    host: &mut HostConfig,
) -> Result<Option<String>, String> {
    let pod = spec.security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();

    let user = own.run_as_user.or(pod.run_as_user);
    let group = own.run_as_group.or(pod.run_as_group);
    if own.run_as_non_root.or(pod.run_as_non_root) == Some(true) {
        check_non_root(user, image_user)?;
    }

    let mut options = Vec::new();
    if own.allow_privilege_escalation == Some(false) {
        options.push("no-new-privileges".to_owned());
    }
    let seccomp = own.seccomp_profile.or(pod.seccomp_profile);
    if seccomp.is_some_and(|profile| profile.type_ == "Unconfined") {
        options.push("seccomp=unconfined".to_owned());
    }
    let groups = pod.fs_group.iter().chain(pod.supplemental_groups.iter().flatten());
    let groups: Vec<String> = groups.map(i64::to_string).collect();
    let capabilities = own.capabilities.unwrap_or_default();

    host.security_opt = filled(options);
    host.group_add = filled(groups);
    host.cap_add = filled(capabilities.add.unwrap_or_default());
    host.cap_drop = filled(capabilities.drop.unwrap_or_default());
    host.privileged = own.privileged;
    host.readonly_rootfs = own.read_only_root_filesystem;
    Ok(match (user, group) {
        (Some(user), Some(group)) => Some(format!("{user}:{group}")),
        (Some(user), None) => Some(user.to_string()),
        (None, Some(group)) => {
            let user = image_user.split(':').next().filter(|user| !user.is_empty());
            Some(format!("{}:{group}", user.unwrap_or("0")))
        }
        (None, None) => None,
    })
}

/// The kubelet's own check, and its words.
fn check_non_root(user: Option<i64>, image_user: &str) -> Result<(), String> {
    if let Some(user) = user {
        return match user {
            0 => Err("container's runAsUser breaks non-root policy".into()),
            _ => Ok(()),
        };
    }
    match image_user.split(':').next().unwrap_or_default() {
        "" => Err("container has runAsNonRoot and image will run as root".into()),
        name => match name.parse::<u32>() {
            Ok(0) => Err("container has runAsNonRoot and image will run as root".into()),
            Ok(_) => Ok(()),
            Err(_) => Err(format!(
                "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify \
                 user is non-root"
            )),
        },
    }
}

fn filled(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn applied(pod: Value, own: Value, image_user: &str) -> Result<(HostConfig, String), String> {
        let spec: PodSpec = from_value(json!({
            "securityContext": pod, "containers": [{ "name": "c", "securityContext": own }]
        }))
        .expect("a Pod");
        let mut host = HostConfig::default();
        let user = apply(&spec, &spec.containers[0], image_user, &mut host)?;
        Ok((host, user.unwrap_or_default()))
    }

    #[test]
    fn the_containers_own_context_wins() {
        let pod =
            json!({ "runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4] });
        let own = json!({
            "runAsUser": 5, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": { "add": ["NET_ADMIN"], "drop": ["ALL"] }
        });
        let (host, user) = applied(pod, own, "9").expect("applied");
        assert_eq!(user, "5:2");
        let words = |list: &Option<Vec<String>>| list.clone().unwrap_or_default().join(" ");
        assert_eq!(words(&host.group_add), "3 4");
        assert_eq!(words(&host.security_opt), "no-new-privileges");
        assert_eq!(
            (words(&host.cap_add), words(&host.cap_drop)),
            ("NET_ADMIN".into(), "ALL".into())
        );
        assert_eq!((host.readonly_rootfs, host.privileged), (Some(true), None));
    }

    #[test]
    fn a_group_alone_goes_with_the_images_user() {
        for (image_user, user) in [("", "0:7"), ("app:app", "app:7")] {
            let found = applied(json!({}), json!({ "runAsGroup": 7 }), image_user);
            assert_eq!(found.expect("applied").1, user);
        }
    }

    #[test]
    fn a_container_that_must_not_be_root_is_proved_not_to_be() {
        let check = |own: Value, image_user: &str| {
            applied(json!({ "runAsNonRoot": true }), own, image_user).map(|(_, user)| user)
        };
        assert_eq!(check(json!({ "runAsUser": 7 }), ""), Ok("7".into()));
        assert_eq!(check(json!({}), "7:8"), Ok(String::new()));
        assert_eq!(check(json!({ "runAsNonRoot": false }), ""), Ok(String::new()));
        for (own, image_user, words) in [
            (json!({ "runAsUser": 0 }), "7", "breaks non-root policy"),
            (json!({}), "", "image will run as root"),
            (json!({}), "0:7", "image will run as root"),
            (json!({}), "app", "non-numeric user (app)"),
        ] {
            let error = check(own, image_user).expect_err("root");
            assert!(error.contains(words), "{error}");
        }
    }
}
