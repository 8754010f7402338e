//! A call whose reply is lost is sent again and has one effect.

use std::time::Duration;

use longshore_job::{Header, Waiting};
use longshore_store::{
    Claimed, Commit, Committed, Created, Deleted, EventRecord, NewJob, NodeRecord, Owned, Progress,
    Revoked, Stopped, StreamId, Update, Updated, Written,
};

use crate::common::{LEASE_MS, OBJECT, Proxy, World, create, exited, lost};

/// Runs a call whose first reply is lost, and checks that it was.
async fn losing<T>(proxy: &Proxy, call: impl Future<Output = T>) -> T {
    let before = proxy.lost();
    proxy.lose_reply();
    let value = call.await;
    assert_eq!(proxy.lost(), before + 1, "a reply was lost");
    value
}

#[tokio::test]
async fn of_a_clients_writes() {
    let (mut world, proxy) = World::behind_proxy().await;
    let (store, job) = (world.store.clone(), world.job.clone());
    let header = Header::default();
    let new = NewJob {
        uid: "uid-lost",
        namespace: "default",
        name: "lost",
        object: OBJECT,
        header: &header,
        lease_ms: LEASE_MS,
    };
    let created = losing(&proxy, store.create(&new)).await.unwrap();
    let Created::Created(lost) = created else { panic!("{created:?}") };
    let seq = store.get_job_by_uid(&lost).await.unwrap().unwrap().seq;
    assert_eq!(seq, 1);

    let update = |request| Update {
        request,
        rev: Some(1),
        rv: None,
        object: "{}",
        suspended: false,
        lease_ms: LEASE_MS,
    };
    // Redis knows the scripts from their use on another Job, so that the call lost is the write itself.
    store.update(&lost, &update("warm")).await.unwrap();
    store.delete(&lost).await.unwrap();
    let updated = losing(&proxy, store.update(&job, &update("r"))).await.unwrap();
    assert_eq!(updated, Updated::Updated { rev: 2 });
    let deleted = losing(&proxy, store.delete(&job)).await.unwrap();
    let stored = store.get_job_by_uid(&job).await.unwrap().unwrap();
    assert_eq!((stored.rev, stored.seq), (3, 3));
    assert_eq!(deleted, Deleted::Deleted { at: stored.deleted.unwrap() });
    let told = world.told().await;
    assert!(told.iter().all(|kind| kind == "job"), "{told:?}");
    let read = store.read_in(job.shard, StreamId::START, Duration::ZERO, 100).await.unwrap();
    assert_eq!(read.iter().filter(|entry| entry.uid == job.uid).count(), 3);
}

#[tokio::test]
async fn of_a_workers_reports() {
    let (mut world, proxy) = World::behind_proxy().await;
    let store = world.store.clone();
    let report = async |index: u32, lose: bool| {
        let key = world.offer(index, 1).await;
        let calls = async {
            let claim = format!("claim {index}");
            let granted = maybe(&proxy, lose, store.claim(&key, &claim, "w", "s")).await.unwrap();
            let Claimed::Granted(grant) = granted else { panic!("{granted:?}") };
            let wait = Waiting { reason: "r".to_owned(), message: String::new() };
            for progress in [Progress::Waiting(wait), Progress::Started(1_764_025_299_999)] {
                let start = store.start(&key, &grant.token, &progress);
                assert_eq!(maybe(&proxy, lose, start).await.unwrap(), Written::Ok);
            }
            let failed = exited(1);
            let fail = store.fail(&key, &grant.token, 1, &failed, &[]);
            assert_eq!(maybe(&proxy, lose, fail).await.unwrap(), Written::Ok);
            let renew = store.renew(world.shard(), "w", "s", &[]);
            let renewed = maybe(&proxy, lose, renew).await.unwrap();
            assert!(
                matches!(renewed, longshore_store::Renewed::Renewed(r) if r.unnamed.len() == 1)
            );
            let done = exited(0);
            let finish = store.finish(&key, &grant.token, &done, None, None, &[]);
            assert_eq!(maybe(&proxy, lose, finish).await.unwrap(), Written::Ok);
        };
        calls.await;
    };
    world.enroll("w", "s").await;
    report(0, false).await;
    report(1, true).await;
    let held = losing(&proxy, store.enroll(world.shard(), "w", "s2")).await.unwrap();
    assert!(held.is_empty());
    let once = ["claim", "start", "fail", "end"];
    let told = world.told().await;
    assert_eq!(told, [&["job"][..], &once, &once].concat());
}

