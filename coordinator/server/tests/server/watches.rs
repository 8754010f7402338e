//! Watches: where they begin, what they tell, and how they end.

use longshore_store::ResourceVersion;
use serde_json::{Value, json};

use crate::common::{Fixture, JOBS, Owner, PODS, TABLE, at, names, text};

/// The verb and the object's name of an event.
fn told(event: &Value) -> (String, String) {
    (text(event, "type").to_owned(), text(event, "object.metadata.name").to_owned())
}

fn pair(verb: &str, name: &str) -> (String, String) {
    (verb.to_owned(), name.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_from_a_list() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let list = fixture.get(JOBS).await.expect(200);
    let rv = text(&list, "metadata.resourceVersion").to_owned();
    fixture.create("b").await;
    let mut watch = fixture.lines(&format!("{JOBS}?watch=true&resourceVersion={rv}")).await;
    assert_eq!(told(&watch.event().await), pair("ADDED", "b"));
    let created = fixture.create("c").await;
    let event = watch.event().await;
    assert_eq!(told(&event), pair("ADDED", "c"));
    let version = "metadata.resourceVersion";
    assert_eq!(text(&event, &format!("object.{version}")), text(&created, version));
    assert_eq!(text(&event, "object.kind"), "Job");

    let body = json!({"spec": {"parallelism": 3}});
    fixture.patch(&format!("{JOBS}/b"), "merge-patch", &body).await.expect(200);
    let event = watch.event().await;
    assert_eq!(told(&event), pair("MODIFIED", "b"));
    assert_eq!(at(&event, "object.spec.parallelism"), 3);

    Owner::of(&fixture, "a").await.purge().await;
    loop {
        let event = watch.event().await;
        if event["type"] == "DELETED" {
            assert_eq!(told(&event), pair("DELETED", "a"));
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_without_a_version_begins_with_what_there_is() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    fixture.create("b").await;
    for query in ["", "&resourceVersion=0"] {
        let mut watch = fixture.lines(&format!("{JOBS}?watch=1{query}")).await;
        assert_eq!(told(&watch.event().await), pair("ADDED", "a"));
        assert_eq!(told(&watch.event().await), pair("ADDED", "b"));
    }
    let path = format!("{JOBS}?watch=1&fieldSelector=metadata.name%3Db&resourceVersion=0");
    let mut one = fixture.lines(&path).await;
    assert_eq!(told(&one.event().await), pair("ADDED", "b"));
    let mut labelled = fixture.lines(&format!("{JOBS}?watch=1&labelSelector=app%3Dc")).await;
    fixture.create("d").await;
    fixture.create("c").await;
    assert_eq!(told(&labelled.event().await), pair("ADDED", "c"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_out_of_reach_is_expired() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let tail = fixture.store.log_tail().await.unwrap();
    let ahead = ResourceVersion(tail.0 + (1 << 40));
    let mut watch = fixture.lines(&format!("{JOBS}?watch=true&resourceVersion={ahead}")).await;
    let event = watch.event().await;
    assert_eq!(text(&event, "type"), "ERROR");
    assert_eq!(text(&event, "object.kind"), "Status");
    assert_eq!(at(&event, "object.code"), 410);
    assert_eq!(text(&event, "object.reason"), "Expired");
    assert_eq!(watch.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_redis_went_back_every_watch_is_expired() {
    let mut fixture = Fixture::start().await;
    fixture.create("a").await;
    let mut watch = fixture.lines(&format!("{JOBS}?watch=true")).await;
    assert_eq!(told(&watch.event().await), pair("ADDED", "a"));
    fixture.restart_redis_empty();
    let event = watch.event().await;
    assert_eq!(text(&event, "type"), "ERROR");
    assert_eq!(at(&event, "object.code"), 410);
    // And from there on everything works again.
    let mut again = fixture.lines(&format!("{JOBS}?watch=true")).await;
    fixture.create("b").await;
    assert_eq!(told(&again.event().await), pair("ADDED", "b"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_in_time_with_a_bookmark() {
    let fixture = Fixture::start().await;
    let created = fixture.create("a").await;
    let path = format!("{JOBS}?watch=true&timeoutSeconds=1&allowWatchBookmarks=true");
    let mut watch = fixture.lines(&path).await;
    assert_eq!(told(&watch.event().await), pair("ADDED", "a"));
    let bookmark = watch.event().await;
    assert_eq!(text(&bookmark, "type"), "BOOKMARK");
    let version = text(&bookmark, "object.metadata.resourceVersion").parse::<u64>().unwrap();
    assert!(version >= text(&created, "metadata.resourceVersion").parse().unwrap());
    assert_eq!(watch.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn initial_events_end_with_a_bookmark() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let options = "watch=true&sendInitialEvents=true&allowWatchBookmarks=true";
    let path = format!("{JOBS}?{options}&resourceVersionMatch=NotOlderThan");
    let mut watch = fixture.lines(&path).await;
    assert_eq!(told(&watch.event().await), pair("ADDED", "a"));
    let end = watch.event().await;
    assert_eq!(text(&end, "type"), "BOOKMARK");
    assert_eq!(end["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    fixture.get(&format!("{JOBS}?{options}")).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_watch_brings_columns_once() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    fixture.create("b").await;
    let mut watch = fixture.lines_as(&format!("{JOBS}?watch=true"), TABLE).await;
    let first = watch.event().await;
    assert_eq!(text(&first, "object.kind"), "Table");
    assert_eq!(at(&first, "object.rows.0.cells.0"), "a");
    assert!(!at(&first, "object.columnDefinitions").as_array().unwrap().is_empty());
    let second = watch.event().await;
    assert_eq!(at(&second, "object.rows.0.cells.0"), "b");
    let columns = second["object"].get("columnDefinitions");
    assert!(columns.is_none_or(|columns| columns.as_array().is_none_or(Vec::is_empty)));
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_watched_to_their_end() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let list = fixture.get(PODS).await.expect(200);
    let rv = text(&list, "metadata.resourceVersion").to_owned();
    let selector = "labelSelector=job-name%3Da";
    let path = format!("{PODS}?watch=true&resourceVersion={rv}&{selector}");
    let mut live = fixture.lines(&path).await;
    let owner = Owner::of(&fixture, "a").await;
    owner.finish(0, 1, 0).await;
    let name = names(&fixture.get(PODS).await.expect(200)).remove(0);
    let mut last = live.event().await;
    assert_eq!(told(&last), pair("ADDED", &name));
    while last["object"]["status"]["phase"] != "Succeeded" {
        last = live.event().await;
        assert_eq!(text(&last, "object.metadata.name"), name);
    }
    owner.purge().await;
    loop {
        last = live.event().await;
        if last["type"] == "DELETED" {
            break;
        }
    }
    assert_eq!(told(&last), pair("DELETED", &name));

    // The same again out of the log: what is gone is told as gone.
    let mut replayed = fixture.lines(&path).await;
    assert_eq!(told(&replayed.event().await), pair("DELETED", &name));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_watched() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let path =
        "/api/v1/namespaces/default/events?watch=true&fieldSelector=involvedObject.kind%3DJob";
    let mut watch = fixture.lines(path).await;
    let owner = Owner::of(&fixture, "a").await;
    owner.event("Pulled", Some((0, 1))).await;
    owner.event("Suspended", None).await;
    let event = watch.event().await;
    assert_eq!(text(&event, "object.reason"), "Suspended");
    assert_eq!(text(&event, "object.involvedObject.name"), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_watchers_are_told_the_same() {
    let fixture = Fixture::start().await;
    let mut watches = Vec::new();
    for _ in 0..50 {
        watches.push(fixture.lines(&format!("{JOBS}?watch=true")).await);
    }
    fixture.create("a").await;
    for watch in &mut watches {
        assert_eq!(told(&watch.event().await), pair("ADDED", "a"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_too_slowly_is_cut_off() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let mut slow = fixture.lines(&format!("{JOBS}?watch=true")).await;
    assert_eq!(told(&slow.event().await), pair("ADDED", "a"));
    let note = json!({"metadata": {"annotations": {"note": "x".repeat(200_000)}}});
    fixture.patch(&format!("{JOBS}/a"), "merge-patch", &note).await.expect(200);
    // More than the sockets' buffers and the hub's backlog hold, each change in a batch of its own.
    let mut quick = fixture.lines(&format!("{PODS}?watch=true")).await;
    let owner = Owner::of(&fixture, "a").await;
    for index in 0..320 {
        owner.offer(index, 1).await;
        assert_eq!(text(&quick.event().await, "type"), "ADDED");
    }
    loop {
        let event = slow.event().await;
        if event["type"] == "ERROR" {
            assert_eq!(at(&event, "object.code"), 410);
            break;
        }
    }
    assert_eq!(slow.next().await, None);
}
