//! The columns and cells of Pods, as Kubernetes' own printer has them.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use longshore_job::Millis;
use serde_json::{Value, json};

use crate::human;
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
        let containers = self.spec.as_ref().map_or(0, |spec| spec.containers.len());
        let ready = statuses(self).iter().filter(|status| is_running(status)).count();
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

/// Where a Pod stands in one word, as `kubectl get` has it: the reason of its container's state, else
/// its own reason, else its phase.
pub fn pod_status(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or_default();
    let own = status.and_then(|status| status.reason.as_deref()).filter(|own| !own.is_empty());
    let mut shown = own.unwrap_or(phase).to_owned();
    for container in statuses(pod).iter().rev() {
        let Some(state) = &container.state else { continue };
        let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.as_ref());
        if let Some(reason) = waiting.filter(|reason| !reason.is_empty()) {
            shown.clone_from(reason);
        } else if let Some(terminated) = &state.terminated {
            let reason = terminated.reason.as_ref().filter(|reason| !reason.is_empty());
            shown = match (reason, terminated.signal) {
                (Some(reason), _) => reason.clone(),
                (None, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
                _ => format!("ExitCode:{}", terminated.exit_code),
            };
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

fn statuses(pod: &Pod) -> &[ContainerStatus] {
    let status = pod.status.as_ref();
    status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default()
}

fn is_running(status: &ContainerStatus) -> bool {
    status.ready && status.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// The number of restarts, and the time since the last.
fn restarts(pod: &Pod, now: Millis) -> String {
    let count: i64 = statuses(pod).iter().map(|status| i64::from(status.restart_count)).sum();
    let last = statuses(pod)
        .iter()
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
