//! What a worker is to run: one claimed attempt with the Job it belongs to.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use longshore_job::{CompletionMode, pod_name};
use longshore_store::AttemptKey;

use crate::held::local_id;

/// One attempt that Redis has given to this worker.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    pub(crate) key: AttemptKey,
    pub(crate) token: String,
    pub(crate) namespace: String,
    pub(crate) job_name: String,
    /// The name of the attempt's Pod.
    pub(crate) pod: String,
    /// The Job's own lease length.
    pub(crate) lease: Duration,
    pub(crate) mode: CompletionMode,
    pub(crate) restart_on_failure: bool,
    spec: Arc<PodSpec>,
}

/// A stored Job that can't be run: it would have been refused when it was created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssignmentError {
    #[error("the Job can't be read")]
    Json(#[from] serde_json::Error),
    #[error("the Job has no container")]
    NoContainer,
}

impl Assignment {
    /// `object` is the Job as it is stored.
    pub(crate) fn new(
        key: AttemptKey,
        token: String,
        lease: Duration,
        namespace: String,
        job_name: String,
        object: &str,
    ) -> Result<Self, AssignmentError> {
        let job: Job = serde_json::from_str(object)?;
        let spec = job.spec.unwrap_or_default();
        let mode = match spec.completion_mode.as_deref() {
            Some("Indexed") => CompletionMode::Indexed,
            _ => CompletionMode::NonIndexed,
        };
        let pod_spec = spec.template.spec.unwrap_or_default();
        if pod_spec.containers.is_empty() {
            return Err(AssignmentError::NoContainer);
        }
        Ok(Self {
            pod: pod_name(&job_name, &key.job.uid, mode, key.index, key.attempt),
            restart_on_failure: pod_spec.restart_policy.as_deref() == Some("OnFailure"),
            spec: Arc::new(pod_spec),
            key,
            token,
            namespace,
            job_name,
            lease,
            mode,
        })
    }

    /// What tells it apart from the other attempts on this host.
    pub(crate) fn local_id(&self) -> String {
        local_id(&self.key, &self.token)
    }

    pub(crate) fn pod_spec(&self) -> &PodSpec {
        &self.spec
    }

    pub(crate) fn container(&self) -> &Container {
        &self.spec.containers[0]
    }

    /// The container's name on the host: the Pod's, then `_`, then the container's.
    pub(crate) fn container_name(&self) -> String {
        format!("{}_{}", self.pod, self.container().name)
    }

    /// `JOB_COMPLETION_INDEX`; only Indexed Jobs have it.
    pub(crate) fn completion_index(&self) -> Option<u32> {
        (self.mode == CompletionMode::Indexed).then_some(self.key.index)
    }

    /// The container's host name as Kubernetes sets it for Jobs, cut to what a host name may be.
    pub(crate) fn hostname(&self) -> String {
        if let Some(hostname) = &self.spec.hostname {
            return hostname.clone();
        }
        let name = match self.completion_index() {
            Some(index) => format!("{}-{index}", self.job_name),
            None => self.pod.clone(),
        };
        let cut: String = name.chars().take(63).collect();
        cut.trim_end_matches(['-', '.']).to_owned()
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
        let object = serde_json::json!({
            "metadata": { "name": "pi" },
            "spec": { "completionMode": "Indexed", "template": { "spec": pod_spec } }
        });
        Assignment::new(
            JobRef::new(Shard(3), format!("uid-{token}")).attempt(4, 1),
            token.to_owned(),
            Duration::from_secs(15),
            "default".into(),
            "pi".into(),
            &object.to_string(),
        )
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
        assert_eq!(assignment.hostname(), "pi-4");
        assert_eq!(assignment.grace_seconds(), 30);
        assert!(assignment.container_name().ends_with("_main"));
    }
}
