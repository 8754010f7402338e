//! Attempts shown as Kubernetes Pods.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use longshore_job::{Attempt, CompletionMode, Index, Live, Millis, Phase, name_prefix, pod_name};
use uuid::Uuid;

use crate::pod_status::pod_status;
use crate::spec::completion_mode;
use crate::time::{millis, time};

/// On the Pods of Indexed Jobs, both as a label and as an annotation.
pub const INDEX_LABEL: &str = "batch.kubernetes.io/job-completion-index";
/// Which try at its index a Pod is, counted from 1.
pub const ATTEMPT_ANNOTATION: &str = "longshore.dev/attempt";
/// How often the Pod's index had failed before it, in failures that counted and in ones that a
/// podFailurePolicy ignored; on the Pods of Jobs with `backoffLimitPerIndex`.
pub const FAILURES_ANNOTATION: &str = "batch.kubernetes.io/job-index-failure-count";
pub const IGNORED_ANNOTATION: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
/// On Pods that no real container runtime ran.
pub const RUNTIME_ANNOTATION: &str = "longshore.dev/runtime";
/// The variable that tells a container of an Indexed Job its index.
pub const INDEX_ENV: &str = "JOB_COMPLETION_INDEX";

/// The runtime that runs nothing, for measurements.
pub const NULL_RUNTIME: &str = "null";

/// One attempt as it is to be shown.
#[derive(Clone, Debug)]
pub struct AttemptView<'a> {
    pub attempt: &'a Attempt,
    pub state: AttemptState,
    /// The grace period in seconds, once it has been told to stop.
    pub stop: Option<u32>,
    /// How many in-place restarts the owner has granted.
    pub granted: u32,
    /// The runtime of its worker: `docker` or `null`.
    pub runtime: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptState {
    /// Waits for a worker.
    Offered,
    /// Held by a worker.
    Claimed,
    Finished,
}

impl<'a> AttemptView<'a> {
    /// The view of an index in flight; `None` between attempts, when there is no Pod.
    pub fn of_live(live: &'a Live, runtime: &'a str) -> Option<Self> {
        let state = match live.phase {
            Phase::Waiting => return None,
            Phase::Offered => AttemptState::Offered,
            Phase::Claimed => AttemptState::Claimed,
            Phase::Finished => AttemptState::Finished,
        };
        let stop = live.stop.filter(|_| state != AttemptState::Finished);
        Some(Self { attempt: &live.attempt, state, stop, granted: live.granted, runtime })
    }

    /// The view of an attempt that has ended.
    pub fn finished(attempt: &'a Attempt, runtime: &'a str) -> Self {
        let state = AttemptState::Finished;
        Self { attempt, state, stop: None, granted: attempt.restarts, runtime }
    }
}

