//! What a worker is to run: one claimed attempt with the Job it belongs to.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use longshore_api::pod::{AttemptState, AttemptView, hostname, render_pod};
use longshore_api::spec::completion_mode;
use longshore_job::{Attempt, CompletionMode, Index};
use longshore_store::AttemptKey;

use crate::held::local_id;
use crate::pod::NETWORK_HOLDER;

/// One attempt that Redis has given to this worker.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    pub(crate) key: AttemptKey,
    pub(crate) token: String,
    pub(crate) namespace: String,
    pub(crate) job_name: String,
    /// The name of the attempt's Pod.
    pub(crate) pod_name: String,
    /// The Job's own lease length.
    pub(crate) lease: Duration,
    pub(crate) restart_on_failure: bool,
    /// The containers' host name, where they have a network of their own.
    pub(crate) hostname: String,
    /// The Pod as a client sees it once it has been given to this worker.
    pub(crate) metadata: Arc<ObjectMeta>,
    pub(crate) spec: Arc<PodSpec>,
    mode: CompletionMode,
}

/// A stored Job that can't be run: it would have been refused when it was created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssignmentError {
    #[error("the Job can't be read")]
    Json(#[from] serde_json::Error),
    #[error("the Job has no container")]
    NoContainer,
}

/// What was granted, and to which worker.
pub(crate) struct Granted<'a> {
    pub(crate) key: AttemptKey,
    pub(crate) token: String,
    pub(crate) lease: Duration,
    pub(crate) namespace: String,
    pub(crate) job_name: String,
    pub(crate) worker: &'a str,
    /// Failures of its index before it that counted, and those that a policy ignored.
    pub(crate) index_failures: u32,
    pub(crate) index_ignored: u32,
    /// The Job as it is stored.
    pub(crate) object: &'a str,
}

impl Assignment {
    pub(crate) fn new(granted: Granted<'_>) -> Result<Self, AssignmentError> {
        let Granted { key, token, lease, namespace, job_name, worker, object, .. } = granted;
        let mut job: Job = serde_json::from_str(object)?;
        job.metadata.namespace = Some(namespace.clone());
        job.metadata.name = Some(job_name.clone());
        job.metadata.uid = Some(key.job.uid.clone());
        let attempt = Attempt {
            number: key.attempt,
            worker: Some(worker.to_owned()),
            index_failures: granted.index_failures,
            index_ignored: granted.index_ignored,
            ..Attempt::default()
        };
        let view = AttemptView {
            attempt: &attempt,
            state: AttemptState::Claimed,
            stop: None,
            granted: 0,
            runtime: "docker",
        };
        let pod = render_pod(&job, key.index, &view);
        let spec = pod.spec.unwrap_or_default();
        if spec.containers.is_empty() {
            return Err(AssignmentError::NoContainer);
        }
        let pod_name = pod.metadata.name.clone().unwrap_or_default();
        Ok(Self {
            hostname: hostname(&job, &pod_name, key.index),
            restart_on_failure: spec.restart_policy.as_deref() == Some("OnFailure"),
            metadata: Arc::new(pod.metadata),
            spec: Arc::new(spec),
            mode: completion_mode(&job),
            key,
            token,
            namespace,
            job_name,
            pod_name,
            lease,
        })
    }

    /// What tells it apart from the other attempts on this host.
    pub(crate) fn local_id(&self) -> String {
        local_id(&self.key, &self.token)
    }

    /// The name on the host of one of its containers: the Pod's, then `_`, then the container's.
    pub(crate) fn container_name(&self, container: &Container) -> String {
        format!("{}_{}", self.pod_name, container.name)
    }

    /// The names on the host of all its containers, in the order in which they are to be removed: the
    /// holder of their network last.
    pub(crate) fn container_names(&self) -> Vec<String> {
        let init = self.spec.init_containers.iter().flatten();
        let mut names: Vec<String> =
            init.chain(&self.spec.containers).map(|one| self.container_name(one)).collect();
        if names.len() > 1 {
            names.push(format!("{}_{NETWORK_HOLDER}", self.pod_name));
        }
        names
    }

    /// `JOB_COMPLETION_INDEX`; only Indexed Jobs have it.
    pub(crate) fn completion_index(&self) -> Option<Index> {
        (self.mode == CompletionMode::Indexed).then_some(self.key.index)
    }

    /// Seconds between SIGTERM and SIGKILL.
    pub(crate) fn grace_seconds(&self) -> u32 {
        let grace = self.spec.termination_grace_period_seconds.unwrap_or(30);
        u32::try_from(grace.max(0)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use longshore_store::{JobRef, Shard};

    /// An Indexed attempt of a Job with this Pod specification.
    pub(crate) fn assignment(token: &str, pod_spec: serde_json::Value) -> Assignment {
        let labels = serde_json::json!({ "app": "pi", "quote": "a-b" });
        let object = serde_json::json!({
            "spec": { "completionMode": "Indexed", "backoffLimitPerIndex": 3, "template": {
                "metadata": { "labels": labels }, "spec": pod_spec
            } }
        });
        Assignment::new(Granted {
            key: JobRef::new(Shard(3), format!("uid-{token}")).attempt(4, 1),
            token: token.to_owned(),
            lease: Duration::from_secs(15),
            namespace: "default".into(),
            job_name: "pi".into(),
            worker: "worker-1",
            index_failures: 2,
            index_ignored: 0,
            object: &object.to_string(),
        })
        .expect("a Job that can be run")
    }

    #[test]
    fn a_job_says_what_to_run() {
        let assignment = assignment(
            "7",
            serde_json::json!({
                "restartPolicy": "OnFailure",
                "containers": [{ "name": "main", "image": "busybox" }]
            }),
        );
        assert!(assignment.restart_on_failure);
        assert_eq!(assignment.completion_index(), Some(4));
        assert_eq!(assignment.hostname, "pi-4");
        assert_eq!(assignment.grace_seconds(), 30);
        let annotations = assignment.metadata.annotations.clone().unwrap_or_default();
        assert_eq!(annotations["batch.kubernetes.io/job-index-failure-count"], "2");
        assert_eq!(assignment.spec.node_name.as_deref(), Some("worker-1"));
        let name = assignment.container_name(&assignment.spec.containers[0]);
        assert_eq!(name, format!("{}_main", assignment.pod_name));
    }
}
