//! What the rules need to know of a Job, read from its stored object.

use k8s_openapi::api::batch::v1::{Job, JobSpec, PodFailurePolicyRule};
use longshore_job::{
    Backoff, CompletionMode, ConditionPattern, FailureAction, FailurePattern, FailureRule,
    Identity, Millis, RestartPolicy, Spec, SuccessRule,
};

use crate::human::parse_duration;
use crate::indexes::index_set;
use crate::validate::MANAGED_BY;

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
    let (failure_policy, success_policy) = (failure_policy(&spec), success_policy(&spec));
    let pod = spec.template.spec.unwrap_or_default();
    let seconds = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000);
    let metadata = &job.metadata;
    let identity = Identity {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
    };
    Spec {
        identity,
        mode: completion_mode(job),
        parallelism: count(spec.parallelism.unwrap_or(1)),
        completions: spec.completions.map(count),
        backoff_limit: count(spec.backoff_limit.unwrap_or(6)),
        backoff_limit_per_index: spec.backoff_limit_per_index.map(count),
        max_failed_indexes: spec.max_failed_indexes.map(count),
        failure_policy,
        success_policy,
        containers: pod
            .init_containers
            .iter()
            .flatten()
            .chain(&pod.containers)
            .map(|container| container.name.clone())
            .collect(),
        managed_elsewhere: spec.managed_by.is_some_and(|managed_by| managed_by != MANAGED_BY),
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

fn failure_policy(spec: &JobSpec) -> Vec<FailureRule> {
    spec.pod_failure_policy.iter().flat_map(|policy| &policy.rules).map(failure_rule).collect()
}

fn failure_rule(rule: &PodFailurePolicyRule) -> FailureRule {
    let action = match rule.action.as_str() {
        "FailJob" => FailureAction::FailJob,
        "FailIndex" => FailureAction::FailIndex,
        "Ignore" => FailureAction::Ignore,
        _ => FailureAction::Count,
    };
    let on = match &rule.on_exit_codes {
        Some(codes) => FailurePattern::ExitCodes {
            container: codes.container_name.clone(),
            within: codes.operator == "In",
            values: codes.values.clone(),
        },
        None => {
            let patterns = rule.on_pod_conditions.iter().flatten();
            let pattern = patterns.map(|pattern| ConditionPattern {
                kind: pattern.type_.clone(),
                status: pattern.status.clone(),
            });
            FailurePattern::Conditions(pattern.collect())
        }
    };
    FailureRule { action, on }
}

fn success_policy(spec: &JobSpec) -> Vec<SuccessRule> {
    let completions = spec.completions.unwrap_or(0);
    let rules = spec.success_policy.iter().flat_map(|policy| &policy.rules);
    let rule = rules.map(|rule| SuccessRule {
        indexes: rule.succeeded_indexes.as_deref().map(|text| index_set(text, completions)),
        count: rule.succeeded_count.map(count),
    });
    rule.collect()
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
                identity: Identity::default(),
                mode: CompletionMode::Indexed,
                parallelism: 2,
                completions: Some(5),
                backoff_limit: 3,
                backoff_limit_per_index: None,
                max_failed_indexes: None,
                failure_policy: Vec::new(),
                success_policy: Vec::new(),
                containers: Vec::new(),
                managed_elsewhere: false,
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
    fn the_rules_get_the_policies_of_the_job() {
        let job: Job = from_value(json!({"spec": {
            "completionMode": "Indexed", "completions": 5, "backoffLimitPerIndex": 1,
            "maxFailedIndexes": 2, "managedBy": "x.io/y",
            "podFailurePolicy": {"rules": [
                {"action": "FailJob", "onExitCodes": {"containerName": "a", "operator": "NotIn",
                    "values": [1, 2]}},
                {"action": "Ignore", "onPodConditions": [
                    {"type": "DisruptionTarget", "status": "True"}]}]},
            "successPolicy": {"rules": [{"succeededIndexes": "1-2,4"}, {"succeededCount": 3}]},
            "template": {"spec": {"initContainers": [{"name": "i"}],
                "containers": [{"name": "a"}, {"name": "b"}]}}
        }}))
        .expect("a Job");
        let spec = job_spec(&job, &defaults());
        assert_eq!((spec.backoff_limit_per_index, spec.max_failed_indexes), (Some(1), Some(2)));
        assert!(spec.managed_elsewhere);
        assert_eq!(spec.containers, ["i", "a", "b"]);
        assert_eq!(
            spec.failure_policy,
            [
                FailureRule {
                    action: FailureAction::FailJob,
                    on: FailurePattern::ExitCodes {
                        container: Some("a".into()),
                        within: false,
                        values: vec![1, 2],
                    },
                },
                FailureRule {
                    action: FailureAction::Ignore,
                    on: FailurePattern::Conditions(vec![ConditionPattern {
                        kind: "DisruptionTarget".into(),
                        status: "True".into(),
                    }]),
                },
            ]
        );
        assert_eq!(
            spec.success_policy,
            [
                SuccessRule { indexes: Some([1, 2, 4].into_iter().collect()), count: None },
                SuccessRule { indexes: None, count: Some(3) },
            ]
        );
    }

    #[test]
    fn a_cap_below_the_base_bounds_it() {
        let job: Job = from_value(json!({"metadata": {"annotations": {
            "longshore.dev/backoff-cap": "1s"}}}))
        .expect("a Job");
        assert_eq!(job_spec(&job, &defaults()).backoff, Backoff { base: 1_000, cap: 1_000 });
    }
}
