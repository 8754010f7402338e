//! What happened in a run under faults, and whether it was allowed to happen.
//!
//! Two records that no part of Longshore writes: the containers' own lines ([`Line`]), each appended to
//! one file by the container itself, so that their order in the file is their order in time; and what a
//! client was told ([`JobRecord`]). [`check`] holds them against the invariants of ARCHITECTURE.md.

mod check;
mod client;
mod line;
#[cfg(test)]
mod tests;

pub use check::{Violation, check};
pub use client::{AttemptRecord, Ending, Fate, JobRecord, Leftovers, Phase, Sight};
pub use line::{Line, SAY, What, now, read, saying};

use std::time::Duration;

/// All that is known of a run. Times are since the machine's start.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In the order in which they were written.
    pub lines: Vec<Line>,
    pub jobs: Vec<JobRecord>,
    /// When Redis came back from an older file: from when that file was, and until when Redis has
    /// forgotten what was written since.
    pub rewinds: Vec<(Duration, Duration)>,
    pub leftovers: Leftovers,
}

impl History {
    /// Whether something of the Job was forgotten by Redis. Such a Job is judged only by what holds all
    /// the same: `never-twice-at-once`, `tokens-grow`, and that it ends if it is still there.
    pub fn is_forgotten(&self, job: &JobRecord) -> bool {
        self.rewinds.iter().any(|(from, until)| {
            job.asked < *until && job.seen_finished.is_none_or(|finished| finished > *from)
        })
    }
}
