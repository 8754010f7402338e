//! What the owner of a shard does.

use std::time::Duration;

use longshore_job::{Condition, ConditionType, Event, Header, IndexSet, Phase};
use longshore_store::{
    Claimed, Commit, Committed, EventRecord, Granted, Owned, Reported, Revoked, Stopped, StreamId,
    Update, Verb,
};

use crate::common::{LEASE_MS, World, create, exited, lost, offered, own};

#[tokio::test]
async fn a_shard_is_taken_only_from_an_owner_that_stands_still() {
    let world = World::new().await;
    let (store, shard) = (&world.store, world.shard());
    let meta = async || store.shard_metas().await.unwrap().remove(usize::from(shard.0));
    let seen = meta().await;
    assert_eq!((seen.owner.as_str(), seen.epoch), ("coordinator-1", 1));
    assert!(store.beat(shard, world.epoch).await.unwrap());
    let alive = store.own(shard, "coordinator-2", &seen).await.unwrap();
    assert_eq!(alive, Owned::No(meta().await));
    let seen = meta().await;
    let taken = store.own(shard, "coordinator-2", &seen).await.unwrap();
    let Owned::Yes { epoch, accepted: true, .. } = taken else { panic!("{taken:?}") };
    assert_eq!(epoch.number, 2);
    let slower = store.own(shard, "coordinator-3", &seen).await.unwrap();
    assert!(matches!(slower, Owned::No(meta) if meta.owner == "coordinator-2"));
    assert!(store.release(shard, epoch).await.unwrap());
    assert_eq!(meta().await.owner, "");
}

#[tokio::test]
async fn an_epoch_that_has_passed_fences_every_step() {
    let world = World::new().await;
    let (store, shard, old) = (&world.store, world.shard(), world.epoch);
    let (key, grant) = world.running(0, 1).await;
    let held = store.held(shard, "s").await.unwrap().remove(0);
    let counter = store.sessions(shard).await.unwrap()[0].1;
    own(store, shard).await;
    let mut commit = Commit::new();
    commit.expect_rev(&world.job.uid, 1).job_changed(&world.job.uid);
    let done = store.commit(shard, old, StreamId::START, &commit).await.unwrap();
    assert_eq!(done, Committed::Fenced);
    assert!(!store.beat(shard, old).await.unwrap());
    assert!(!store.release(shard, old).await.unwrap());
    assert!(!store.accept_run(shard, old, 0).await.unwrap());
    assert_eq!(store.stop(old, &key, 1).await.unwrap(), Stopped::Fenced);
    assert_eq!(store.grant(old, &key, 1).await.unwrap(), Granted::Fenced);
    let expired = store.expire(old, "s", counter, &held, &lost()).await.unwrap();
    assert_eq!(expired, Revoked::Fenced);
    assert!(!store.purge(old, &world.job).await.unwrap());
    assert!(store.attempt_is_current(&key, &grant.token).await.unwrap());
}

#[tokio::test]
async fn a_commit_stores_everything_and_counts_once() {
    let mut world = World::new().await;
    let (store, shard, uid) = (world.store.clone(), world.shard(), world.job.uid.clone());
    let read = store.read_in(shard, StreamId::START, Duration::ZERO, 10).await.unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].uid.as_str(), &read[0].what), (uid.as_str(), &Some(Reported::Job)));
    let header = Header { failed: 3, start_time: Some(1_764_025_200_123), ..Header::default() };
    let event = EventRecord {
        warning: true,
        reason: "BackoffLimitExceeded".to_owned(),
        message: "m".to_owned(),
        about: Some((7, 1)),
    };
    let mut commit = Commit::new();
    commit.expect_rev(&uid, 1).ack([read[0].id]).completed(&uid, 70_000).completed(&uid, 0);
    commit.header(&uid, &header, true).unwrap().live(&uid, 7, Some(&offered(1))).unwrap();
    commit.job_changed(&uid).pod_changed(&uid, 7, 1, Verb::Added);
    commit.event(&uid, &event).unwrap().event(&uid, &event).unwrap();
    for _ in 0..2 {
        let done = store.commit(shard, world.epoch, read[0].id, &commit).await.unwrap();
        assert!(matches!(done, Committed::Stored { at } if at > 1_700_000_000_000), "{done:?}");
    }
    let job = store.get_job_by_uid(&world.job).await.unwrap().unwrap();
    assert_eq!((&job.header, job.active, job.seq), (&header, true, 2));
    assert_eq!(store.completed(&world.job).await.unwrap(), IndexSet::from_iter([0, 70_000]));
    assert_eq!(world.live(7).await, Some(offered(1)));
    let events = store.events(&world.job).await.unwrap();
    assert_eq!((events.len(), events[0].count, &events[0].event), (1, 2, &event));
    assert!(world.told().await.is_empty());
    assert_eq!(store.shard_metas().await.unwrap()[usize::from(shard.0)].pos, read[0].id);
    let out = store.read_out(shard, Duration::ZERO, 10).await.unwrap();
    assert_eq!(out.len(), 5);
}

