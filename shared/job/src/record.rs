//! The records of a Job as they are stored: its header, the indexes in flight, and finished attempts.
//!
//! Field names are short because a Job of 100,000 indexes keeps as many of these.

use serde::{Deserialize, Serialize};

use crate::Millis;

/// What is stored once per Job, beside its bitmaps and its records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// When the Job was first seen unsuspended; set anew at each resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Millis>,
    /// `status.failed`: failures of containers, and attempts killed because the Job failed.
    #[serde(default)]
    pub failed: u32,
    /// Failures that count against `backoffLimit`: attempts that failed and in-place restarts.
    #[serde(default)]
    pub counted_failures: u32,
    /// The status figures that readers want without loading the records.
    #[serde(default)]
    pub active: u32,
    #[serde(default)]
    pub ready: u32,
    #[serde(default)]
    pub terminating: u32,
    #[serde(default)]
    pub succeeded: u32,
    /// How many indexes have failed for good; only with `backoffLimitPerIndex`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_indexes: u32,
    /// The highest number that an attempt of the Job has had.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub latest_attempt: u32,
    /// The number of an index's first attempt; 0 stands for 1. It rises when indexes leave that had been
    /// tried: should they return, no two of their attempts must have the same number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub first_attempt: u32,
    /// Attempts lost through no fault of their container. Not part of batch/v1.
    #[serde(default)]
    pub disruptions: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Set once the Job is being deleted.
    #[serde(default)]
    pub deleting: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// `True` or `False`; only `Suspended` is ever `False`.
    pub status: bool,
    pub reason: String,
    pub message: String,
    /// When the status last changed.
    pub since: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionType {
    Suspended,
    SuccessCriteriaMet,
    FailureTarget,
    Complete,
    Failed,
}

/// An index in flight: waiting to be retried, offered to workers, or claimed by one.
///
/// An index that was never tried or has succeeded has no such record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    #[serde(flatten)]
    pub attempt: Attempt,
    #[serde(rename = "s")]
    pub phase: Phase,
    /// Failures of this index in a row, for its back-off.
    #[serde(rename = "f", default, skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// Disruptions of this index in a row, for their back-off.
    #[serde(rename = "d", default, skip_serializing_if = "is_zero")]
    pub disruptions: u32,
    /// Disruptions that took the worker, its host or its daemon with them, for the cap.
    #[serde(rename = "l", default, skip_serializing_if = "is_zero")]
    pub losses: u32,
    /// When a waiting index is due, or the next in-place restart of a claimed one.
    #[serde(rename = "due", default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Millis>,
    /// Set once the attempt has been told to stop; the grace period in seconds.
    #[serde(rename = "stop", default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<u32>,
    /// How many in-place failures the owner has accounted for. It lags behind `attempt.restarts`
    /// until the owner has read of the latest one.
    #[serde(rename = "rc", default, skip_serializing_if = "is_zero")]
    pub counted: u32,
    /// How many in-place restarts the owner has granted.
    #[serde(rename = "go", default, skip_serializing_if = "is_zero")]
    pub granted: u32,
    /// The session of the worker that holds the attempt.
    #[serde(rename = "ses", default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The id of the claim that was granted, so that a repeat gets the same answer.
    #[serde(rename = "cid", default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
}

/// Where an index in flight stands. Stored as one letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Between attempts; `attempt.number` is that of the attempt to come.
    #[serde(rename = "W")]
    Waiting,
    #[serde(rename = "O")]
    Offered,
    #[serde(rename = "C")]
    Claimed,
    /// Ended in Redis, its outcome not yet accounted for by the owner.
    #[serde(rename = "F")]
    Finished,
}

/// One try at one index: what a Kubernetes client sees as a Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1 for the first attempt of an index.
    #[serde(rename = "n")]
    pub number: u32,
    /// When it was offered.
    #[serde(rename = "c", default)]
    pub created: Millis,
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<Millis>,
    /// When its (latest) container started.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Millis>,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Millis>,
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The fencing token as decimal digits, as Lua can't hold it as a number.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// In-place restarts so far (restartPolicy OnFailure).
    #[serde(rename = "r", default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// Why it isn't running yet, such as an image that can't be pulled.
    #[serde(rename = "wait", default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// How it ended; for one that is restarted in place, how its last container ended.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// How each container of a Pod with several stands, in the template's order, init containers first;
    /// empty for a Pod with one.
    #[serde(rename = "cs", default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Container>,
    /// When a client deleted or evicted its Pod.
    #[serde(rename = "del", default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Millis>,
    /// Whether that was an eviction, which is a disruption.
    #[serde(rename = "ev", default, skip_serializing_if = "std::ops::Not::not")]
    pub evicted: bool,
    /// Failures of its index before it that counted, and those that a policy ignored: Kubernetes'
    /// `job-index-failure-count` and `job-index-ignored-failure-count`.
    #[serde(rename = "fc", default, skip_serializing_if = "is_zero")]
    pub index_failures: u32,
    #[serde(rename = "ic", default, skip_serializing_if = "is_zero")]
    pub index_ignored: u32,
}

