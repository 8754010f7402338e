//! The defaults that Kubernetes fills in, so that `kubectl get -o yaml` shows what it shows there.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, HostPathVolumeSource, ObjectFieldSelector, PodSpec, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use longshore_job::Millis;

use crate::object_meta::new_metadata;

/// Labels that every Pod of a Job carries.
pub const JOB_NAME_LABEL: &str = "batch.kubernetes.io/job-name";
pub const CONTROLLER_UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
/// The same from before Kubernetes 1.27, still written beside the new ones.
pub const LEGACY_JOB_NAME_LABEL: &str = "job-name";
pub const LEGACY_CONTROLLER_UID_LABEL: &str = "controller-uid";

/// Fills in the defaults of a Job's spec and of its Pods.
///
/// `restartPolicy` has none that a Job may use, so it stays as it is. Nothing of the metadata is
/// touched, except that the Pods' labels become the Job's where it has none.
pub fn set_defaults(job: &mut Job) {
    let Some(spec) = &mut job.spec else { return };
    set_job_defaults(spec);
    if let Some(pod) = &mut spec.template.spec {
        set_pod_defaults(pod);
    }
    set_labels(job);
}

/// Makes a decoded Job ready to be stored for the first time: its namespace, uid, creation time and
/// generation, a name made from `generateName`, and, unless `manualSelector` is set, the selector
/// and the labels of its Pods. The status and what only the server sets are dropped.
///
/// `uid` must be random; the generated part of a name is taken from it, so that the same request
/// with the same uid makes the same name.
pub fn prepare_create(job: &mut Job, namespace: &str, uid: &str, now: Millis) {
    new_metadata(&mut job.metadata, namespace, uid, now);
    job.metadata.generation = Some(1);
    job.status = None;

    let name = job.metadata.name.clone().unwrap_or_default();
    if let Some(spec) = &mut job.spec
        && spec.manual_selector != Some(true)
    {
        generate_selector(spec, &name, uid);
    }
    // Those that were just generated count too, as with Kubernetes, which fills in the defaults again
    // when it reads what it has stored.
    set_labels(job);
}

/// The Pods' labels become the Job's where it has none.
fn set_labels(job: &mut Job) {
    let template = job.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    let labels = template.and_then(|metadata| metadata.labels.as_ref());
    if job.metadata.labels.as_ref().is_none_or(BTreeMap::is_empty)
        && let Some(labels) = labels.filter(|labels| !labels.is_empty())
    {
        job.metadata.labels = Some(labels.clone());
    }
}

