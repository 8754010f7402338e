//! Pods, their logs, Events and Nodes.

use std::time::Duration;

use longshore_job::{Container, Outcome, Waiting};
use longshore_store::{NodeRecord, Progress};
use serde_json::json;

use crate::common::{BOUND, Fixture, JOBS, Owner, PODS, at, job, names, text};

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_shown_as_pods() {
    let fixture = Fixture::start().await;
    let created = fixture.create("a").await;
    fixture.create("b").await;
    let owner = Owner::of(&fixture, "a").await;
    owner.finish(0, 1, 1).await;
    owner.run(0, 2).await;
    owner.finish(700, 1, 0).await;
    owner.offer(300, 1).await;

    let list = fixture.get(PODS).await.expect(200);
    assert_eq!(text(&list, "kind"), "PodList");
    let phases: Vec<&str> = at(&list, "items")
        .as_array()
        .unwrap()
        .iter()
        .map(|pod| text(pod, "status.phase"))
        .collect();
    assert_eq!(phases, ["Failed", "Running", "Pending", "Succeeded"]);
    let all = names(&list);
    assert!(all[0].starts_with("a-0-") && all[3].starts_with("a-700-"), "{all:?}");

    for name in &all {
        let pod = fixture.get(&format!("{PODS}/{name}")).await.expect(200);
        assert_eq!(text(&pod, "metadata.name"), name);
        assert_eq!(text(&pod, "metadata.labels.job-name"), "a");
    }
    fixture.get(&format!("{PODS}/a-1-bcdfg")).await.expect(404);
    fixture.get(&format!("{PODS}/nonsense")).await.expect(404);

    let uid = text(&created, "metadata.uid");
    for (query, wanted) in [
        ("labelSelector=job-name%3Da", &all[..]),
        ("labelSelector=job-name%3Db", &[]),
        (&format!("labelSelector=batch.kubernetes.io/controller-uid%3D{uid}"), &all[..]),
        ("labelSelector=batch.kubernetes.io/job-completion-index%3D300", &all[2..3]),
        ("fieldSelector=status.phase%3DRunning", &all[1..2]),
        (&format!("fieldSelector=metadata.name%3D{}", all[3]), &all[3..]),
    ] {
        let found = names(&fixture.get(&format!("{PODS}?{query}")).await.expect(200));
        assert_eq!(found, wanted, "{query}");
    }

    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let page = fixture.get(&format!("{PODS}?limit=1&continue={token}")).await.expect(200);
        seen.extend(names(&page));
        let Some(next) = page["metadata"].get("continue") else { break };
        token = next.as_str().unwrap().to_owned();
    }
    assert_eq!(seen, all);

    let table = fixture.get_table("/api/v1/pods").await.expect(200);
    assert_eq!(at(&table, "rows").as_array().unwrap().len(), 4);
    assert_eq!(at(&table, "rows.1.cells.2"), "Running");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_any_length_is_sent_whole() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let owner = Owner::of(&fixture, "a").await;
    for index in 0..520 {
        owner.offer(index, 1).await;
    }
    let list = fixture.get(PODS).await.expect(200);
    assert_eq!(names(&list).len(), 520);
    assert_eq!(text(&list, "kind"), "PodList");
    assert!(list["metadata"].get("continue").is_none());
    let table = fixture.get_table(PODS).await.expect(200);
    assert_eq!(at(&table, "rows").as_array().unwrap().len(), 520);
    let page = fixture.get(&format!("{PODS}?limit=5000")).await.expect(200);
    assert_eq!(names(&page).len(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_container_has_its_own_log() {
    let fixture = Fixture::start().await;
    let mut several = job("a");
    let container = |name: &str| json!({"name": name, "image": "busybox:1"});
    several["spec"]["template"]["spec"]["initContainers"] = json!([container("first")]);
    several["spec"]["template"]["spec"]["containers"] = json!([container("b"), container("c")]);
    fixture.post(JOBS, &several).await.expect(201);
    let owner = Owner::of(&fixture, "a").await;
    let (key, grant) = owner.run(0, 1).await;
    let record = |name: &str, running: bool, outcome: Option<Outcome>| Container {
        name: name.to_owned(),
        started: (running || outcome.is_some()).then_some(1),
        running,
        waiting: (!running && outcome.is_none())
            .then(|| Waiting { reason: "PodInitializing".into(), message: String::new() }),
        outcome,
        ..Container::default()
    };
    let done = Outcome::Exited { code: 0, reason: String::new(), message: String::new() };
    let containers =
        vec![record("first", false, Some(done)), record("b", true, None), record("c", false, None)];
    let progress = Progress::Containers { started: None, containers };
    fixture.store.start(&key, &grant.token, &progress).await.unwrap();
    let chunk =
        "2026-01-02T03:04:05Z o one\n2026-01-02T03:04:06Z o1p tw\n2026-01-02T03:04:06Z e1 o\n";
    fixture.store.append_output(&key, chunk.as_bytes(), 0, 1 << 20).await.unwrap();

    let pods = names(&fixture.get(PODS).await.expect(200));
    let log = format!("{PODS}/{}/log", pods[0]);
    let read = async |query: &str| fixture.get(&format!("{log}{query}")).await;
    assert_eq!(read("?container=first").await.text(), "one\n");
    assert_eq!(read("?container=b").await.text(), "two\n");
    // An init container that has ended has all of its log, while its Pod goes on.
    assert_eq!(read("?container=first&follow=true").await.text(), "one\n");
    let waits = read("?container=c").await.expect(400);
    assert!(text(&waits, "message").ends_with("is waiting to start: PodInitializing"), "{waits}");
    let which = read("").await.expect(400);
    let choice = "choose one of: [b c] or one of the init containers: [first]";
    assert!(text(&which, "message").ends_with(choice), "{which}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_read_in_every_way() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let owner = Owner::of(&fixture, "a").await;
    owner.offer(1, 1).await;
    let (key, _) = owner.run(0, 1).await;
    let pods = names(&fixture.get(PODS).await.expect(200));
    let log = format!("{PODS}/{}/log", pods[0]);
    let store = &fixture.store;
    let chunk = "2026-01-02T03:04:05.000000001Z o one\n2026-01-02T03:04:06.000000001Z ep tw\n";
    store.append_output(&key, chunk.as_bytes(), 0, 1 << 20).await.unwrap();
    let chunk = "2026-01-02T03:04:06.000000002Z e o\n2026-01-02T03:04:07.000000001Z o three\n";
    store.append_output(&key, chunk.as_bytes(), 0, 1 << 20).await.unwrap();

    for (query, wanted) in [
        ("", "one\ntwo\nthree\n"),
        ("?container=main", "one\ntwo\nthree\n"),
        ("?tailLines=2", "two\nthree\n"),
        ("?tailLines=0", ""),
        ("?limitBytes=5", "one\nt"),
        ("?sinceTime=2026-01-02T03:04:07Z", "three\n"),
        ("?sinceSeconds=1", ""),
        ("?tailLines=1&timestamps=true", "2026-01-02T03:04:07.000000001Z three\n"),
    ] {
        let answer = fixture.get(&format!("{log}{query}")).await;
        assert_eq!((answer.code.as_u16(), answer.text().as_str()), (200, wanted), "{query}");
    }
    let other = fixture.get(&format!("{log}?container=other")).await.expect(400);
    assert!(text(&other, "message").contains("container other is not valid for pod"));
    let previous = fixture.get(&format!("{log}?previous=true")).await.expect(400);
    assert!(text(&previous, "message").contains("previous terminated container"));
    let waiting = fixture.get(&format!("{PODS}/{}/log", pods[1])).await.expect(400);
    assert!(text(&waiting, "message").contains("is waiting to start: "));
    fixture.get(&format!("{PODS}/a-1-bcdfg/log")).await.expect(404);
    fixture.get(&format!("{log}?limitBytes=0")).await.expect(400);
    fixture.get(&format!("{log}?tailLines=-1")).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_to_its_end() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let owner = Owner::of(&fixture, "a").await;
    let (key, _) = owner.run(0, 1).await;
    let pod = names(&fixture.get(PODS).await.expect(200)).remove(0);
    let mut log = fixture.lines(&format!("{PODS}/{pod}/log?follow=true&tailLines=1")).await;
    for line in ["first", "second"] {
        let stored = format!("2026-01-02T03:04:05.000000001Z o {line}\n");
        fixture.store.append_output(&key, stored.as_bytes(), 0, 1 << 20).await.unwrap();
        assert_eq!(log.next().await.as_deref(), Some(line));
    }
    fixture.store.end_output(&key).await.unwrap();
    assert_eq!(log.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_output_is_told() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let owner = Owner::of(&fixture, "a").await;
    let (key, _) = owner.run(0, 1).await;
    let line = b"2026-01-02T03:04:05.000000001Z o text\n";
    fixture.store.append_output(&key, line, 77, 1 << 20).await.unwrap();
    let pod = names(&fixture.get(PODS).await.expect(200)).remove(0);
    let log = fixture.get(&format!("{PODS}/{pod}/log")).await.text();
    assert_eq!(log, "[longshore: 77 bytes of earlier output were dropped]\ntext\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_found_by_what_they_are_about() {
    let fixture = Fixture::start().await;
    let created = fixture.create("a").await;
    fixture.create("b").await;
    let owner = Owner::of(&fixture, "a").await;
    owner.offer(0, 1).await;
    owner.event("SuccessfulCreate", None).await;
    owner.event("Pulled", Some((0, 1))).await;
    owner.event("Pulled", Some((0, 1))).await;
    let pod = names(&fixture.get(PODS).await.expect(200)).remove(0);

    let events = "/api/v1/namespaces/default/events";
    let all = fixture.get(events).await.expect(200);
    assert_eq!(names(&all).len(), 2);
    let uid = text(&created, "metadata.uid");
    let selector = format!(
        "involvedObject.name%3Da,involvedObject.namespace%3Ddefault,involvedObject.kind%3DJob,\
         involvedObject.uid%3D{uid}"
    );
    let of_job = fixture.get(&format!("{events}?fieldSelector={selector}&limit=500")).await;
    let of_job = of_job.expect(200);
    assert_eq!(names(&of_job).len(), 1);
    assert_eq!(text(&of_job, "items.0.reason"), "SuccessfulCreate");
    let of_pod = fixture.get(&format!("{events}?fieldSelector=involvedObject.name%3D{pod}")).await;
    let of_pod = of_pod.expect(200);
    assert_eq!(text(&of_pod, "items.0.reason"), "Pulled");
    assert_eq!(at(&of_pod, "items.0.count"), 2);
    for name in names(&all) {
        let one = fixture.get(&format!("{events}/{name}")).await.expect(200);
        assert_eq!(text(&one, "metadata.name"), name);
    }
    fixture.get(&format!("{events}/a.nonsense")).await.expect(404);
    assert_eq!(names(&fixture.get("/api/v1/events").await.expect(200)).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_shown_as_nodes() {
    let fixture = Fixture::start().await;
    for name in ["worker-2", "worker-1"] {
        let node = NodeRecord {
            name: name.to_owned(),
            slots: 2,
            ready: true,
            runtime: "docker".to_owned(),
            // JSON shows the second only.
            started: 1_700_000_000_123,
            ..NodeRecord::default()
        };
        fixture.store.heartbeat(&node).await.unwrap();
    }
    let list = fixture.get("/api/v1/nodes").await.expect(200);
    assert_eq!(names(&list), ["worker-1", "worker-2"]);
    let table = fixture.get_table("/api/v1/nodes").await.expect(200);
    assert_eq!(at(&table, "rows.0.cells.1"), "Ready");
    fixture.get("/api/v1/nodes/other").await.expect(404);

    let mut watch = fixture.lines("/api/v1/nodes?watch=true").await;
    assert_eq!(text(&watch.event().await, "type"), "ADDED");
    assert_eq!(text(&watch.event().await, "type"), "ADDED");
    let cordon = json!({"spec": {"unschedulable": true}});
    let path = "/api/v1/nodes/worker-1";
    let cordoned = fixture.patch(path, "strategic-merge-patch", &cordon).await.expect(200);
    assert_eq!(at(&cordoned, "spec.unschedulable"), true);
    let event = tokio::time::timeout(BOUND, watch.event()).await.unwrap();
    assert_eq!(at(&event, "object.spec.unschedulable"), true);
    let other = json!({"metadata": {"labels": {"a": "b"}}});
    fixture.patch(path, "merge-patch", &other).await.expect(422);

    fixture.delete(&format!("{path}?dryRun=All"), &json!({})).await.expect(200);
    let other = json!({"preconditions": {"uid": "other"}});
    fixture.delete(path, &other).await.expect(409);
    fixture.delete(path, &json!({})).await.expect(200);
    let event = tokio::time::timeout(BOUND, watch.event()).await.unwrap();
    assert_eq!(text(&event, "type"), "DELETED");
    fixture.get(path).await.expect(404);
    fixture.delete(path, &json!({})).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_an_end_ends_with_its_attempt() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let owner = Owner::of(&fixture, "a").await;
    let key = owner.finish(0, 1, 0).await;
    let line = b"2026-01-02T03:04:05.000000001Z o text\n";
    fixture.store.append_output(&key, line, 0, 1 << 20).await.unwrap();
    let pod = names(&fixture.get(PODS).await.expect(200)).remove(0);
    let path = format!("{PODS}/{pod}/log?follow=true");
    let log = tokio::time::timeout(Duration::from_secs(15), fixture.get(&path)).await.unwrap();
    assert_eq!(log.text(), "text\n");
    let status = fixture.get(&format!("{JOBS}/a")).await.expect(200);
    assert_eq!(text(&status, "metadata.name"), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_can_be_deleted_or_evicted_while_it_runs() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let owner = Owner::of(&fixture, "a").await;
    let mut runs = Vec::new();
    for index in 0..2 {
        runs.push(owner.run(index, 1).await);
    }
    owner.finish(2, 1, 0).await;
    let pods = names(&fixture.get(PODS).await.expect(200));
    let (deleted, evicted) = (format!("{PODS}/{}", pods[0]), format!("{PODS}/{}", pods[1]));

    let other = json!({"preconditions": {"uid": "other"}});
    fixture.delete(&deleted, &other).await.expect(409);
    fixture.delete(&format!("{deleted}?dryRun=All"), &json!({})).await.expect(200);
    let pod = fixture.get(&deleted).await.expect(200);
    assert!(pod.pointer("/metadata/deletionTimestamp").is_none(), "{pod}");
    let answer = fixture.delete(&deleted, &json!({"gracePeriodSeconds": 1})).await.expect(200);
    assert!(at(&answer, "metadata.deletionTimestamp").is_string(), "{answer}");

    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": pods[1], "namespace": "default"}});
    let answer = fixture.post(&format!("{evicted}/eviction"), &eviction).await.expect(201);
    assert_eq!(text(&answer, "status"), "Success");
    let pod = fixture.get(&evicted).await.expect(200);
    let target = &at(&pod, "status.conditions").as_array().unwrap()[0];
    assert_eq!(text(target, "type"), "DisruptionTarget");
    assert_eq!(text(target, "reason"), "EvictionByEvictionAPI");
    fixture.post(&format!("{deleted}/eviction"), &eviction).await.expect(400);

    // They are gone when they have ended, as kubectl waits for; others stay with their Job.
    for (key, grant) in &runs {
        let stopped = longshore_job::Outcome::Stopped { code: Some(143) };
        owner.store.finish(key, &grant.token, &stopped, None, None, &[]).await.unwrap();
    }
    fixture.get(&deleted).await.expect(404);
    fixture.get(&evicted).await.expect(404);
    assert_eq!(names(&fixture.get(PODS).await.expect(200)), pods[2..]);
    fixture.delete(&deleted, &json!({})).await.expect(404);
    // One that had ended before is gone at once.
    let path = format!("{PODS}/{}", pods[2]);
    fixture.delete(&path, &json!({})).await.expect(200);
    fixture.get(&path).await.expect(404);
}
