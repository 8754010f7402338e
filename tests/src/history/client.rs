//! What a client asked for, was told while it went on, and saw at the end.

use std::collections::BTreeSet;
use std::time::Duration;

/// One Job, as its client knows it.
#[derive(Clone, Debug)]
pub struct JobRecord {
    pub name: String,
    pub completions: u32,
    pub parallelism: u32,
    pub backoff_limit: u32,
    /// How it should end.
    pub fate: Fate,
    /// When the client first sent it.
    pub asked: Duration,
    /// Whether the client was told that it is stored. Without an answer both may be.
    pub acknowledged: bool,
    /// When the client asked for its deletion; set for those that are to be deleted.
    pub deleted: Option<Duration>,
    /// What the client saw of its status, in order.
    pub sights: Vec<Sight>,
    /// When the client first saw it finished.
    pub seen_finished: Option<Duration>,
    /// What it saw at the end; `None` if there is no such Job.
    pub ending: Option<Ending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Complete,
    /// It goes beyond its backoffLimit.
    Failed,
    /// Its client deletes it.
    Deleted,
}

/// One look at a Job's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    pub at: Duration,
    pub completed: BTreeSet<u32>,
}

/// A Job at the end of the run.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// `Complete`, `Failed` or nothing, with the reason.
    pub condition: Option<(String, String)>,
    pub completed: BTreeSet<u32>,
    pub succeeded: u32,
    pub failed: u32,
    pub attempts: Vec<AttemptRecord>,
}

/// A Pod at the end of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    pub pod: String,
    pub index: u32,
    pub phase: Phase,
    /// Whether it has the condition `DisruptionTarget`.
    pub disrupted: bool,
    /// Why it failed, or was disrupted.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Succeeded,
    Failed,
    /// Any that is not an end.
    Unfinished,
}

/// What is still there once all Jobs have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Containers on the hosts, by name.
    pub containers: Vec<String>,
    /// Leases and attempts in flight, by key.
    pub records: Vec<String>,
    /// Tickets in RabbitMQ.
    pub tickets: u32,
}
