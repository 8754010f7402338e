//! What the rules need to know of a Job's specification.

use serde::{Deserialize, Serialize};

use crate::Millis;

/// The part of a `batch/v1` JobSpec that the rules read, with all defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    pub mode: CompletionMode,
    /// How many attempts may run at once; 0 pauses the Job.
    pub parallelism: u32,
    /// How many successes are needed; `None` is a work queue, where any success completes the Job.
    pub completions: Option<u32>,
    pub backoff_limit: u32,
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
