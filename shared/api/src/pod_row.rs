//! The columns and cells of Pods, as Kubernetes' own printer has them.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use longshore_job::Millis;
use serde_json::{Value, json};

use crate::human;
use crate::pod_containers::is_sidecar;
use crate::rows::{NONE, age, name};
use crate::table::{Column, TableRow};
use crate::time::millis;

impl TableRow for Pod {
    fn columns() -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            Column::name(),
            Column::text("Ready", "How many of its containers run, and how many there are."),
            Column::text("Status", "Where it stands, or why."),
            Column::text("Restarts", "How often its containers were restarted in place."),
            Column::age(),
            Column::text("IP", "Its address.").wide(),
            Column::text("Node", "The worker that holds it.").wide(),
            Column::text("Nominated Node", "Always none.").wide(),
            Column::text("Readiness Gates", "Always none.").wide(),
        ];
        COLUMNS
    }

    fn cells(&self, now: Millis) -> Vec<Value> {
        let (ready, containers) = readiness(self);
        let or_none = |text: Option<&String>| match text {
            Some(text) if !text.is_empty() => json!(text),
            _ => json!(NONE),
        };
        let status = self.status.as_ref();
        vec![
            json!(name(&self.metadata)),
            json!(format!("{ready}/{containers}")),
            json!(pod_status(self)),
            json!(restarts(self, now)),
            json!(age(&self.metadata, now)),
            or_none(status.and_then(|status| status.pod_ip.as_ref())),
            or_none(self.spec.as_ref().and_then(|spec| spec.node_name.as_ref())),
            or_none(status.and_then(|status| status.nominated_node_name.as_ref())),
            json!(NONE),
        ]
    }
}

/// Where a Pod stands in one word, as `kubectl get` has it: which init container it is at, else the reason
/// of a container's state, else its own reason, else its phase.
pub fn pod_status(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or_default();
    let own = status.and_then(|status| status.reason.as_deref()).filter(|own| !own.is_empty());
    let mut shown = own.unwrap_or(phase).to_owned();
    let initializing = initializing(pod);
    if let Some(init) = &initializing {
        shown.clone_from(init);
    }
    for container in statuses(pod).iter().rev().filter(|_| initializing.is_none()) {
        let Some(state) = &container.state else { continue };
        let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.as_ref());
        if let Some(reason) = waiting.filter(|reason| !reason.is_empty()) {
            shown.clone_from(reason);
        } else if let Some(terminated) = &state.terminated {
            shown = end_of(terminated);
        }
    }
    if shown == "Completed" && statuses(pod).iter().any(is_running) {
        "Running".clone_into(&mut shown);
    }
    let over = matches!(phase, "Succeeded" | "Failed");
    if pod.metadata.deletion_timestamp.is_some() && !over {
        "Terminating".clone_into(&mut shown);
    }
    shown
}

/// What it says while a Pod is at its init containers: which, or what holds it up.
fn initializing(pod: &Pod) -> Option<String> {
    let init = init_statuses(pod);
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut initialized = conditions.filter(|condition| condition.type_ == "Initialized");
    if initialized.any(|condition| condition.status == "True") {
        return None;
    }
    for (n, status) in init.iter().enumerate() {
        let state = status.state.clone().unwrap_or_default();
        match (state.terminated, state.waiting.and_then(|waiting| waiting.reason)) {
            (Some(ended), _) if ended.exit_code == 0 => {}
            _ if status.started == Some(true) && sidecars(pod).contains(&status.name.as_str()) => {}
            (Some(ended), _) => return Some(format!("Init:{}", end_of(&ended))),
            (None, Some(reason)) if !reason.is_empty() && reason != "PodInitializing" => {
                return Some(format!("Init:{reason}"));
            }
            (None, _) => return Some(format!("Init:{n}/{}", init.len())),
        }
    }
    None
}

fn end_of(ended: &ContainerStateTerminated) -> String {
    let reason = ended.reason.as_ref().filter(|reason| !reason.is_empty());
    match (reason, ended.signal) {
        (Some(reason), _) => reason.clone(),
        (None, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", ended.exit_code),
    }
}

/// How many containers are ready, of how many; sidecars count with those that run side by side.
fn readiness(pod: &Pod) -> (usize, usize) {
    let sidecars = sidecars(pod);
    let beside = init_statuses(pod).iter().filter(|one| sidecars.contains(&one.name.as_str()));
    let ready = statuses(pod).iter().chain(beside).filter(|status| is_running(status)).count();
    let all = pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
    (ready, all + sidecars.len())
}

/// The names of the init containers that run beside the others.
fn sidecars(pod: &Pod) -> Vec<&str> {
    let init = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    init.filter(|one| is_sidecar(one)).map(|one| one.name.as_str()).collect()
}

fn init_statuses(pod: &Pod) -> &[ContainerStatus] {
    let status = pod.status.as_ref();
    status.and_then(|status| status.init_container_statuses.as_deref()).unwrap_or_default()
}

fn statuses(pod: &Pod) -> &[ContainerStatus] {
    let status = pod.status.as_ref();
    status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default()
}

fn is_running(status: &ContainerStatus) -> bool {
    status.ready && status.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// The number of restarts, and the time since the last.
fn restarts(pod: &Pod, now: Millis) -> String {
    let all = || init_statuses(pod).iter().chain(statuses(pod));
    let count: i64 = all().map(|status| i64::from(status.restart_count)).sum();
    let last = all()
        .filter_map(|status| status.last_state.as_ref()?.terminated.as_ref()?.finished_at.as_ref())
        .map(millis)
        .max();
    match last {
        Some(last) if count > 0 => {
            format!("{count} ({} ago)", human::duration(now.saturating_sub(last)))
        }
        _ => count.to_string(),
    }
}
