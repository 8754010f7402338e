//! What follows from an event: what to store and, once stored, what to do.

use std::collections::BTreeMap;

use crate::{Index, Live, Millis};

/// The changes that one event makes. Applying events one after the other and merging their deltas
/// with [`Delta::merge`] gives one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Whether the header must be stored again.
    pub header: bool,
    /// Indexes that have succeeded.
    pub completed: Vec<Index>,
    /// Indexes that have failed for good (`backoffLimitPerIndex`).
    pub failed: Vec<Index>,
    /// `completions` were lowered: of completed and failed indexes those from here on are forgotten,
    /// before any of this delta's own is stored.
    pub forgotten: Option<Index>,
    /// Records to store (`Some`) or to remove (`None`).
    ///
    /// Only waiting and newly offered indexes are ever stored this way. The record of an attempt that
    /// has been offered belongs to the scripts of workers until its end has been accounted for.
    pub live: BTreeMap<Index, Option<Live>>,
    /// In-place failures accounted for: to be merged into the records of claimed attempts.
    pub restarts: BTreeMap<Index, RestartDue>,
    /// What to do after the changes are stored, in this order.
    pub actions: Vec<Action>,
}

/// What the owner adds to the record of a claimed attempt whose container failed: the fields
/// [`Live::counted`] and [`Live::due`], the other ones left as they are. Nothing is added if the
/// index's current attempt is another one by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartDue {
    pub attempt: u32,
    pub counted: u32,
    pub due: Millis,
}

/// A step outside of the Job's own state. Each may be done twice without harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Publish a ticket for an offered attempt.
    Offer { index: Index, attempt: u32 },
    /// Withdraw an offered attempt, or have a claimed one stopped within the grace period.
    Stop { index: Index, attempt: u32, grace_seconds: u32 },
    /// Let the worker restart the attempt's container in place for the `restarts`-th time.
    Restart { index: Index, attempt: u32, restarts: u32 },
    /// Tell the user by a Kubernetes Event. It is on the Job if `about` is `None` or if the message
    /// contains `{pod}`, which stands for the name of the attempt's Pod; else on that Pod.
    Report {
        severity: Severity,
        reason: &'static str,
        message: String,
        about: Option<(Index, u32)>,
    },
    /// Remove the Job and all that belongs to it: it was deleted, or its TTL is over.
    Purge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Normal,
    Warning,
}

impl Delta {
    /// Adds the changes of a later event of the same Job.
    pub fn merge(&mut self, later: Delta) {
        self.header |= later.header;
        if let Some(from) = later.forgotten {
            self.completed.retain(|index| *index < from);
            self.failed.retain(|index| *index < from);
            self.forgotten = Some(self.forgotten.map_or(from, |before| before.min(from)));
        }
        self.completed.extend(later.completed);
        self.failed.extend(later.failed);
        // A record that is replaced takes what was to be merged into it with it.
        self.restarts.retain(|index, _| !later.live.contains_key(index));
        self.restarts.extend(later.restarts);
        self.live.extend(later.live);
        self.actions.extend(later.actions);
    }

    /// Whether there is nothing to store.
    pub fn changes_nothing(&self) -> bool {
        !self.header
            && self.completed.is_empty()
            && self.failed.is_empty()
            && self.forgotten.is_none()
            && self.live.is_empty()
            && self.restarts.is_empty()
    }
}
