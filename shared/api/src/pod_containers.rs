//! The containers of a Pod with several: init containers, sidecars, and those that run side by side.

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStatus, PodSpec,
};
use longshore_job::Container as Record;

use crate::pod::{AttemptState, AttemptView};
use crate::pod_status::{Overall, final_phase, terminated, waiting};
use crate::time::time;

pub(crate) fn has_several(spec: &PodSpec) -> bool {
    spec.containers.len() + spec.init_containers.as_ref().map_or(0, Vec::len) > 1
}

/// Whether an init container runs beside those that come after it.
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// How all of them stand.
pub(crate) struct Statuses {
    pub(crate) init: Vec<ContainerStatus>,
    pub(crate) main: Vec<ContainerStatus>,
    pub(crate) overall: Overall,
}

impl Statuses {
    pub(crate) fn of(spec: &PodSpec, view: &AttemptView<'_>) -> Self {
        let templates = spec.init_containers.as_deref().unwrap_or_default();
        let record = |n: usize| view.attempt.containers.get(n);
        let init: Vec<ContainerStatus> = templates
            .iter()
            .enumerate()
            .map(|(n, template)| init_status(template, n, record(n), view))
            .collect();
        let main: Vec<ContainerStatus> = spec
            .containers
            .iter()
            .enumerate()
            .map(|(n, template)| {
                let n = templates.len() + n;
                let mut status = status(template, n, record(n), view);
                status.ready = status.started == Some(true);
                status
            })
            .collect();
        let unready = main.iter().filter(|status| !status.ready);
        let unready: Vec<String> = unready.map(|status| status.name.clone()).collect();
        let initialized = |n: usize, template: &Container| match is_sidecar(template) {
            true => record(n).is_some_and(|record| record.started.is_some()),
            false => init[n].ready,
        };
        let uninitialized = templates.iter().enumerate();
        let uninitialized = uninitialized.filter(|(n, template)| !initialized(*n, template));
        let uninitialized: Vec<String> =
            uninitialized.map(|(_, template)| template.name.clone()).collect();
        let is_finished = view.state == AttemptState::Finished;
        let overall = Overall {
            phase: phase(view, !uninitialized.is_empty(), &main),
            ready: !is_finished && uninitialized.is_empty() && unready.is_empty(),
            // What has ended is not called unready.
            unready: if is_finished { Vec::new() } else { unready },
            uninitialized,
        };
        Self { init, main, overall }
    }
}

