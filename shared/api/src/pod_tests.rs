//! Attempts as Pods, as a client gets them.

use k8s_openapi::api::batch::v1::Job;
use longshore_job::CompletionMode::Indexed;
use longshore_job::{Attempt, Live, Outcome, pod_name};
use serde_json::{Value, from_value, json, to_value};

use crate::pod::{AttemptState, AttemptView, hostname, pod_uid, render_pod};

const START: u64 = 1_700_000_000_000;

fn job(mode: &str) -> Job {
    from_value(json!({
        "metadata": {"name": "a", "uid": "u", "namespace": "ns"},
        "spec": {"completions": 5, "completionMode": mode, "template": {
            "metadata": {"labels": {"batch.kubernetes.io/job-name": "a"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1",
                "env": [{"name": "A", "value": "1"}],
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}}}
    }))
    .expect("a Job")
}

fn attempt(outcome: Option<Outcome>) -> Attempt {
    Attempt {
        number: 2,
        created: START,
        claimed: Some(START + 1_000),
        started: Some(START + 2_000),
        finished: outcome.is_some().then_some(START + 9_000),
        worker: Some("worker-1".into()),
        token: Some("1000000007".into()),
        outcome,
        ..Attempt::default()
    }
}

fn finished(outcome: Outcome, runtime: &str) -> Value {
    let attempt = attempt(Some(outcome));
    to_value(render_pod(&job("Indexed"), 3, &AttemptView::finished(&attempt, runtime)))
        .expect("json")
}

fn condition<'a>(pod: &'a Value, kind: &str) -> &'a Value {
    let conditions = pod["status"]["conditions"].as_array().expect("conditions");
    conditions.iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