#[tokio::test]
async fn a_commit_on_an_older_revision_stores_nothing() {
    let mut world = World::new().await;
    let update = Update {
        request: "r",
        rev: None,
        rv: None,
        object: "{}",
        suspended: false,
        lease_ms: LEASE_MS,
    };
    world.store.update(&world.job, &update).await.unwrap();
    let uid = world.job.uid.clone();
    let mut commit = Commit::new();
    commit.expect_rev(&uid, 1).expect_rev("gone", 1).completed(&uid, 1);
    let pos = StreamId { ms: 5, seq: 0 };
    let done = world.store.commit(world.shard(), world.epoch, pos, &commit).await.unwrap();
    assert_eq!(done, Committed::Stale(vec![uid, "gone".to_owned()]));
    assert!(world.store.completed(&world.job).await.unwrap().is_empty());
    let meta = world.store.shard_metas().await.unwrap();
    assert_eq!(meta[usize::from(world.shard().0)].pos, StreamId::START);
    assert_eq!(world.told().await, ["job"; 2]);
}

#[tokio::test]
async fn a_commit_does_not_undo_what_a_worker_reported_meanwhile() {
    let world = World::new().await;
    let (key, grant) = world.running(0, 1).await;
    let claimed = world.live(0).await.unwrap();
    let mut late = offered(1);
    (late.failures, late.counted, late.due) = (2, 1, Some(7));
    world
        .commit(|commit, uid| {
            commit.live(uid, 0, Some(&late)).unwrap();
        })
        .await;
    let live = world.live(0).await.unwrap();
    assert_eq!((live.phase, live.failures, &live.session), (Phase::Claimed, 2, &claimed.session));
    assert_eq!((live.counted, live.due, &live.claim), (1, Some(7), &claimed.claim));
    // Nor does it make one that Redis doesn't have.
    world
        .commit(|commit, uid| {
            commit.live(uid, 1, Some(&claimed)).unwrap();
        })
        .await;
    assert_eq!(world.live(1).await, None);
    world.store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
    world
        .commit(|commit, uid| {
            commit.live(uid, 0, Some(&claimed)).unwrap();
        })
        .await;
    assert_eq!(world.live(0).await.unwrap().phase, Phase::Finished);
    // The owner alone goes on to the next attempt, and removes the record.
    let mut next = offered(2);
    next.phase = Phase::Waiting;
    world
        .commit(|commit, uid| {
            commit.live(uid, 0, Some(&next)).unwrap();
        })
        .await;
    assert_eq!(world.live(0).await, Some(next));
    world
        .commit(|commit, uid| {
            commit.live(uid, 0, None).unwrap();
        })
        .await;
    assert_eq!(world.live(0).await, None);
}

#[tokio::test]
async fn removing_a_claimed_record_lets_its_session_go() {
    let world = World::new().await;
    world.running(0, 1).await;
    assert_eq!(world.store.sessions(world.shard()).await.unwrap().len(), 1);
    world
        .commit(|commit, uid| {
            commit.live(uid, 0, None).unwrap();
        })
        .await;
    assert!(world.store.sessions(world.shard()).await.unwrap().is_empty());
    assert!(world.store.held(world.shard(), "s").await.unwrap().is_empty());
}