/// The Pod of an attempt, complete but for its resourceVersion.
///
/// `job` must be a stored Job; with its status the moment at which the Pod was told to stop can be
/// told, else it is taken from the attempt.
pub fn render_pod(job: &Job, index: Index, view: &AttemptView<'_>) -> Pod {
    let job_name = job.metadata.name.as_deref().unwrap_or_default();
    let job_uid = job.metadata.uid.as_deref().unwrap_or_default();
    let mode = completion_mode(job);
    let name = pod_name(job_name, job_uid, mode, index, view.attempt.number);
    let template = job.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let template_metadata = template.metadata.unwrap_or_default();

    let mut labels = template_metadata.labels.unwrap_or_default();
    let mut annotations = template_metadata.annotations.unwrap_or_default();
    if mode == CompletionMode::Indexed {
        labels.insert(INDEX_LABEL.to_owned(), index.to_string());
        annotations.insert(INDEX_LABEL.to_owned(), index.to_string());
    }
    annotations.insert(ATTEMPT_ANNOTATION.to_owned(), view.attempt.number.to_string());
    if job.spec.as_ref().is_some_and(|spec| spec.backoff_limit_per_index.is_some()) {
        let (counted, ignored) = (view.attempt.index_failures, view.attempt.index_ignored);
        annotations.insert(FAILURES_ANNOTATION.to_owned(), counted.to_string());
        if ignored > 0 {
            annotations.insert(IGNORED_ANNOTATION.to_owned(), ignored.to_string());
        }
    }
    if view.runtime == NULL_RUNTIME {
        annotations.insert(RUNTIME_ANNOTATION.to_owned(), NULL_RUNTIME.to_owned());
    }

    let ending = view.state != AttemptState::Finished && view.attempt.deleted.is_some();
    let own_grace = template.spec.as_ref().and_then(|pod| pod.termination_grace_period_seconds);
    let own_grace = u32::try_from(own_grace.unwrap_or(30)).unwrap_or(0);
    let deletion = view.stop.or(ending.then_some(own_grace)).map(|grace| {
        let end = told_to_stop(job, view.attempt) + Millis::from(grace) * 1_000;
        (time(end), i64::from(grace))
    });
    let metadata = ObjectMeta {
        name: Some(name.clone()),
        generate_name: Some(name_prefix(job_name, mode, index)),
        namespace: job.metadata.namespace.clone(),
        uid: Some(pod_uid(job_uid, index, view.attempt.number)),
        creation_timestamp: Some(time(view.attempt.created)),
        deletion_timestamp: deletion.as_ref().map(|(end, _)| end.clone()),
        deletion_grace_period_seconds: deletion.map(|(_, grace)| grace),
        labels: Some(labels),
        annotations: Some(annotations),
        owner_references: Some(vec![OwnerReference {
            api_version: "batch/v1".into(),
            kind: "Job".into(),
            name: job_name.to_owned(),
            uid: job_uid.to_owned(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }]),
        ..ObjectMeta::default()
    };
    let spec = pod_spec(template.spec.unwrap_or_default(), job_name, &name, mode, index, view);
    let status = pod_status(&metadata, &spec, view);
    Pod { metadata, spec: Some(spec), status: Some(status) }
}

/// The uid of an attempt's Pod: always the same for the same attempt.
pub fn pod_uid(uid: &str, index: Index, attempt: u32) -> String {
    let name = format!("{uid}/{index}.{attempt}");
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
}

/// The hostname of an attempt's container: `<job>-<index>` for Indexed Jobs, else the Pod's name,
/// unless the template names one; never longer than a DNS label.
pub fn hostname(job: &Job, pod_name: &str, index: Index) -> String {
    let template = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let wanted = template.and_then(|pod| pod.hostname.clone()).filter(|name| !name.is_empty());
    let job_name = job.metadata.name.as_deref().unwrap_or_default();
    wanted.unwrap_or_else(|| default_hostname(job_name, pod_name, completion_mode(job), index))
}

fn default_hostname(job: &str, pod: &str, mode: CompletionMode, index: Index) -> String {
    let name = match mode {
        CompletionMode::Indexed => format!("{job}-{index}"),
        CompletionMode::NonIndexed => pod.to_owned(),
    };
    name.chars().take(63).collect::<String>().trim_end_matches(['-', '.']).to_owned()
}

fn pod_spec(
    mut spec: PodSpec,
    job_name: &str,
    pod_name: &str,
    mode: CompletionMode,
    index: Index,
    view: &AttemptView<'_>,
) -> PodSpec {
    spec.node_name = view.attempt.worker.clone();
    if mode == CompletionMode::Indexed {
        spec.hostname.get_or_insert_with(|| default_hostname(job_name, pod_name, mode, index));
    }
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        if let Some(resources) = &mut container.resources
            && let Some(limits) = resources.limits.clone()
        {
            // In a Pod, other than in a template, a limit without a request asks for as much.
            let requests = resources.requests.get_or_insert_with(BTreeMap::new);
            for (name, quantity) in limits {
                requests.entry(name).or_insert(quantity);
            }
        }
        if mode == CompletionMode::Indexed {
            let env = container.env.get_or_insert_with(Vec::new);
            if !env.iter().any(|var| var.name == INDEX_ENV) {
                env.push(index_env());
            }
        }
    }
    spec
}

/// The index, as Kubernetes hands it to the container: from the Pod's annotation.
fn index_env() -> EnvVar {
    EnvVar {
        name: INDEX_ENV.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".into()),
                field_path: format!("metadata.annotations['{INDEX_LABEL}']"),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

/// When the attempt was told to stop: with its own deletion, with the Job's, or with the condition that
/// ended the Job.
fn told_to_stop(job: &Job, attempt: &Attempt) -> Millis {
    if let Some(deleted) = attempt.deleted {
        return deleted;
    }
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ended = conditions
        .filter(|condition| {
            let kind = condition.type_.as_str();
            condition.status == "True"
                && matches!(kind, "Suspended" | "FailureTarget" | "SuccessCriteriaMet")
        })
        .filter_map(|condition| condition.last_transition_time.as_ref());
    let latest = ended.chain(job.metadata.deletion_timestamp.as_ref()).map(millis).max();
    latest.or(attempt.started).or(attempt.claimed).unwrap_or(attempt.created)
}