fn generate_selector(spec: &mut JobSpec, name: &str, uid: &str) {
    let labels = spec
        .template
        .metadata
        .get_or_insert_with(ObjectMeta::default)
        .labels
        .get_or_insert_with(BTreeMap::new);
    for (key, value) in [
        (CONTROLLER_UID_LABEL, uid),
        (JOB_NAME_LABEL, name),
        (LEGACY_CONTROLLER_UID_LABEL, uid),
        (LEGACY_JOB_NAME_LABEL, name),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    // A selector given by the user stays beside it, so that validation can refuse one that differs.
    spec.selector
        .get_or_insert_with(LabelSelector::default)
        .match_labels
        .get_or_insert_with(BTreeMap::new)
        .insert(CONTROLLER_UID_LABEL.to_owned(), uid.to_owned());
}

fn set_job_defaults(spec: &mut JobSpec) {
    if spec.completions.is_none() && spec.parallelism.is_none() {
        spec.completions = Some(1);
        spec.parallelism = Some(1);
    }
    spec.parallelism.get_or_insert(1);
    let backoff_limit = if spec.backoff_limit_per_index.is_some() { i32::MAX } else { 6 };
    spec.backoff_limit.get_or_insert(backoff_limit);
    spec.completion_mode.get_or_insert_with(|| "NonIndexed".into());
    spec.suspend.get_or_insert(false);
    spec.manual_selector.get_or_insert(false);
    let replacement =
        if spec.pod_failure_policy.is_some() { "Failed" } else { "TerminatingOrFailed" };
    spec.pod_replacement_policy.get_or_insert_with(|| replacement.into());
    let rules = spec.pod_failure_policy.iter_mut().flat_map(|policy| &mut policy.rules);
    for pattern in rules.flat_map(|rule| rule.on_pod_conditions.iter_mut().flatten()) {
        if pattern.status.is_empty() {
            pattern.status = "True".into();
        }
    }
}

fn set_pod_defaults(pod: &mut PodSpec) {
    pod.dns_policy.get_or_insert_with(|| "ClusterFirst".into());
    pod.scheduler_name.get_or_insert_with(|| "default-scheduler".into());
    pod.termination_grace_period_seconds.get_or_insert(30);
    pod.security_context.get_or_insert_with(Default::default);
    for volume in pod.volumes.iter_mut().flatten() {
        set_volume_defaults(volume);
    }
    for container in pod.init_containers.iter_mut().flatten().chain(&mut pod.containers) {
        set_container_defaults(container);
    }
}

/// The mode of files in volumes that name none: 0644.
const FILE_MODE: i32 = 0o644;

fn set_volume_defaults(volume: &mut Volume) {
    if let Some(HostPathVolumeSource { type_, .. }) = &mut volume.host_path {
        type_.get_or_insert_with(String::new);
    }
    // A volume that names no type is an emptyDir.
    if *volume == (Volume { name: volume.name.clone(), ..Volume::default() }) {
        volume.empty_dir = Some(Default::default());
    }
    if let Some(config_map) = &mut volume.config_map {
        config_map.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(secret) = &mut volume.secret {
        secret.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(fields) = &mut volume.downward_api {
        fields.default_mode.get_or_insert(FILE_MODE);
        set_file_defaults(fields.items.as_deref_mut().unwrap_or_default());
    }
    if let Some(projected) = &mut volume.projected {
        projected.default_mode.get_or_insert(FILE_MODE);
        for source in projected.sources.iter_mut().flatten() {
            if let Some(fields) = &mut source.downward_api {
                set_file_defaults(fields.items.as_deref_mut().unwrap_or_default());
            }
        }
    }
}

fn set_file_defaults(files: &mut [DownwardAPIVolumeFile]) {
    for selector in files.iter_mut().filter_map(|file| file.field_ref.as_mut()) {
        set_field_defaults(selector);
    }
}

fn set_field_defaults(selector: &mut ObjectFieldSelector) {
    selector.api_version.get_or_insert_with(|| "v1".into());
}

fn set_container_defaults(container: &mut Container) {
    let image = container.image.as_deref().unwrap_or_default();
    let policy = if is_latest(image) { "Always" } else { "IfNotPresent" };
    container.image_pull_policy.get_or_insert_with(|| policy.into());
    container.termination_message_path.get_or_insert_with(|| "/dev/termination-log".into());
    container.termination_message_policy.get_or_insert_with(|| "File".into());
    for port in container.ports.iter_mut().flatten() {
        port.protocol.get_or_insert_with(|| "TCP".into());
    }
    for variable in container.env.iter_mut().flatten() {
        let source = variable.value_from.as_mut();
        if let Some(selector) = source.and_then(|source| source.field_ref.as_mut()) {
            set_field_defaults(selector);
        }
    }
    container.resources.get_or_insert_with(Default::default);
}

/// Whether an image is named by the tag `latest`, in so many words or by no tag at all.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let name = image.rsplit('/').next().unwrap_or_default();
    name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_value};

    fn job(spec: serde_json::Value) -> Job {
        from_value(json!({"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "a"}, "spec": spec}))
        .expect("a Job")
    }

    #[test]
    fn a_small_job_gets_what_kubernetes_gives_it() {
        let mut job = job(json!({"template": {"spec": {"restartPolicy": "Never",
            "containers": [{"name": "c", "image": "busybox:1.36"}]}}}));
        set_defaults(&mut job);
        prepare_create(&mut job, "default", "u-1", 1_700_000_000_000);
        assert_eq!(
            to_value(&job).expect("json"),
            json!({
                "apiVersion": "batch/v1", "kind": "Job",
                "metadata": {"name": "a", "namespace": "default", "uid": "u-1", "generation": 1,
                    "creationTimestamp": "2023-11-14T22:13:20Z",
                    "labels": {
                        "batch.kubernetes.io/controller-uid": "u-1",
                        "batch.kubernetes.io/job-name": "a",
                        "controller-uid": "u-1", "job-name": "a"}},
                "spec": {
                    "backoffLimit": 6, "completionMode": "NonIndexed", "completions": 1,
                    "manualSelector": false, "parallelism": 1,
                    "podReplacementPolicy": "TerminatingOrFailed",
                    "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}},
                    "suspend": false,
                    "template": {
                        "metadata": {"labels": {
                            "batch.kubernetes.io/controller-uid": "u-1",
                            "batch.kubernetes.io/job-name": "a",
                            "controller-uid": "u-1", "job-name": "a"}},
                        "spec": {
                            "containers": [{"image": "busybox:1.36",
                                "imagePullPolicy": "IfNotPresent", "name": "c", "resources": {},
                                "terminationMessagePath": "/dev/termination-log",
                                "terminationMessagePolicy": "File"}],
                            "dnsPolicy": "ClusterFirst", "restartPolicy": "Never",
                            "schedulerName": "default-scheduler", "securityContext": {},
                            "terminationGracePeriodSeconds": 30}}}
            })
        );
    }

    #[test]
    fn references_volumes_and_policies_get_what_kubernetes_gives_them() {
        let mut job = job(json!({
            "podFailurePolicy": {"rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]},
            "template": {"spec": {
                "initContainers": [{"name": "i", "image": "x:1", "env": [
                    {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}],
                "containers": [],
                "volumes": [{"name": "a", "configMap": {"name": "m"}},
                    {"name": "b", "secret": {"secretName": "s"}},
                    {"name": "c", "downwardAPI": {"items": [
                        {"path": "p", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                    {"name": "d", "projected": {"sources": [{"downwardAPI": {"items": [
                        {"path": "p", "fieldRef": {"fieldPath": "metadata.uid"}}]}}]}}]
            }}
        }));
        set_defaults(&mut job);
        let job = to_value(&job).expect("json");
        let at = |pointer: &str| job.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(at("/spec/podReplacementPolicy"), json!("Failed"));
        let pattern = "/spec/podFailurePolicy/rules/0/onPodConditions/0/status";
        assert_eq!(at(pattern), json!("True"));
        let pod = "/spec/template/spec";
        let variable = format!("{pod}/initContainers/0/env/0/valueFrom/fieldRef/apiVersion");
        assert_eq!(at(&variable), json!("v1"));
        for volume in ["0/configMap", "1/secret", "2/downwardAPI", "3/projected"] {
            assert_eq!(at(&format!("{pod}/volumes/{volume}/defaultMode")), json!(420), "{volume}");
        }
        for items in ["2/downwardAPI", "3/projected/sources/0/downwardAPI"] {
            let version = format!("{pod}/volumes/{items}/items/0/fieldRef/apiVersion");
            assert_eq!(at(&version), json!("v1"), "{items}");
        }
    }

    #[test]
    fn completions_stay_unset_beside_a_parallelism() {
        let mut job = job(json!({"parallelism": 3, "template": {}}));
        set_defaults(&mut job);
        assert_eq!(job.spec.expect("spec").completions, None);
    }

    #[test]
    fn the_pull_policy_follows_the_tag() {
        assert!(is_latest("busybox"));
        assert!(is_latest("localhost:5000/busybox"));
        assert!(is_latest("localhost:5000/busybox:latest"));
        assert!(!is_latest("localhost:5000/busybox:1"));
        assert!(!is_latest("busybox@sha256:00"));
    }

    #[test]
    fn a_generated_name_fits_and_comes_from_the_uid() {
        let mut first = job(json!({"template": {}}));
        first.metadata.name = None;
        first.metadata.generate_name = Some("x".repeat(100));
        let mut again = first.clone();
        prepare_create(&mut first, "default", "u-1", 0);
        prepare_create(&mut again, "default", "u-1", 9);
        let name = first.metadata.name.expect("name");
        assert_eq!(name.len(), 63);
        assert_eq!(Some(name), again.metadata.name);
    }
}
