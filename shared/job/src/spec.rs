//! What the rules need to know of a Job's specification.

use serde::{Deserialize, Serialize};

use crate::{FailureRule, Millis, SuccessRule};

/// The part of a `batch/v1` JobSpec that the rules read, with all defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Whose Pods these are; the rules need it for their names in messages.
    pub identity: Identity,
    pub mode: CompletionMode,
    /// How many attempts may run at once; 0 pauses the Job.
    pub parallelism: u32,
    /// How many successes are needed; `None` is a work queue, where any success completes the Job.
    pub completions: Option<u32>,
    pub backoff_limit: u32,
    /// How often one index may fail before it counts as failed; `None` counts for the Job as a whole.
    pub backoff_limit_per_index: Option<u32>,
    /// How many indexes may fail before the Job does.
    pub max_failed_indexes: Option<u32>,
    /// `podFailurePolicy.rules`, in order; empty without a policy.
    pub failure_policy: Vec<FailureRule>,
    /// `successPolicy.rules`, in order; empty without a policy.
    pub success_policy: Vec<SuccessRule>,
    /// The names of the template's containers, those of init containers first.
    pub containers: Vec<String>,
    /// `managedBy` names another controller: the Job's status is that one's, and nothing is run.
    pub managed_elsewhere: bool,
    pub restart_policy: RestartPolicy,
    pub suspend: bool,
    pub active_deadline: Option<Millis>,
    pub ttl_after_finished: Option<Millis>,
    /// The cluster's own rule for finished Jobs without a TTL, in milliseconds.
    pub retention: Option<Millis>,
    pub backoff: Backoff,
    /// How often one index may lose its host or daemon while running before the Job fails.
    pub max_disruptions: u32,
    /// Seconds that a container gets between SIGTERM and SIGKILL.
    pub grace_seconds: u32,
}

/// What names a Job and its Pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompletionMode {
    NonIndexed,
    Indexed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    Never,
    OnFailure,
}

/// Exponential back-off between the attempts of one index: `base * 2^(failures - 1)`, up to `cap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    pub base: Millis,
    pub cap: Millis,
}

impl Default for Backoff {
    /// Kubernetes' own figures: 10 s doubling up to 10 min.
    fn default() -> Self {
        Self { base: 10_000, cap: 600_000 }
    }
}

impl Backoff {
    /// The delay after the given number of failures in a row.
    pub fn delay(&self, failures: u32) -> Millis {
        let doublings = failures.saturating_sub(1).min(40);
        self.base.saturating_mul(1 << doublings).min(self.cap)
    }
}