#[tokio::test]
async fn stopping_withdraws_an_offer_and_marks_a_claim() {
    let mut world = World::new().await;
    let offered = world.offer(0, 1).await;
    let (epoch, store) = (world.epoch, world.store.clone());
    for _ in 0..2 {
        assert_eq!(store.stop(epoch, &offered, 30).await.unwrap(), Stopped::Withdrawn);
    }
    let live = world.live(0).await.unwrap();
    assert_eq!(live.phase, Phase::Finished);
    assert!(matches!(live.attempt.outcome, Some(longshore_job::Outcome::Stopped { code: None })));
    assert!(store.history_one(&offered).await.unwrap().is_none(), "as if it had never been");
    let (claimed, grant) = world.running(1, 1).await;
    for grace in [30, 5, 9] {
        let marked = store.stop(epoch, &claimed, grace).await.unwrap();
        assert_eq!(marked, Stopped::Marked { worker: "w".to_owned() });
    }
    assert_eq!(world.live(1).await.unwrap().stop, Some(5));
    let other = world.job.attempt(1, 2);
    assert_eq!(store.stop(epoch, &other, 1).await.unwrap(), Stopped::None);
    store.finish(&claimed, &grant.token, &exited(143), None, None, &[]).await.unwrap();
    assert_eq!(store.stop(epoch, &claimed, 1).await.unwrap(), Stopped::None);
    assert_eq!(world.told().await, ["job", "end", "claim", "end"]);
}

#[tokio::test]
async fn a_ticket_that_was_set_aside_is_told_of_while_its_attempt_is_offered() {
    let mut world = World::new().await;
    let (store, shard) = (world.store.clone(), world.shard());
    let offered = world.offer(0, 1).await;
    let (claimed, grant) = world.running(1, 1).await;
    let other = world.job.attempt(0, 2);
    let mut gone = offered.clone();
    gone.job.uid = "no-such-job".into();
    for void in [&claimed, &other, &gone] {
        assert!(!store.tell_set_aside(void, 21).await.unwrap(), "{void}");
    }
    store.finish(&claimed, &grant.token, &exited(0), None, None, &[]).await.unwrap();
    assert!(!store.tell_set_aside(&claimed, 21).await.unwrap());
    assert!(store.tell_set_aside(&offered, 21).await.unwrap());
    let told = store.read_in(shard, StreamId::START, Duration::ZERO, 10).await.unwrap();
    let set_aside = Event::TicketSetAside { index: 0, attempt: 1, readers: 21 };
    assert_eq!(told.last().unwrap().what, Some(Reported::Attempt(set_aside)));
    assert_eq!(world.live(0).await.unwrap().phase, Phase::Offered, "the owner decides");
    assert_eq!(world.told().await, ["job", "claim", "end", "aside"]);
}

#[tokio::test]
async fn a_restart_is_granted_to_a_claimed_attempt() {
    let world = World::new().await;
    let offered = world.offer(0, 1).await;
    assert_eq!(world.store.grant(world.epoch, &offered, 1).await.unwrap(), Granted::None);
    let (claimed, _) = world.running(1, 1).await;
    for restarts in [1, 2, 1] {
        let granted = world.store.grant(world.epoch, &claimed, restarts).await.unwrap();
        assert_eq!(granted, Granted::Granted { worker: "w".to_owned() });
    }
    assert_eq!(world.live(1).await.unwrap().granted, 2);
}