#[test]
fn a_running_pod_is_complete() {
    let attempt = attempt(None);
    let view = AttemptView {
        attempt: &attempt,
        state: AttemptState::Claimed,
        stop: None,
        granted: 0,
        runtime: "docker",
    };
    let job = job("Indexed");
    let pod = to_value(render_pod(&job, 3, &view)).expect("json");
    let metadata = &pod["metadata"];
    assert_eq!(metadata["name"], pod_name("a", "u", Indexed, 3, 2));
    assert_eq!(metadata["uid"], pod_uid("u", 3, 2));
    assert_eq!(metadata["generateName"], "a-3-");
    assert_eq!(
        metadata["labels"],
        json!({"batch.kubernetes.io/job-name": "a", "batch.kubernetes.io/job-completion-index": "3"})
    );
    assert_eq!(metadata["annotations"]["batch.kubernetes.io/job-completion-index"], "3");
    assert_eq!(metadata["annotations"]["longshore.dev/attempt"], "2");
    assert_eq!(metadata["ownerReferences"][0]["controller"], true);
    assert_eq!(pod["spec"]["nodeName"], "worker-1");
    assert_eq!(pod["spec"]["hostname"], "a-3");
    let env = &pod["spec"]["containers"][0]["env"];
    assert_eq!(env[1]["name"], "JOB_COMPLETION_INDEX");
    assert_eq!(
        env[1]["valueFrom"]["fieldRef"]["fieldPath"],
        "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    );
    assert_eq!(pod["status"]["phase"], "Running");
    assert_eq!(pod["status"]["qosClass"], "Guaranteed");
    assert_eq!(condition(&pod, "Ready")["status"], "True");
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(status["state"]["running"]["startedAt"], "2023-11-14T22:13:22Z");
    assert_eq!(status["containerID"], "docker://1000000007");

    let name = pod_name("a", "u", Indexed, 3, 2);
    assert_eq!(hostname(&job, &name, 3), "a-3");
}

#[test]
fn each_end_is_told_apart() {
    let failed = Outcome::Exited { code: 3, reason: "Error".into(), message: String::new() };
    let pod = finished(failed, "docker");
    assert_eq!(pod["status"]["phase"], "Failed");
    assert_eq!(condition(&pod, "Ready")["reason"], "PodFailed");
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(ended["exitCode"], 3);
    assert_eq!(ended["finishedAt"], "2023-11-14T22:13:29Z");

    let lost = Outcome::Disrupted {
        reason: "WorkerLost".into(),
        message: "its lease ran out".into(),
        host_lost: true,
    };
    let pod = finished(lost, "docker");
    assert_eq!(pod["status"]["reason"], "WorkerLost");
    assert_eq!(condition(&pod, "DisruptionTarget")["reason"], "WorkerLost");
    assert_eq!(condition(&pod, "DisruptionTarget")["status"], "True");

    let pod = finished(Outcome::Stopped { code: Some(143) }, "docker");
    assert_eq!(pod["status"]["phase"], "Failed");
    assert_eq!(pod["status"]["reason"], "Stopped");

    let success = Outcome::Exited { code: 0, reason: String::new(), message: String::new() };
    let pod = finished(success, "docker");
    assert_eq!(pod["status"]["phase"], "Succeeded");
    assert_eq!(condition(&pod, "Ready")["reason"], "PodCompleted");
}

#[test]
fn the_null_runtime_says_so_everywhere() {
    let success = Outcome::Exited { code: 0, reason: String::new(), message: String::new() };
    let pod = finished(success, "null");
    assert_eq!(pod["metadata"]["annotations"]["longshore.dev/runtime"], "null");
    let status = &pod["status"];
    let text = |value: &Value| value.as_str().is_some_and(|text| text.contains("null"));
    assert!(text(&status["message"]));
    assert!(text(&status["containerStatuses"][0]["containerID"]));
    assert!(text(&status["containerStatuses"][0]["state"]["terminated"]["message"]));
}

#[test]
fn there_is_no_pod_between_attempts() {
    let waiting: Live = from_value(json!({"n": 2, "s": "W", "due": 5})).expect("a record");
    assert!(AttemptView::of_live(&waiting, "docker").is_none());
}

#[test]
fn a_pod_told_to_stop_has_a_deletion_time() {
    let live: Live = from_value(
        json!({"n": 1, "s": "C", "c": START, "k": START, "b": START, "w": "x", "stop": 30}),
    )
    .expect("a record");
    let mut job = job("NonIndexed");
    job.status = from_value(json!({"conditions": [{"type": "FailureTarget", "status": "True",
        "lastTransitionTime": "2023-11-14T22:13:30Z"}]}))
    .ok();
    let view = AttemptView::of_live(&live, "docker").expect("a Pod");
    let pod = to_value(render_pod(&job, 0, &view)).expect("json");
    assert_eq!(pod["metadata"]["deletionTimestamp"], "2023-11-14T22:14:00Z");
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(pod["spec"]["containers"][0]["env"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_deleted_pod_shows_it_at_once_and_ends_by_its_exit_code() {
    let mut live: Live = from_value(
        json!({"n": 1, "s": "C", "c": START, "k": START, "b": START, "w": "x", "del": START}),
    )
    .expect("a record");
    let view = AttemptView::of_live(&live, "docker").expect("a Pod");
    let pod = to_value(render_pod(&job("Indexed"), 0, &view)).expect("json");
    assert_eq!(pod["metadata"]["deletionTimestamp"], "2023-11-14T22:13:50Z");
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 30);

    for (code, phase) in [(0, "Succeeded"), (143, "Failed")] {
        live.attempt.outcome = Some(Outcome::Stopped { code: Some(code) });
        let view = AttemptView::finished(&live.attempt, "docker");
        let pod = to_value(render_pod(&job("Indexed"), 0, &view)).expect("json");
        assert_eq!(pod["status"]["phase"], phase);
        assert_eq!(pod["status"]["reason"], Value::Null);
        assert_eq!(pod["metadata"]["deletionTimestamp"], Value::Null);
    }
    live.attempt.evicted = true;
    let view = AttemptView::finished(&live.attempt, "docker");
    let pod = to_value(render_pod(&job("Indexed"), 0, &view)).expect("json");
    assert_eq!(pod["status"]["phase"], "Failed");
    assert_eq!(condition(&pod, "DisruptionTarget")["reason"], "EvictionByEvictionAPI");
}

#[test]
fn the_failures_of_an_index_are_told_where_they_are_limited() {
    let live: Live =
        from_value(json!({"n": 3, "s": "O", "c": START, "fc": 1, "ic": 1})).expect("a record");
    let view = AttemptView::of_live(&live, "docker").expect("a Pod");
    let annotations = |job: &Job| {
        to_value(render_pod(job, 0, &view)).expect("json")["metadata"]["annotations"].clone()
    };
    let mut job = job("Indexed");
    let key = "batch.kubernetes.io/job-index-failure-count";
    assert_eq!(annotations(&job)[key], Value::Null);
    job.spec.as_mut().expect("spec").backoff_limit_per_index = Some(4);
    assert_eq!(annotations(&job)[key], "1");
    assert_eq!(annotations(&job)["batch.kubernetes.io/job-index-ignored-failure-count"], "1");
}