fn phase(view: &AttemptView<'_>, initializing: bool, main: &[ContainerStatus]) -> &'static str {
    let is_waiting = |status: &ContainerStatus| {
        let state = status.state.as_ref();
        state.is_some_and(|state| state.waiting.is_some()) && status.last_state.is_none()
    };
    if view.state == AttemptState::Finished {
        final_phase(view.attempt)
    } else if initializing || main.iter().any(is_waiting) {
        "Pending"
    } else {
        "Running"
    }
}

/// An init container is ready when it has done its work, a sidecar while it runs.
fn init_status(
    template: &Container,
    n: usize,
    record: Option<&Record>,
    view: &AttemptView<'_>,
) -> ContainerStatus {
    let mut status = status(template, n, record, view);
    let done = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    status.ready = match is_sidecar(template) {
        true => status.started == Some(true),
        false => done.is_some_and(|done| done.exit_code == 0),
    };
    status
}

fn status(
    template: &Container,
    n: usize,
    record: Option<&Record>,
    view: &AttemptView<'_>,
) -> ContainerStatus {
    let begun = record.is_some_and(|record| record.started.is_some());
    let id = view.attempt.token.as_ref().filter(|_| begun);
    let (state, last) = states(record, view);
    ContainerStatus {
        name: template.name.clone(),
        image: template.image.clone().unwrap_or_default(),
        container_id: id.map(|token| format!("{}://{token}-{n}", view.runtime)),
        started: Some(state.running.is_some()),
        restart_count: record
            .map_or(0, |record| i32::try_from(record.restarts).unwrap_or(i32::MAX)),
        state: Some(state),
        last_state: last,
        ..ContainerStatus::default()
    }
}

/// The state of a container, and that of its run before, where it has another.
fn states(
    record: Option<&Record>,
    view: &AttemptView<'_>,
) -> (ContainerState, Option<ContainerState>) {
    let is_finished = view.state == AttemptState::Finished;
    let Some(record) = record else {
        let state = match is_finished && view.attempt.claimed.is_some() {
            // Its worker was lost before it told of it.
            true => terminated(None, None, view.attempt.finished, view),
            false => waiting("PodInitializing", ""),
        };
        return (state, None);
    };
    let ended = |record: &Record| {
        let started = record.started.filter(|_| !record.running && record.waiting.is_none());
        terminated(record.outcome.as_ref(), started, record.finished, view)
    };
    let last = record.outcome.as_ref().map(|_| ended(record));
    if record.running && is_finished {
        return (terminated(None, record.started, view.attempt.finished, view), last);
    }
    if record.running {
        let started_at = record.started.map(time);
        let running = Some(ContainerStateRunning { started_at });
        return (ContainerState { running, ..ContainerState::default() }, last);
    }
    match (&record.waiting, &record.outcome) {
        (Some(wait), _) => (waiting(&wait.reason, &wait.message), last),
        (None, Some(_)) => (ended(record), None),
        (None, None) => (waiting("PodInitializing", ""), None),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;
    use k8s_openapi::api::core::v1::Pod;
    use longshore_job::{Attempt, Outcome, Waiting};
    use serde_json::{from_value, json};

    use super::*;
    use crate::pod::render_pod;
    use crate::pod_row::pod_status;
    use crate::table::TableRow;

    fn exit(code: i32) -> Outcome {
        let reason = if code == 0 { "Completed" } else { "Error" };
        Outcome::Exited { code, reason: reason.into(), message: String::new() }
    }

    fn record(name: &str) -> Record {
        let waiting = Waiting { reason: "PodInitializing".into(), message: String::new() };
        Record { name: name.into(), waiting: Some(waiting), ..Record::default() }
    }

    fn running(name: &str) -> Record {
        Record { running: true, started: Some(3_000), waiting: None, ..record(name) }
    }

    fn ended(name: &str, code: i32) -> Record {
        let (started, finished) = (Some(2_000), Some(3_000));
        Record { started, finished, outcome: Some(exit(code)), waiting: None, ..record(name) }
    }

    /// The Pod of an init container `i`, a sidecar `s` and two others, `a` and `b`.
    fn pod(records: Vec<Record>, outcome: Option<Outcome>) -> Pod {
        let job: Job = from_value(json!({
            "metadata": {"name": "j", "uid": "u", "namespace": "ns"},
            "spec": {"template": {"spec": {
                "initContainers": [{"name": "i", "image": "x"},
                    {"name": "s", "image": "x", "restartPolicy": "Always"}],
                "containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]
            }}}
        }))
        .expect("a Job");
        let state = match outcome {
            Some(_) => AttemptState::Finished,
            None => AttemptState::Claimed,
        };
        let attempt = Attempt {
            number: 1,
            claimed: Some(1_000),
            worker: Some("w".into()),
            token: Some("7".into()),
            containers: records,
            outcome,
            ..Attempt::default()
        };
        let view =
            AttemptView { attempt: &attempt, state, stop: None, granted: 0, runtime: "docker" };
        render_pod(&job, 0, &view)
    }

    fn shown(pod: &Pod) -> (String, String, String) {
        let cells = pod.cells(9_000);
        let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
        (cells[1].as_str().unwrap_or_default().into(), pod_status(pod), phase.unwrap_or_default())
    }

    #[test]
    fn a_pod_stands_where_its_containers_do() {
        let failing = |name: &str| {
            let waiting = Waiting { reason: "CrashLoopBackOff".into(), message: String::new() };
            Record { waiting: Some(waiting), restarts: 1, ..ended(name, 1) }
        };
        for (records, outcome, ready, status, phase) in [
            (vec![], None, "0/3", "Init:0/2", "Pending"),
            (
                vec![running("i"), record("s"), record("a"), record("b")],
                None,
                "0/3",
                "Init:0/2",
                "Pending",
            ),
            (
                vec![failing("i"), record("s"), record("a"), record("b")],
                None,
                "0/3",
                "Init:CrashLoopBackOff",
                "Pending",
            ),
            (
                vec![ended("i", 0), record("s"), record("a"), record("b")],
                None,
                "0/3",
                "Init:1/2",
                "Pending",
            ),
            (
                vec![ended("i", 0), running("s"), record("a"), record("b")],
                None,
                "1/3",
                "PodInitializing",
                "Pending",
            ),
            (
                vec![ended("i", 0), running("s"), running("a"), running("b")],
                None,
                "3/3",
                "Running",
                "Running",
            ),
            (
                vec![ended("i", 0), running("s"), ended("a", 0), running("b")],
                None,
                "2/3",
                "Running",
                "Running",
            ),
            (
                vec![ended("i", 0), ended("s", 143), ended("a", 0), ended("b", 0)],
                Some(exit(0)),
                "0/3",
                "Completed",
                "Succeeded",
            ),
            (
                vec![ended("i", 0), ended("s", 143), ended("a", 3), ended("b", 0)],
                Some(exit(3)),
                "0/3",
                "Error",
                "Failed",
            ),
            (
                vec![ended("i", 3), record("s"), record("a"), record("b")],
                Some(exit(3)),
                "0/3",
                "Init:Error",
                "Failed",
            ),
        ] {
            let names: Vec<String> = records.iter().map(|record| format!("{record:?}")).collect();
            let expected = (ready.to_owned(), status.to_owned(), phase.to_owned());
            assert_eq!(shown(&pod(records, outcome)), expected, "{names:#?}");
        }
    }

    #[test]
    fn conditions_name_the_containers_that_hold_it_up() {
        let condition = |pod: &Pod, kind: &str| {
            let all = pod.status.as_ref().and_then(|status| status.conditions.clone());
            let found = all.into_iter().flatten().find(|one| one.type_ == kind).expect("there");
            (found.status, found.message.unwrap_or_default())
        };
        let early = pod(vec![running("i"), record("s"), record("a"), record("b")], None);
        let text = "containers with incomplete status: [i s]".to_owned();
        assert_eq!(condition(&early, "Initialized"), ("False".into(), text));
        let late = pod(vec![ended("i", 0), running("s"), running("a"), record("b")], None);
        assert_eq!(condition(&late, "Initialized"), ("True".into(), String::new()));
        let text = "containers with unready status: [b]".to_owned();
        assert_eq!(condition(&late, "Ready"), ("False".into(), text));
    }

    #[test]
    fn of_a_lost_worker_nothing_is_known() {
        let lost = Outcome::Disrupted {
            reason: "WorkerLost".into(),
            message: String::new(),
            host_lost: true,
        };
        let status = pod(vec![], Some(lost)).status.expect("a status");
        let all = status.container_statuses.expect("statuses");
        for status in all {
            let ended = status.state.and_then(|state| state.terminated).expect("ended");
            assert_eq!(ended.reason.as_deref(), Some("ContainerStatusUnknown"));
        }
    }
}
