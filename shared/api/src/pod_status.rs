//! The status of an attempt's Pod: phase, conditions and the state of its only container.

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, PodCondition, PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use longshore_job::{Attempt, Millis, Outcome};

use crate::pod::{AttemptState, AttemptView, NULL_RUNTIME};
use crate::pod_containers::{Statuses, has_several};
use crate::time::time;

/// Kubernetes' reason and message for the condition of an evicted Pod.
const EVICTED: &str = "EvictionByEvictionAPI";
const EVICTING: &str = "Eviction API: evicting";

/// The status of the Pod with this metadata and specification.
pub(crate) fn pod_status(
    metadata: &ObjectMeta,
    spec: &PodSpec,
    view: &AttemptView<'_>,
) -> PodStatus {
    let attempt = view.attempt;
    let (reason, message) = pod_reason(view);
    let status = PodStatus {
        reason,
        message: mark_null(view, message),
        start_time: attempt.claimed.map(time),
        qos_class: Some(qos_class(spec).to_owned()),
        ..PodStatus::default()
    };
    let begun = attempt.worker.is_some();
    if has_several(spec) {
        let Statuses { init, main, overall } = Statuses::of(spec, view);
        return PodStatus {
            phase: Some(overall.phase.to_owned()),
            conditions: Some(conditions(view, &overall)),
            init_container_statuses: begun.then_some(init).filter(|init| !init.is_empty()),
            container_statuses: begun.then_some(main),
            ..status
        };
    }
    let container = Shown::of(metadata, spec, view);
    let overall = Overall { phase: container.phase, ready: container.ready, ..Overall::default() };
    let template = spec.containers.first().filter(|_| begun);
    PodStatus {
        phase: Some(container.phase.to_owned()),
        conditions: Some(conditions(view, &overall)),
        container_statuses: template
            .map(|template| vec![container_status(template, view, container)]),
        ..status
    }
}

/// What the conditions of a Pod say of its containers.
#[derive(Default)]
pub(crate) struct Overall {
    pub(crate) phase: &'static str,
    pub(crate) ready: bool,
    /// Of a Pod with several containers the init containers that have not done their work.
    pub(crate) uninitialized: Vec<String>,
    /// The same for the containers that don't run.
    pub(crate) unready: Vec<String>,
}

/// What the container's part of the status shows.
struct Shown {
    phase: &'static str,
    state: ContainerState,
    last: Option<ContainerState>,
    ready: bool,
    restarts: u32,
}

impl Shown {
    fn of(metadata: &ObjectMeta, spec: &PodSpec, view: &AttemptView<'_>) -> Self {
        let attempt = view.attempt;
        if view.state == AttemptState::Finished {
            let phase = final_phase(attempt);
            let state = ended(attempt, attempt.started, view);
            return Self { phase, state, last: None, ready: false, restarts: attempt.restarts };
        }

        let last = attempt
            .outcome
            .as_ref()
            .filter(|_| attempt.restarts > 0)
            .map(|_| ended(attempt, None, view));
        if attempt.restarts > view.granted {
            return Self {
                phase: "Running",
                state: waiting("CrashLoopBackOff", &crash_loop(metadata, spec)),
                last,
                ready: false,
                restarts: view.granted,
            };
        }
        let restarts = attempt.restarts;
        if let Some(wait) = &attempt.waiting {
            let phase = if restarts > 0 { "Running" } else { "Pending" };
            let state = waiting(&wait.reason, &wait.message);
            return Self { phase, state, last, ready: false, restarts };
        }
        match attempt.started.filter(|_| view.state == AttemptState::Claimed) {
            Some(started) => {
                let running = ContainerStateRunning { started_at: Some(time(started)) };
                let state = ContainerState { running: Some(running), ..ContainerState::default() };
                Self { phase: "Running", state, last, ready: true, restarts }
            }
            None => {
                let phase = if restarts > 0 { "Running" } else { "Pending" };
                let state = waiting("ContainerCreating", "");
                Self { phase, state, last, ready: false, restarts }
            }
        }
    }
}