#[tokio::test]
async fn reports_are_read_as_the_state_machine_takes_them() {
    let world = World::new().await;
    let (key, grant) = world.running(3, 1).await;
    let store = &world.store;
    let started = longshore_store::Progress::Started(1_764_025_200_123);
    store.start(&key, &grant.token, &started).await.unwrap();
    store.fail(&key, &grant.token, 1, &exited(2), &[]).await.unwrap();
    store.finish(&key, &grant.token, &lost(), None, None, &[]).await.unwrap();
    let read = store.read_in(world.shard(), StreamId::START, Duration::ZERO, 10).await.unwrap();
    let (index, attempt) = (3, 1);
    let claimed =
        Event::Claimed { index, attempt, worker: "w".to_owned(), token: grant.token.clone() };
    let expected = [
        Reported::Job,
        Reported::Attempt(claimed),
        Reported::Attempt(Event::Started { index, attempt }),
        Reported::Attempt(Event::ContainerFailed {
            index,
            attempt,
            restarts: 1,
            outcome: exited(2),
        }),
        Reported::Attempt(Event::Finished {
            index,
            attempt,
            outcome: lost(),
            containers: Vec::new(),
        }),
    ];
    let whats: Vec<Reported> = read.into_iter().map(|entry| entry.what.unwrap()).collect();
    assert_eq!(whats, expected);
}

#[tokio::test]
async fn a_shard_loads_as_it_was_left() {
    let world = World::new().await;
    world.running(5, 2).await;
    world.offer(3, 1).await;
    world
        .commit(|commit, uid| {
            commit.completed(uid, 9);
        })
        .await;
    let mut here = 1;
    let mut n = 0;
    while here < 150 {
        let job = create(&world.store, &format!("more-{n}")).await;
        here += usize::from(job.shard == world.shard());
        n += 1;
    }
    let loaded = world.store.load_shard(world.shard()).await.unwrap();
    assert_eq!(loaded.len(), here);
    let ours = loaded.iter().find(|one| one.job.job == world.job).unwrap();
    assert_eq!(ours.completed, IndexSet::from_iter([9]));
    let phases: Vec<_> = ours.live.iter().map(|(index, live)| (*index, live.phase)).collect();
    assert_eq!(phases, [(3, Phase::Offered), (5, Phase::Claimed)]);
    let complete = Condition {
        kind: ConditionType::Complete,
        status: true,
        reason: "CompletionsReached".to_owned(),
        message: String::new(),
        since: 1,
    };
    let header = Header { conditions: vec![complete], succeeded: 1, ..Header::default() };
    world
        .commit(|commit, uid| {
            commit.header(uid, &header, false).unwrap();
        })
        .await;
    let finished = world.store.load_job(&world.job).await.unwrap().unwrap();
    assert!(finished.completed.is_empty());
    assert_eq!(finished.job.header, header);
}

#[tokio::test]
async fn a_purge_leaves_nothing_and_frees_the_name() {
    let mut world = World::new().await;
    let (store, epoch) = (world.store.clone(), world.epoch);
    for index in [0, 255, 256, 70_000] {
        let (key, grant) = world.running(index, 1).await;
        store.append_output(&key, b"t o hello\n", 0, 1000).await.unwrap();
        store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
        store.end_output(&key).await.unwrap();
    }
    let (held, _) = world.running(1, 1).await;
    store.append_output(&held, b"t o hello\n", 0, 1000).await.unwrap();
    let event = EventRecord {
        warning: false,
        reason: "r".to_owned(),
        message: "m".to_owned(),
        about: None,
    };
    store.add_event(&world.job, &event).await.unwrap();
    world
        .commit(|commit, uid| {
            commit.completed(uid, 0);
        })
        .await;
    assert_eq!(store.buckets(&world.job).await.unwrap(), [0, 1, 273]);
    store.delete(&world.job).await.unwrap();
    for _ in 0..2 {
        assert!(store.purge(epoch, &world.job).await.unwrap());
    }
    let uid = world.job.uid.clone();
    let left: Vec<String> =
        world.keys().await.into_iter().filter(|key| key.contains(&uid)).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(store.sessions(world.shard()).await.unwrap().is_empty());
    assert_eq!(store.get_job("default", "pi").await.unwrap(), None);
    let claim = world.claim(&world.job.attempt(1, 1), "w", "s").await;
    assert!(matches!(claim, Claimed::Refused(_)));
    store.add_event(&world.job, &event).await.unwrap();
    assert!(store.events(&world.job).await.unwrap().is_empty());
    create(&store, "pi").await;
}