/// One container of a Pod with several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    #[serde(rename = "n")]
    pub name: String,
    /// When its latest run started.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Millis>,
    /// When its latest run that ended did.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Millis>,
    /// Whether it runs now. If not, it has ended for good if it has an outcome and doesn't wait.
    #[serde(rename = "up", default, skip_serializing_if = "std::ops::Not::not")]
    pub running: bool,
    /// How often it was restarted in place.
    #[serde(rename = "r", default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// Why it isn't running yet, such as `CrashLoopBackOff` or `PodInitializing`.
    #[serde(rename = "wait", default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// How its latest run that ended did so.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How an attempt, or one container of it, ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The container ran and exited.
    #[serde(rename = "exit")]
    Exited {
        #[serde(rename = "c")]
        code: i32,
        /// Kubernetes' reason: `Completed`, `Error` or `OOMKilled`.
        #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")]
        reason: String,
        #[serde(rename = "m", default, skip_serializing_if = "String::is_empty")]
        message: String,
    },
    /// The container could not be started for a cause of its own: no such image, no such command.
    #[serde(rename = "start")]
    StartError {
        /// Kubernetes' reason: `ErrImagePull`, `StartError`, `CreateContainerConfigError`…
        #[serde(rename = "r")]
        reason: String,
        #[serde(rename = "m")]
        message: String,
        /// 126, 127 or 128, as Docker tells it.
        #[serde(rename = "c")]
        code: i32,
    },
    /// The Pod was ended as a whole, for a cause of its own.
    #[serde(rename = "pod")]
    PodFailed {
        /// The Pod's reason: `DeadlineExceeded`, or `Evicted` for a volume beyond its limit.
        #[serde(rename = "r")]
        reason: String,
        #[serde(rename = "m")]
        message: String,
        /// The container's exit code, where one ran.
        #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
        code: Option<i32>,
    },
    /// Lost through no fault of its container.
    #[serde(rename = "lost")]
    Disrupted {
        /// `WorkerLost`, `DockerRestarted`, `Drained`, `StartFailed`…
        #[serde(rename = "r")]
        reason: String,
        #[serde(rename = "m", default, skip_serializing_if = "String::is_empty")]
        message: String,
        /// Whether the worker that had the attempt, its host or its daemon went down with it: only that
        /// counts for the cap.
        #[serde(rename = "h", default)]
        host_lost: bool,
    },
    /// Ended because the owner asked for it: suspended, deleted, past a limit.
    #[serde(rename = "stopped")]
    Stopped {
        /// The container's exit code, where one ran.
        #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
        code: Option<i32>,
    },
}

impl Header {
    /// The condition of a kind, whatever its status.
    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Whether the condition of a kind is there and `True`.
    pub fn is(&self, kind: ConditionType) -> bool {
        self.condition(kind).is_some_and(|condition| condition.status)
    }

    /// Whether the Job is Complete or Failed.
    pub fn is_finished(&self) -> bool {
        self.is(ConditionType::Complete) || self.is(ConditionType::Failed)
    }
}

impl Live {
    /// The record of an index between attempts; `number` is that of the attempt to come.
    pub fn waiting(number: u32, due: Option<Millis>) -> Self {
        Self {
            attempt: Attempt { number, ..Attempt::default() },
            phase: Phase::Waiting,
            failures: 0,
            disruptions: 0,
            losses: 0,
            due,
            stop: None,
            counted: 0,
            granted: 0,
            session: None,
            claim: None,
        }
    }

    /// Whether the attempt's container runs, as far as the owner knows, and may go on: Kubernetes'
    /// Ready. One that waits to be restarted in place is not.
    pub fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Claimed | Phase::Finished)
            && self.stop.is_none()
            && self.attempt.started.is_some()
            && self.counted <= self.granted
    }
}

impl Outcome {
    /// Whether the container exited with 0 by itself.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Exited { code: 0, .. })
    }

    /// The container's exit code, where one is known.
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Exited { code, .. } | Self::StartError { code, .. } => Some(*code),
            Self::PodFailed { code, .. } | Self::Stopped { code } => *code,
            Self::Disrupted { .. } => None,
        }
    }
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}