/// The phase of a Pod that has ended.
pub(crate) fn final_phase(attempt: &Attempt) -> &'static str {
    match &attempt.outcome {
        Some(outcome) if outcome.is_success() => "Succeeded",
        // As Kubernetes takes a Pod that was deleted and exits with 0.
        Some(Outcome::Stopped { code: Some(0) }) if is_deleted(attempt) => "Succeeded",
        _ => "Failed",
    }
}

fn container_status(template: &Container, view: &AttemptView<'_>, shown: Shown) -> ContainerStatus {
    let image = template.image.clone().unwrap_or_default();
    let id = view.attempt.token.as_ref().filter(|_| view.attempt.started.is_some());
    ContainerStatus {
        name: template.name.clone(),
        image,
        container_id: id.map(|token| format!("{}://{token}", view.runtime)),
        ready: shown.ready,
        started: Some(shown.ready),
        restart_count: i32::try_from(shown.restarts).unwrap_or(i32::MAX),
        state: Some(shown.state),
        last_state: shown.last,
        ..ContainerStatus::default()
    }
}

/// The state of an only container that ended, or that never came to be.
fn ended(attempt: &Attempt, started: Option<Millis>, view: &AttemptView<'_>) -> ContainerState {
    terminated(attempt.outcome.as_ref(), started, attempt.finished, view)
}

/// The state of a container that ended, or that never came to be.
pub(crate) fn terminated(
    outcome: Option<&Outcome>,
    started: Option<Millis>,
    finished: Option<Millis>,
    view: &AttemptView<'_>,
) -> ContainerState {
    let (exit_code, reason, message) = match outcome {
        Some(Outcome::Exited { code, reason, message }) => {
            let usual = if *code == 0 { "Completed" } else { "Error" };
            (*code, if reason.is_empty() { usual } else { reason.as_str() }, message.as_str())
        }
        Some(Outcome::StartError { reason, message, code }) => {
            (*code, reason.as_str(), message.as_str())
        }
        Some(Outcome::Stopped { code: Some(code) }) => {
            (*code, if *code == 0 { "Completed" } else { "Error" }, "")
        }
        Some(Outcome::PodFailed { code: Some(code), .. }) => (*code, "Error", ""),
        // As the kubelet says it of a container whose end, or beginning, it has not seen.
        Some(
            Outcome::Disrupted { .. }
            | Outcome::Stopped { code: None }
            | Outcome::PodFailed { code: None, .. },
        )
        | None => (
            137,
            "ContainerStatusUnknown",
            "The container could not be located when the pod was terminated",
        ),
    };
    let message = Some(message.to_owned()).filter(|message| !message.is_empty());
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code,
            reason: Some(reason.to_owned()),
            message: mark_null(view, message),
            started_at: started.map(time),
            finished_at: finished.map(time),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    }
}

pub(crate) fn waiting(reason: &str, message: &str) -> ContainerState {
    ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()).filter(|message| !message.is_empty()),
        }),
        ..ContainerState::default()
    }
}

/// The kubelet's words for a container that waits to be restarted in place.
fn crash_loop(metadata: &ObjectMeta, spec: &PodSpec) -> String {
    let container = spec.containers.first().map(|c| c.name.as_str()).unwrap_or_default();
    let pod = metadata.name.as_deref().unwrap_or_default();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let uid = metadata.uid.as_deref().unwrap_or_default();
    format!("back-off restarting failed container={container} pod={pod}_{namespace}({uid})")
}

/// Whether a client deleted its Pod, other than by an eviction.
fn is_deleted(attempt: &Attempt) -> bool {
    attempt.deleted.is_some() && !attempt.evicted
}

