//! Pods that a client deletes or evicts: the attempt ends, and another takes its place.

use super::{Job, Step};
use crate::{Action, Attempt, Index, Millis, Outcome, Phase};

/// A client's wish to have an attempt end.
pub(super) struct Deletion {
    pub(super) at: Millis,
    pub(super) grace_seconds: u32,
    pub(super) evicted: bool,
}

impl Job {
    /// Has the attempt end within the shortest of the grace periods that it was given. It keeps its place
    /// until then. Nothing is stored: the store marked the record when it took the deletion.
    pub(super) fn pod_deleted(
        &mut self,
        index: Index,
        attempt: u32,
        deletion: Deletion,
        step: &mut Step,
    ) {
        let Some(live) = self.current(index, attempt) else { return };
        let grace_seconds = deletion.grace_seconds;
        let sooner = live.stop.is_none_or(|grace| grace_seconds < grace);
        self.roster.update(index, |live| {
            live.attempt.deleted.get_or_insert(deletion.at);
            live.attempt.evicted |= deletion.evicted;
            if sooner {
                live.stop = Some(grace_seconds);
            }
        });
        if sooner {
            step.act(Action::Stop { index, attempt, grace_seconds });
        }
    }

    /// After a change of owner: attempts whose deletion the owner before may have read without having
    /// them stopped. Their own grace period is not known any more; the Job's stands in for it.
    pub(super) fn stop_deleted(&mut self) {
        let grace_seconds = self.spec.grace_seconds;
        let unstopped = self.roster.iter().filter(|(_, live)| {
            let in_flight = matches!(live.phase, Phase::Offered | Phase::Claimed);
            in_flight && live.attempt.deleted.is_some() && live.stop.is_none()
        });
        for index in unstopped.map(|(index, _)| index).collect::<Vec<_>>() {
            self.roster.update(index, |live| live.stop = Some(grace_seconds));
        }
    }
}

/// What the end of an attempt counts as that a client may have deleted or evicted. If it was ended by
/// that, an eviction is a disruption, and a deletion a success or a failure as in Kubernetes: by the exit
/// code. It remains `Stopped` in the latter case, which counts only for a deleted attempt.
pub(super) fn outcome_of_deletion(attempt: &Attempt, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Stopped { .. } if attempt.evicted => Outcome::Disrupted {
            reason: "EvictionByEvictionAPI".to_owned(),
            message: String::new(),
            host_lost: false,
        },
        Outcome::Stopped { code: Some(0) } if attempt.deleted.is_some() => {
            Outcome::Exited { code: 0, reason: String::new(), message: String::new() }
        }
        other => other,
    }
}
