//! Kubernetes' rules for an update of a Job's status (`validateJobStatusUpdate`).

use longshore_job::ConditionType::*;
use longshore_job::{CompletionMode, Header, Job, Spec};

/// What must hold after each event, given the header and the specification from before it.
pub(crate) fn check_update(old: &Header, old_spec: &Spec, job: &Job) {
    let (header, spec) = (job.header(), job.spec());
    assert!(!header.is(Complete) || (!header.is(Failed) && !header.is(FailureTarget)));
    assert!(!header.is(SuccessCriteriaMet) || !header.is(FailureTarget));
    assert!(!header.is(Failed) || header.is(FailureTarget));
    assert!(!header.is(Complete) || header.is(SuccessCriteriaMet));
    assert_eq!(header.is(Complete), header.completion_time.is_some());
    if job.is_finished() {
        assert!(header.active + header.terminating == 0 && header.start_time.is_some());
        assert_eq!(job.in_flight().count(), 0);
    }
    assert!(header.completion_time.is_none_or(|end| header.start_time.is_some_and(|s| s <= end)));
    for kind in [SuccessCriteriaMet, FailureTarget, Complete, Failed] {
        assert!(header.is(kind) || !old.is(kind), "{kind:?} was unset");
    }
    assert!(header.ready <= header.active);
    assert!(header.failed >= old.failed);
    let lowered = spec.completions < old_spec.completions;
    assert!(lowered || header.succeeded >= old.succeeded);
    assert!(lowered || header.failed_indexes >= old.failed_indexes);
    assert!(old.completion_time.is_none() || header.completion_time == old.completion_time);
    if old.start_time.is_some() && header.start_time != old.start_time {
        assert!(old_spec.suspend && !spec.suspend);
    }
    assert!(job.failed().is_empty() || spec.backoff_limit_per_index.is_some());
    assert_eq!(job.completed().count_common(job.failed()), 0);
    if let (CompletionMode::Indexed, Some(completions), false) =
        (spec.mode, spec.completions, old.is_finished())
    {
        assert_eq!(job.completed().count_below(completions), job.completed().len());
        assert_eq!(job.failed().count_below(completions), job.failed().len());
    }
}
