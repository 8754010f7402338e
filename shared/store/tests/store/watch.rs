//! The change log, events and nodes.

use std::time::Duration;

use longshore_job::Attempt;
use longshore_store::{
    Change, EventRecord, NodeRecord, ResourceVersion, Store, StoreSettings, Subject, Verb,
};

use crate::common::{OBJECT, SHARDS, World, exited};

async fn forward(world: &World) {
    let (store, shard) = (&world.store, world.shard());
    loop {
        let entries = store.read_out(shard, Duration::ZERO, 7).await.unwrap();
        if entries.is_empty() {
            return;
        }
        store.forward(shard, &entries).await.unwrap();
    }
}

async fn changes(store: &Store, after: ResourceVersion) -> Vec<Change> {
    store.log_read(after, Duration::ZERO, 1000).await.unwrap()
}

#[tokio::test]
async fn every_change_reaches_the_log_in_order() {
    let world = World::new().await;
    let from = world.store.log_tail().await.unwrap();
    assert!(from > ResourceVersion(0));
    let (key, grant) = world.running(0, 1).await;
    world.store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
    let event = EventRecord {
        warning: false,
        reason: "r".to_owned(),
        message: "m".to_owned(),
        about: Some((0, 1)),
    };
    world
        .commit(|commit, uid| {
            commit.job_changed(uid).event(uid, &event).unwrap();
        })
        .await;
    world.store.delete(&world.job).await.unwrap();
    world.store.purge(world.epoch, &world.job).await.unwrap();
    forward(&world).await;

    let log = changes(&world.store, from).await;
    assert!(log.is_sorted_by(|a, b| a.rv < b.rv));
    assert!(log.iter().all(|one| (one.namespace.as_str(), one.name.as_str()) == ("default", "pi")));
    let job = Subject::Job(world.job.clone());
    let pod = Subject::Pod(key);
    let told = Subject::Event(world.job.clone(), event.id());
    let expected = [
        (&job, Verb::Added),
        (&pod, Verb::Modified),
        (&pod, Verb::Modified),
        (&job, Verb::Modified),
        (&told, Verb::Added),
        (&job, Verb::Modified),
        (&job, Verb::Modified),
        (&pod, Verb::Deleted),
        (&job, Verb::Deleted),
    ];
    let seen: Vec<_> = log.iter().map(|change| (&change.subject, change.verb)).collect();
    assert_eq!(seen, expected);
    assert_eq!(log[6].object.as_deref(), Some(OBJECT));
    let last: Attempt = serde_json::from_str(log[7].object.as_deref().unwrap()).unwrap();
    assert_eq!(last.outcome, Some(exited(0)));
    assert_eq!(log[8].object.as_deref(), Some(OBJECT));
    assert_eq!(changes(&world.store, log[3].rv).await, log[4..]);
}

#[tokio::test]
async fn a_job_is_dirty_until_its_last_change_is_told() {
    let world = World::new().await;
    let job = async || world.store.get_job_by_uid(&world.job).await.unwrap().unwrap();
    let entries = world.store.read_out(world.shard(), Duration::ZERO, 10).await.unwrap();
    world
        .commit(|commit, uid| {
            commit.job_changed(uid);
        })
        .await;
    world.store.forward(world.shard(), &entries).await.unwrap();
    let first = job().await;
    assert!(first.dirty && first.rv > ResourceVersion(0));
    forward(&world).await;
    let second = job().await;
    assert!(!second.dirty && second.rv > first.rv);
    // An owner that was replaced tells an old change once more.
    world.store.forward(world.shard(), &entries).await.unwrap();
    assert_eq!(job().await.rv, second.rv);
}

#[tokio::test]
async fn a_waiting_reader_hears_a_change_at_once() {
    let world = World::new().await;
    let from = world.store.log_tail().await.unwrap();
    let store = world.store.clone();
    let reader =
        tokio::spawn(async move { store.log_read(from, Duration::from_secs(20), 10).await });
    forward(&world).await;
    let heard = tokio::time::timeout(Duration::from_secs(10), reader).await.unwrap().unwrap();
    assert_eq!(heard.unwrap().len(), 1);
    let nothing =
        world.store.log_read(world.store.log_tail().await.unwrap(), Duration::from_millis(20), 10);
    assert!(nothing.await.unwrap().is_empty());
}

