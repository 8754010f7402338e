//! The tables as kubectl gets them.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod};
use longshore_job::{Attempt, Index, Live, Outcome, Phase};
use serde_json::{Value, from_value, json};

use crate::event::{Involved, StoredEvent, render_event};
use crate::node::{NodeInfo, render_node};
use crate::pod::{AttemptView, render_pod};
use crate::table::{IncludeObject, TableOptions, TableRow, table};

const NOW: u64 = 1_700_000_100_000;

fn options(include: IncludeObject) -> TableOptions {
    TableOptions {
        now: NOW,
        include,
        version: "v1",
        columns: true,
        resource_version: "7".into(),
        continue_token: None,
        remaining: None,
    }
}

fn job(status: Value) -> Job {
    from_value(json!({
        "metadata": {"name": "a", "uid": "u", "namespace": "default",
            "creationTimestamp": "2023-11-14T22:13:20Z"},
        "spec": {"completions": 5, "parallelism": 3, "completionMode": "Indexed",
            "selector": {"matchLabels": {"x": "y"}},
            "template": {"spec": {"containers": [{"name": "c", "image": "i:1"}]}}},
        "status": status
    }))
    .expect("a Job")
}

fn cells<T: TableRow>(object: &T) -> Vec<String> {
    let cells = object.cells(NOW);
    assert_eq!(cells.len(), T::columns().len());
    cells.iter().map(|cell| cell.as_str().map_or(cell.to_string(), str::to_owned)).collect()
}

fn pod(index: Index, live: &Live) -> Pod {
    let view = AttemptView::of_live(live, "docker").expect("a Pod");
    render_pod(&job(json!({})), index, &view)
}

fn live(phase: Phase, attempt: Attempt) -> Live {
    let stored = json!({"n": attempt.number, "s": phase});
    Live { attempt, ..from_value(stored).expect("a record") }
}

fn attempt() -> Attempt {
    Attempt {
        number: 1,
        created: NOW - 60_000,
        claimed: Some(NOW - 50_000),
        worker: Some("worker-1".into()),
        ..Attempt::default()
    }
}

#[test]
fn jobs_show_status_completions_and_duration() {
    let running = job(json!({"succeeded": 3, "startTime": "2023-11-14T22:13:20Z"}));
    assert_eq!(cells(&running), ["a", "Running", "3/5", "100s", "100s", "c", "i:1", "x=y"]);
    let complete = job(json!({"succeeded": 5, "startTime": "2023-11-14T22:13:20Z",
        "completionTime": "2023-11-14T22:13:32Z",
        "conditions": [{"type": "Complete", "status": "True"}]}));
    assert_eq!(cells(&complete)[..4], ["a", "Complete", "5/5", "12s"]);
    let mut queue = job(json!({}));
    queue.spec.as_mut().expect("spec").completions = None;
    assert_eq!(cells(&queue)[..4], ["a", "Running", "0/1 of 3", ""]);
    let suspended = job(json!({"conditions": [{"type": "Suspended", "status": "True"}]}));
    assert_eq!(cells(&suspended)[1], "Suspended");
}

#[test]
fn pods_show_where_they_stand() {
    let offered =
        live(Phase::Offered, Attempt { number: 1, created: NOW - 5_000, ..Attempt::default() });
    assert_eq!(cells(&pod(0, &offered))[1..7], ["0/1", "Pending", "0", "5s", "<none>", "<none>"]);

    let mut claimed = live(Phase::Claimed, attempt());
    assert_eq!(cells(&pod(0, &claimed))[1..3], ["0/1", "ContainerCreating"]);
    claimed.attempt.started = Some(NOW - 40_000);
    let shown = cells(&pod(0, &claimed));
    assert_eq!(shown[1..4], ["1/1", "Running", "0"]);
    assert_eq!(shown[6], "worker-1");
    claimed.stop = Some(30);
    assert_eq!(cells(&pod(0, &claimed))[2], "Terminating");

    let ends = [
        (Outcome::Exited { code: 0, reason: String::new(), message: String::new() }, "Completed"),
        (
            Outcome::Exited { code: 137, reason: "OOMKilled".into(), message: String::new() },
            "OOMKilled",
        ),
        (
            Outcome::StartError {
                reason: "ErrImagePull".into(),
                message: "no such image".into(),
                code: 128,
            },
            "ErrImagePull",
        ),
    ];
    for (outcome, shown) in ends {
        let finished = Attempt { outcome: Some(outcome), finished: Some(NOW), ..attempt() };
        let pod = render_pod(&job(json!({})), 0, &AttemptView::finished(&finished, "docker"));
        assert_eq!(cells(&pod)[1..3], ["0/1", shown]);
    }
}

#[test]
fn pods_restarted_in_place_show_their_restarts() {
    let failed = Outcome::Exited { code: 1, reason: "Error".into(), message: String::new() };
    let mut waits = live(
        Phase::Claimed,
        Attempt {
            restarts: 2,
            started: Some(NOW - 40_000),
            finished: Some(NOW - 5_000),
            outcome: Some(failed),
            ..attempt()
        },
    );
    waits.granted = 1;
    assert_eq!(cells(&pod(0, &waits))[1..4], ["0/1", "CrashLoopBackOff", "1 (5s ago)"]);
    waits.granted = 2;
    assert_eq!(cells(&pod(0, &waits))[1..4], ["1/1", "Running", "2 (5s ago)"]);
}

#[test]
fn nodes_events_and_namespaces_have_their_columns() {
    let node: Node = render_node(&NodeInfo {
        name: "worker-1".into(),
        ready: true,
        worker_version: "0.1.0".into(),
        runtime: "null".into(),
        started: NOW - 5_000,
        unschedulable: true,
        ..NodeInfo::default()
    });
    let shown = cells(&node);
    assert_eq!(shown[..5], ["worker-1", "Ready,SchedulingDisabled", "<none>", "5s", "0.1.0"]);
    assert_eq!(shown[9], "null://");

    let involved = Involved {
        kind: "Job".into(),
        namespace: "default".into(),
        name: "a".into(),
        uid: "u".into(),
    };
    let event = StoredEvent::new(involved, true, "Failed", "why", "job-controller", NOW - 3_000);
    let event: Event = render_event(&event);
    assert_eq!(
        cells(&event)[..7],
        ["3s", "Warning", "Failed", "job/a", "", "job-controller", "why"]
    );

    let namespace = Namespace::default();
    assert_eq!(cells(&namespace), ["", "Active", "<unknown>"]);
}

#[test]
fn a_table_carries_what_is_asked_for() {
    let jobs = [job(json!({}))];
    let shown = table(&jobs, &options(IncludeObject::Metadata));
    assert_eq!(shown["kind"], "Table");
    assert_eq!(shown["columnDefinitions"][0]["format"], "name");
    assert_eq!(shown["columnDefinitions"][5]["priority"], 1);
    assert_eq!(shown["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(shown["rows"][0]["object"]["metadata"]["name"], "a");
    let shown = table(&jobs, &options(IncludeObject::Object));
    assert_eq!(shown["rows"][0]["object"]["spec"]["completions"], 5);
    let shown = table(&jobs, &options(IncludeObject::None));
    assert_eq!(shown["rows"][0].get("object"), None);
    assert_eq!(IncludeObject::parse(Some("x")), None);
}
