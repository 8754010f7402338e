//! The status of a Job as `batch/v1` shows it.

use k8s_openapi::api::batch::v1::{JobCondition, JobStatus, UncountedTerminatedPods};
use longshore_job::{CompletionMode, Condition, ConditionType, Header, IndexSet, Spec};

use crate::time::time;

/// The status of a Job. `completed` are the indexes that have succeeded, `failed`
/// those that have failed for good.
pub fn job_status(
    header: &Header,
    spec: &Spec,
    completed: &IndexSet,
    failed: &IndexSet,
) -> JobStatus {
    let started = header.start_time.is_some();
    let indexes = (spec.mode == CompletionMode::Indexed).then(|| completed.to_string());
    let conditions: Vec<JobCondition> = header.conditions.iter().map(condition).collect();
    JobStatus {
        // Like Kubernetes, a counter of 0 isn't shown, except those that are pointers there.
        active: some(header.active),
        succeeded: some(header.succeeded),
        failed: some(header.failed),
        ready: Some(count(header.ready)),
        terminating: Some(count(header.terminating)),
        completed_indexes: indexes.filter(|text| !text.is_empty()),
        // Like Kubernetes, shown even if empty, as soon as indexes can fail.
        failed_indexes: spec.backoff_limit_per_index.map(|_| failed.to_string()),
        start_time: header.start_time.map(time),
        completion_time: header.completion_time.map(time),
        conditions: Some(conditions).filter(|conditions| !conditions.is_empty()),
        uncounted_terminated_pods: started.then(UncountedTerminatedPods::default),
    }
}

/// The name of a condition's type in `batch/v1`.
pub fn condition_type(kind: ConditionType) -> &'static str {
    match kind {
        ConditionType::Suspended => "Suspended",
        ConditionType::SuccessCriteriaMet => "SuccessCriteriaMet",
        ConditionType::FailureTarget => "FailureTarget",
        ConditionType::Complete => "Complete",
        ConditionType::Failed => "Failed",
    }
}

fn condition(condition: &Condition) -> JobCondition {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    JobCondition {
        type_: condition_type(condition.kind).to_owned(),
        status: if condition.status { "True" } else { "False" }.to_owned(),
        last_probe_time: Some(time(condition.since)),
        last_transition_time: Some(time(condition.since)),
        reason: text(&condition.reason),
        message: text(&condition.message),
    }
}

fn some(n: u32) -> Option<i32> {
    (n > 0).then(|| count(n))
}

fn count(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_job::{Backoff, Identity, RestartPolicy};
    use serde_json::{json, to_value};

    fn spec(mode: CompletionMode) -> Spec {
        Spec {
            identity: Identity::default(),
            mode,
            parallelism: 2,
            completions: Some(3),
            backoff_limit: 6,
            backoff_limit_per_index: None,
            max_failed_indexes: None,
            failure_policy: Vec::new(),
            success_policy: Vec::new(),
            containers: Vec::new(),
            managed_elsewhere: false,
            restart_policy: RestartPolicy::Never,
            suspend: false,
            active_deadline: None,
            ttl_after_finished: None,
            retention: None,
            backoff: Backoff::default(),
            max_disruptions: 10,
            grace_seconds: 30,
        }
    }

    #[test]
    fn a_running_job_is_shown_as_kubernetes_shows_it() {
        let header = Header {
            start_time: Some(1_700_000_000_000),
            active: 2,
            ready: 1,
            succeeded: 1,
            conditions: vec![Condition {
                kind: ConditionType::Suspended,
                status: false,
                reason: "JobResumed".into(),
                message: "Job resumed".into(),
                since: 1_700_000_000_000,
            }],
            ..Header::default()
        };
        let mut completed = IndexSet::default();
        completed.insert(1);
        let status =
            job_status(&header, &spec(CompletionMode::Indexed), &completed, &IndexSet::new());
        assert_eq!(
            to_value(status).expect("json"),
            json!({
                "active": 2, "ready": 1, "succeeded": 1, "terminating": 0,
                "completedIndexes": "1", "startTime": "2023-11-14T22:13:20Z",
                "conditions": [{"type": "Suspended", "status": "False", "reason": "JobResumed",
                    "message": "Job resumed", "lastProbeTime": "2023-11-14T22:13:20Z",
                    "lastTransitionTime": "2023-11-14T22:13:20Z"}],
                "uncountedTerminatedPods": {}
            })
        );
    }

    #[test]
    fn failed_indexes_are_shown_as_soon_as_indexes_can_fail() {
        let mut spec = spec(CompletionMode::Indexed);
        spec.backoff_limit_per_index = Some(0);
        let (header, completed) = (Header::default(), IndexSet::new());
        let status = job_status(&header, &spec, &completed, &IndexSet::new());
        assert_eq!(status.failed_indexes.as_deref(), Some(""));
        let failed = [0, 1, 2].into_iter().collect();
        let status = job_status(&header, &spec, &completed, &failed);
        assert_eq!(status.failed_indexes.as_deref(), Some("0-2"));
    }

    #[test]
    fn indexes_are_shown_for_indexed_jobs_only() {
        let mut completed = IndexSet::default();
        completed.insert(0);
        let status = job_status(
            &Header::default(),
            &spec(CompletionMode::NonIndexed),
            &completed,
            &IndexSet::new(),
        );
        assert_eq!(status.completed_indexes, None);
    }
}