#[tokio::test]
async fn of_an_owners_steps() {
    let (mut world, proxy) = World::behind_proxy().await;
    let (store, shard) = (world.store.clone(), world.shard());
    let seen = store.shard_metas().await.unwrap().remove(usize::from(shard.0));
    let owned = losing(&proxy, store.own(shard, "coordinator-2", &seen)).await.unwrap();
    let Owned::Yes { epoch, .. } = owned else { panic!("{owned:?}") };
    assert_eq!(epoch.number, world.epoch.number + 1);
    world.epoch = epoch;
    assert!(losing(&proxy, store.accept_run(shard, epoch, 0)).await.unwrap());

    let event = EventRecord {
        warning: false,
        reason: "r".to_owned(),
        message: "m".to_owned(),
        about: None,
    };
    world.offer(0, 1).await;
    let mut commit = Commit::new();
    commit.expect_rev(&world.job.uid, 1).job_changed(&world.job.uid);
    commit.event(&world.job.uid, &event).unwrap();
    let done = losing(&proxy, store.commit(shard, epoch, StreamId::START, &commit)).await.unwrap();
    assert!(matches!(done, Committed::Stored { .. }));
    assert_eq!(store.get_job_by_uid(&world.job).await.unwrap().unwrap().seq, 2);
    store
        .add_event(&world.job, &EventRecord { reason: "warm".to_owned(), ..event.clone() })
        .await
        .unwrap();
    losing(&proxy, store.add_event(&world.job, &event)).await.unwrap();
    let counts: u32 = store.events(&world.job).await.unwrap().iter().map(|e| e.count).sum();
    assert_eq!(counts, 3);

    for (index, lose) in [(0, false), (1, true)] {
        let key = world.offer(index, 1).await;
        let stopped = maybe(&proxy, lose, store.stop(epoch, &key, 1)).await.unwrap();
        assert_eq!(stopped, Stopped::Withdrawn);
    }
    for (index, lose) in [(2, false), (3, true)] {
        let (key, _) = world.running(index, 1).await;
        maybe(&proxy, lose, store.grant(epoch, &key, 1)).await.unwrap();
        let counter = store.sessions(shard).await.unwrap()[0].1;
        let held = store.held(shard, "s").await.unwrap().remove(0);
        let outcome = lost();
        let expire = store.expire(epoch, "s", counter, &held, &outcome);
        assert_eq!(maybe(&proxy, lose, expire).await.unwrap(), Revoked::Revoked);
    }
    let told = world.told().await;
    assert_eq!(told, ["job", "end", "end", "claim", "end", "claim", "end"]);

    let other = create(&store, "pi-2").await;
    let other_epoch = match other.shard == shard {
        true => epoch,
        false => crate::common::own(&store, other.shard).await,
    };
    assert!(store.purge(other_epoch, &other).await.unwrap());
    assert!(losing(&proxy, store.purge(epoch, &world.job)).await.unwrap());
    assert_eq!(store.get_job_by_uid(&world.job).await.unwrap(), None);
    assert!(losing(&proxy, store.beat(shard, epoch)).await.unwrap());
    assert!(losing(&proxy, store.release(shard, epoch)).await.unwrap());
}

#[tokio::test]
async fn of_output_and_heartbeats() {
    let (world, proxy) = World::behind_proxy().await;
    let store = &world.store;
    let (warm, key) = (world.job.attempt(0, 1), world.job.attempt(0, 2));
    store.append_output(&warm, b"x", 0, 100).await.unwrap();
    store.end_output(&warm).await.unwrap();
    for chunk in [&b"one\n"[..], b"two\n"] {
        losing(&proxy, store.append_output(&key, chunk, 3, 100)).await.unwrap();
    }
    losing(&proxy, store.end_output(&key)).await.unwrap();
    let batch = store.read_output(&key, StreamId::START, Duration::ZERO).await.unwrap();
    assert_eq!(batch.chunks, [b"one\n", b"two\n"]);
    let info = store.output_info(&key).await.unwrap();
    assert_eq!((info.bytes, info.dropped, info.ended), (8, 6, true));

    let node = NodeRecord { name: "w".to_owned(), ..NodeRecord::default() };
    store.heartbeat(&node).await.unwrap();
    assert!(!losing(&proxy, store.heartbeat(&node)).await.unwrap());
    assert_eq!(store.nodes().await.unwrap().len(), 1);
}

#[tokio::test]
async fn of_forwarding_tells_watchers_at_least_once() {
    let (world, proxy) = World::behind_proxy().await;
    let (store, shard) = (&world.store, world.shard());
    let from = store.log_tail().await.unwrap();
    let entries = store.read_out(shard, Duration::ZERO, 100).await.unwrap();
    losing(&proxy, store.forward(shard, &entries)).await.unwrap();
    assert!(store.read_out(shard, Duration::ZERO, 100).await.unwrap().is_empty());
    let changes = store.log_read(from, Duration::ZERO, 100).await.unwrap();
    let job = store.get_job_by_uid(&world.job).await.unwrap().unwrap();
    assert!(!job.dirty);
    assert_eq!(changes.last().unwrap().rv, job.rv);
}

async fn maybe<T>(proxy: &Proxy, lose: bool, call: impl Future<Output = T>) -> T {
    if lose { losing(proxy, call).await } else { call.await }
}
