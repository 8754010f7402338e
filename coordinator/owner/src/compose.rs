//! From what follows of events to what is stored.

use std::time::Instant;

use longshore_job::{Delta, Phase, pod_name};
use longshore_store::{Commit, StoreError, Verb};

use crate::jobs::Case;

/// Adds a Job's changes to a commit.
pub(crate) fn add(commit: &mut Commit, case: &mut Case, delta: &Delta) -> Result<(), StoreError> {
    let Case { job, at, name, rev, notes, .. } = case;
    let uid = at.uid.as_str();
    let before = commit.len();
    let active = job.grants_claims();
    // A client's own write may have switched it off.
    if delta.header || active != case.active {
        commit.header(uid, job.header(), active)?;
    }
    if let Some(from) = delta.forgotten {
        commit.forget(uid, from);
    }
    for index in &delta.completed {
        commit.completed(uid, *index);
    }
    for index in &delta.failed {
        commit.failed(uid, *index);
    }
    for (index, live) in &delta.live {
        commit.live(uid, *index, live.as_ref())?;
        if let Some(live) = live
            && live.phase == Phase::Offered
        {
            commit.pod_changed(uid, *index, live.attempt.number, Verb::Added);
        }
    }
    // Of the record of a claimed attempt the store takes the owner's counts alone.
    for (index, restart) in &delta.restarts {
        let live = job.live(*index).filter(|live| live.attempt.number == restart.attempt);
        if live.is_some() {
            commit.live(uid, *index, live)?;
        }
    }
    if delta.header {
        commit.job_changed(uid);
    }
    let now = Instant::now();
    let mode = job.spec().mode;
    let pod = |index, attempt| pod_name(name, uid, mode, index, attempt);
    let mut events: Vec<_> =
        delta.actions.iter().filter_map(|action| notes.event(action, now, pod)).collect();
    // Combined ones are counted once a commit, as Kubernetes limits their rate too.
    let mut seen = std::collections::HashSet::new();
    events.retain(|event| seen.insert(event.id()));
    for event in &events {
        commit.event(uid, event)?;
    }
    if commit.len() > before {
        commit.expect_rev(uid, *rev);
    }
    Ok(())
}