#[tokio::test]
async fn the_window_tells_which_positions_can_be_read_on_from() {
    let world = World::new().await;
    let mut settings = StoreSettings::new(world.server.url()).with_shards(SHARDS);
    settings.log_length = 10;
    let store = Store::connect(&settings).await.unwrap();
    let first = store.log_tail().await.unwrap();
    let window = store.log_window().await.unwrap();
    assert!(window.covers(first) && window.covers(ResourceVersion(0)) && !window.trimmed);
    let mut node = NodeRecord { name: "w".to_owned(), ..NodeRecord::default() };
    for slots in 0..500 {
        node.slots = slots;
        store.heartbeat(&node).await.unwrap();
    }
    let window = store.log_window().await.unwrap();
    assert!(window.trimmed && !window.covers(first));
    assert!(window.covers(window.first) && window.covers(window.last));
    assert!(!window.covers(ResourceVersion(window.last.0 + 1)));
}

#[tokio::test]
async fn events_are_merged_and_bounded() {
    let world = World::new().await;
    let mut settings = StoreSettings::new(world.server.url());
    settings.events_per_job = 5;
    let store = Store::connect(&settings).await.unwrap();
    let event = |n: u32| EventRecord {
        warning: n.is_multiple_of(2),
        reason: "r".to_owned(),
        message: format!("m{n}"),
        about: (n > 0).then_some((n, 1)),
    };
    for n in 0..12 {
        store.add_event(&world.job, &event(n)).await.unwrap();
        store.add_event(&world.job, &event(n)).await.unwrap();
        // Each in a millisecond of its own.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let events = store.events(&world.job).await.unwrap();
    let kept: Vec<_> = events.iter().map(|one| (one.event.clone(), one.count)).collect();
    assert_eq!(kept, (7..12).map(|n| (event(n), 2)).collect::<Vec<_>>());
    assert!(events.iter().all(|one| one.first <= one.last && one.first > 1_700_000_000_000));
    let one = store.event(&world.job, &event(9).id()).await.unwrap();
    assert_eq!(one.as_ref(), Some(&events[2]));
}

#[tokio::test]
async fn a_node_is_told_when_it_changes_and_stays_cordoned() {
    let world = World::new().await;
    let store = &world.store;
    let from = store.log_tail().await.unwrap();
    let mut node = NodeRecord {
        name: "w".to_owned(),
        session: "s".to_owned(),
        slots: 4,
        memory: 99_999_999_999_999,
        started: 1_764_025_200_123,
        ready: true,
        ..NodeRecord::default()
    };
    assert!(!store.heartbeat(&node).await.unwrap());
    node.running = 3;
    assert!(!store.heartbeat(&node).await.unwrap());
    assert!(store.cordon("w", true).await.unwrap());
    assert!(!store.cordon("nobody", true).await.unwrap());
    assert!(store.heartbeat(&node).await.unwrap());
    node.ready = false;
    assert!(store.heartbeat(&node).await.unwrap());
    let stored = store.node("w").await.unwrap().unwrap();
    assert!(stored.beat > 1_700_000_000_000);
    let expected = NodeRecord { unschedulable: true, beat: stored.beat, ..node };
    assert_eq!(store.nodes().await.unwrap(), [expected]);
    assert!(store.remove_node("w").await.unwrap());
    assert!(!store.remove_node("w").await.unwrap());
    let verbs: Vec<_> = changes(store, from)
        .await
        .into_iter()
        .map(|change| (change.subject, change.name, change.verb))
        .collect();
    let node = |verb| (Subject::Node, "w".to_owned(), verb);
    let expected = [Verb::Added, Verb::Modified, Verb::Modified, Verb::Deleted].map(node);
    assert_eq!(verbs, expected);
}

#[tokio::test]
async fn coordinators_show_themselves() {
    let world = World::new().await;
    world.store.coordinator_beat("c1", "127.0.0.1:8878").await.unwrap();
    let all = world.store.coordinators().await.unwrap();
    assert_eq!((all.len(), all[0].listen.as_str()), (1, "127.0.0.1:8878"));
    assert!(all[0].beat > 1_700_000_000_000);
}
