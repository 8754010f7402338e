//! What the rules need to know of a Job, read from its stored object.

use k8s_openapi::api::batch::v1::Job;
use longshore_job::{Backoff, CompletionMode, Millis, RestartPolicy, Spec};

use crate::human::parse_duration;

/// Job annotations of Longshore; their values are durations such as `1s`, `500ms`, `10m`.
pub const BACKOFF_BASE: &str = "longshore.dev/backoff-base";
pub const BACKOFF_CAP: &str = "longshore.dev/backoff-cap";
pub const LEASE: &str = "longshore.dev/lease";
/// Job annotation, `true` or `false`: whether `podReplacementPolicy: TerminatingOrFailed` is meant
/// as Kubernetes means it, so that a new Pod of an index may start while the old one still ends.
pub const ALLOW_OVERLAP: &str = "longshore.dev/allow-overlap";

/// The cluster's settings for what a Job leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDefaults {
    pub backoff: Backoff,
    /// See [`Spec::max_disruptions`].
    pub max_disruptions: u32,
    /// The length of a lease in milliseconds.
    pub lease: Millis,
    /// How long finished Jobs without a TTL stay, in milliseconds; `None` is for ever.
    pub retention: Option<Millis>,
}

/// The rules' view of a stored Job, whose defaults were filled in and which passed validation.
pub fn job_spec(job: &Job, defaults: &ClusterDefaults) -> Spec {
    let spec = job.spec.clone().unwrap_or_default();
    let pod = spec.template.spec.unwrap_or_default();
    let seconds = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000);
    Spec {
        mode: completion_mode(job),
        parallelism: count(spec.parallelism.unwrap_or(1)),
        completions: spec.completions.map(count),
        backoff_limit: count(spec.backoff_limit.unwrap_or(6)),
        restart_policy: match pod.restart_policy.as_deref() {
            Some("OnFailure") => RestartPolicy::OnFailure,
            _ => RestartPolicy::Never,
        },
        suspend: spec.suspend.unwrap_or(false),
        active_deadline: spec.active_deadline_seconds.map(seconds),
        ttl_after_finished: spec.ttl_seconds_after_finished.map(i64::from).map(seconds),
        retention: defaults.retention,
        backoff: backoff(job, defaults.backoff),
        max_disruptions: defaults.max_disruptions,
        grace_seconds: pod
            .termination_grace_period_seconds
            .map_or(30, |seconds| u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)),
    }
}

/// The length of the leases of a Job's attempts in milliseconds.
pub fn lease(job: &Job, default: Millis) -> Millis {
    annotated(job, LEASE).unwrap_or(default)
}

/// The completion mode of a Job; NonIndexed where it says nothing.
pub fn completion_mode(job: &Job) -> CompletionMode {
    match job.spec.as_ref().and_then(|spec| spec.completion_mode.as_deref()) {
        Some("Indexed") => CompletionMode::Indexed,
        _ => CompletionMode::NonIndexed,
    }
}

fn backoff(job: &Job, default: Backoff) -> Backoff {
    let base = annotated(job, BACKOFF_BASE);
    let cap = annotated(job, BACKOFF_CAP);
    let base_or_default = base.unwrap_or(default.base);
    // Of the two, the one that the Job names wins over the other's default.
    let cap = cap.unwrap_or_else(|| default.cap.max(base_or_default));
    Backoff { base: base_or_default.min(cap), cap }
}

fn annotated(job: &Job, annotation: &str) -> Option<Millis> {
    job.metadata.annotations.as_ref()?.get(annotation).and_then(|text| parse_duration(text))
}

fn count(n: i32) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn defaults() -> ClusterDefaults {
        ClusterDefaults {
            backoff: Backoff::default(),
            max_disruptions: 10,
            lease: 15_000,
            retention: Some(7 * 86_400_000),
        }
    }

    #[test]
    fn the_rules_get_what_the_job_says() {
        let job: Job = from_value(json!({
            "metadata": {"annotations": {"longshore.dev/backoff-base": "500ms",
                "longshore.dev/lease": "1m"}},
            "spec": {"completionMode": "Indexed", "completions": 5, "parallelism": 2,
                "backoffLimit": 3, "activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 0,
                "template": {"spec": {"restartPolicy": "OnFailure", "containers": [],
                    "terminationGracePeriodSeconds": 5}}}
        }))
        .expect("a Job");
        let spec = job_spec(&job, &defaults());
        assert_eq!(
            spec,
            Spec {
                mode: CompletionMode::Indexed,
                parallelism: 2,
                completions: Some(5),
                backoff_limit: 3,
                restart_policy: RestartPolicy::OnFailure,
                suspend: false,
                active_deadline: Some(60_000),
                ttl_after_finished: Some(0),
                retention: Some(7 * 86_400_000),
                backoff: Backoff { base: 500, cap: 600_000 },
                max_disruptions: 10,
                grace_seconds: 5,
            }
        );
        assert_eq!(lease(&job, 15_000), 60_000);
        assert_eq!(lease(&Job::default(), 15_000), 15_000);
    }

    #[test]
    fn a_cap_below_the_base_bounds_it() {
        let job: Job = from_value(json!({"metadata": {"annotations": {
            "longshore.dev/backoff-cap": "1s"}}}))
        .expect("a Job");
        assert_eq!(job_spec(&job, &defaults()).backoff, Backoff { base: 1_000, cap: 1_000 });
    }
}