/// Why the Pod as a whole ended, where that isn't told by its container.
fn pod_reason(view: &AttemptView<'_>) -> (Option<String>, Option<String>) {
    if view.state != AttemptState::Finished {
        return (None, None);
    }
    match &view.attempt.outcome {
        Some(
            Outcome::Disrupted { reason, message, .. } | Outcome::PodFailed { reason, message, .. },
        ) => {
            let message = Some(message.clone()).filter(|message| !message.is_empty());
            (Some(reason.clone()), message)
        }
        Some(Outcome::Stopped { .. }) if view.attempt.evicted => {
            (Some("Evicted".into()), Some(EVICTING.into()))
        }
        Some(Outcome::Stopped { .. }) if is_deleted(view.attempt) => (None, None),
        Some(Outcome::Stopped { .. }) => (
            Some("Stopped".into()),
            Some("The Job was suspended, deleted or ended, or needs no more Pods".into()),
        ),
        _ => (None, None),
    }
}

/// Makes the message say so where no real container ran.
fn mark_null(view: &AttemptView<'_>, message: Option<String>) -> Option<String> {
    if view.runtime != NULL_RUNTIME {
        return message;
    }
    Some(match message {
        Some(message) => format!("null runtime: {message}"),
        None => "null runtime: no container is run".into(),
    })
}

fn conditions(view: &AttemptView<'_>, shown: &Overall) -> Vec<PodCondition> {
    let attempt = view.attempt;
    let claimed = attempt.claimed.unwrap_or(attempt.created);
    let mut conditions = Vec::new();
    if attempt.evicted {
        let at = attempt.deleted.unwrap_or(claimed);
        conditions.push(condition("DisruptionTarget", true, at, EVICTED, EVICTING));
    } else if view.state == AttemptState::Finished
        && let Some(Outcome::Disrupted { reason, message, .. }) = &attempt.outcome
    {
        let at = attempt.finished.unwrap_or(claimed);
        conditions.push(condition("DisruptionTarget", true, at, reason, message));
    }
    if attempt.worker.is_none() {
        let (reason, message) = if view.state == AttemptState::Offered {
            ("WaitingForSlot", "waiting for a worker with a free slot")
        } else {
            ("", "")
        };
        conditions.push(condition("PodScheduled", false, attempt.created, reason, message));
        return conditions;
    }

    let listed = |what: &str, names: &[String]| match names {
        [] => String::new(),
        names => format!("containers with {what} status: [{}]", names.join(" ")),
    };
    let incomplete = listed("incomplete", &shown.uninitialized);
    let initialized = incomplete.is_empty();
    let why = if initialized { "" } else { "ContainersNotInitialized" };
    conditions.push(condition("Initialized", initialized, claimed, why, &incomplete));
    let (since, reason) = if shown.ready {
        (attempt.started.unwrap_or(claimed), "")
    } else if view.state == AttemptState::Finished {
        let succeeded = shown.phase == "Succeeded";
        let reason = if succeeded { "PodCompleted" } else { "PodFailed" };
        (attempt.finished.unwrap_or(claimed), reason)
    } else {
        (claimed, "ContainersNotReady")
    };
    let unready = listed("unready", &shown.unready);
    conditions.push(condition("Ready", shown.ready, since, reason, &unready));
    conditions.push(condition("ContainersReady", shown.ready, since, reason, &unready));
    conditions.push(condition("PodScheduled", true, claimed, "", ""));
    conditions
}

fn condition(kind: &str, status: bool, since: Millis, reason: &str, message: &str) -> PodCondition {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    PodCondition {
        type_: kind.to_owned(),
        status: if status { "True" } else { "False" }.to_owned(),
        last_transition_time: Some(time(since)),
        reason: text(reason),
        message: text(message),
        ..PodCondition::default()
    }
}

/// Kubernetes' class by how requests and limits for CPU and memory relate.
fn qos_class(spec: &PodSpec) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for container in spec.init_containers.iter().flatten().chain(&spec.containers) {
        for resource in ["cpu", "memory"] {
            let resources = container.resources.as_ref();
            let of = |list: Option<&std::collections::BTreeMap<String, _>>| {
                list.and_then(|list| list.get(resource)).cloned()
            };
            let request = of(resources.and_then(|r| r.requests.as_ref()));
            let limit = of(resources.and_then(|r| r.limits.as_ref()));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request == limit;
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
