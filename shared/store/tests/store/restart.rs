//! Redis goes away and comes back.

use std::time::Duration;

use longshore_job::Phase;
use longshore_store::{
    Claimed, Committed, Kept, Owned, Renewed, StoreError, StreamId, Verdict, Written,
};

use crate::common::{World, connect, exited, own};
use crate::server::Server;

#[tokio::test]
async fn calls_wait_for_it_and_owners_and_claims_are_fenced_until_it_is_accepted() {
    let mut world = World::new().await;
    let (store, shard) = (world.store.clone(), world.shard());
    let (key, grant) = world.running(0, 1).await;
    let next = world.offer(1, 1).await;
    world.server.restart();

    // What workers say still counts; what the owner believes doesn't.
    let kept = [Kept { attempt: key.clone(), token: grant.token.clone() }];
    let renewed = store.renew(shard, "w", "s", &kept).await.unwrap();
    assert!(matches!(renewed, Renewed::Renewed(r) if r.verdicts == [Verdict::Go { granted: 0 }]));
    assert!(!store.beat(shard, world.epoch).await.unwrap());
    assert_eq!(
        world
            .commit(|commit, uid| {
                commit.job_changed(uid);
            })
            .await,
        Committed::Fenced
    );
    assert_eq!(world.claim(&next, "w", "s").await, Claimed::Paused);
    // A repeated claim is no new grant.
    assert_eq!(world.claim(&key, "w", "s").await, Claimed::Granted(grant.clone()));

    let seen = store.shard_metas().await.unwrap().remove(usize::from(shard.0));
    let owned = store.own(shard, "coordinator-1", &seen).await.unwrap();
    let Owned::Yes { epoch, accepted: false, .. } = owned else { panic!("{owned:?}") };
    world.epoch = epoch;
    assert!(store.beat(shard, epoch).await.unwrap());
    assert_eq!(world.claim(&next, "w", "s").await, Claimed::Paused);
    for _ in 0..2 {
        assert!(store.accept_run(shard, epoch, 0).await.unwrap());
    }
    let Claimed::Granted(second) = world.claim(&next, "w", "s").await else {
        panic!("not granted");
    };
    let number = |token: &str| token.parse::<u64>().unwrap();
    assert!(number(&second.token) > number(&grant.token));
    let incarnation = |token: &str| number(token) / 1_000_000_000;
    assert!(incarnation(&second.token) > incarnation(&grant.token));
    let done = store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
    assert_eq!(done, Written::Ok);
}

#[tokio::test]
async fn an_attempt_whose_claim_redis_forgot_is_taken_back() {
    let mut world = World::new().await;
    let (key, grant) = world.running(0, 1).await;
    // As Redis would be, back from a file of just before the claim.
    let prefix = format!("ls:{{{}}}:", world.shard());
    let offered = serde_json::to_string(&crate::common::offered(1)).unwrap();
    let live = format!("{prefix}live:{}", world.job.uid);
    let _: () = world.redis(redis::cmd("HSET").arg(live).arg(0).arg(offered)).await;
    let held = [format!("{prefix}held:s"), format!("{prefix}sessions")];
    let _: () = world.redis(redis::cmd("DEL").arg(&held)).await;

    let kept = [Kept { attempt: key.clone(), token: grant.token.clone() }];
    for _ in 0..2 {
        let renewed = world.store.renew(world.shard(), "w", "s", &kept).await.unwrap();
        let Renewed::Renewed(renewal) = renewed else { panic!("{renewed:?}") };
        assert_eq!(renewal.verdicts, [Verdict::Go { granted: 0 }]);
    }
    let live = world.live(0).await.unwrap();
    assert_eq!((live.phase, live.attempt.token), (Phase::Claimed, Some(grant.token.clone())));
    assert_eq!(world.store.sessions(world.shard()).await.unwrap().len(), 1);
    let done = world.store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
    assert_eq!(done, Written::Ok);
    assert_eq!(world.told().await, ["job", "claim", "claim", "end"]);
}

#[tokio::test]
async fn an_epoch_whose_number_comes_again_stays_fenced() {
    let mut world = World::new().await;
    let (store, shard, forgotten) = (world.store.clone(), world.shard(), world.epoch);
    // As Redis would be, back from a file of before the epoch.
    let meta = format!("ls:{{{shard}}}:meta");
    let number = forgotten.number - 1;
    let _: () = world.redis(redis::cmd("HSET").arg(meta).arg("epoch").arg(number)).await;
    world.server.restart();
    let epoch = own(&store, shard).await;
    assert_eq!(epoch.number, forgotten.number);
    assert!(!store.beat(shard, forgotten).await.unwrap());
    assert!(!store.accept_run(shard, forgotten, 0).await.unwrap());
    assert!(store.beat(shard, epoch).await.unwrap());
}

#[tokio::test]
async fn tokens_grow_though_redis_clock_steps_back_with_its_file() {
    let mut world = World::new().await;
    world.server.restart();
    let (store, shard) = (world.store.clone(), world.shard());
    let epoch = own(&store, shard).await;
    let ahead = store.now().await.unwrap() / 1000 + 3600;
    assert!(store.accept_run(shard, epoch, ahead).await.unwrap());
    world.epoch = epoch;
    let (_, grant) = world.running(0, 1).await;
    assert!(grant.token.starts_with(&ahead.to_string()), "{} of {ahead}", grant.token);
}

#[tokio::test]
async fn an_empty_redis_fences_everybody() {
    let mut world = World::new().await;
    let (key, grant) = world.running(0, 1).await;
    let before = world.store.log_tail().await.unwrap();
    world.server.restart_empty();
    let (store, shard) = (world.store.clone(), world.shard());
    assert!(!store.beat(shard, world.epoch).await.unwrap());
    let renewed = store.renew(shard, "w", "s", &[]).await.unwrap();
    assert_eq!(renewed, Renewed::Fenced { by: None });
    let done = store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
    assert_eq!(done, Written::Refused);
    assert!(!store.log_window().await.unwrap().covers(before));
    // Its cluster is founded anew by the next coordinator that starts.
    let again = connect(&world.server.url()).await;
    assert_ne!(again.cluster_id(), store.cluster_id());
    assert_eq!(own(&again, shard).await.number, 1);
}

#[tokio::test]
async fn patience_bounds_the_wait() {
    let mut server = Server::start();
    let store = connect(&server.url()).await;
    let short = store.with_patience(Duration::from_millis(300));
    assert!(short.now().await.is_ok());
    server.kill();
    let error = short.now().await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    let blocked = short.log_read(Default::default(), Duration::from_millis(100), 1).await;
    assert!(blocked.unwrap_err().is_transient());
}

#[tokio::test]
async fn blocking_reads_come_back_with_it() {
    let mut world = World::new().await;
    let (store, shard) = (world.store.clone(), world.shard());
    let block = Duration::from_millis(50);
    let read = || store.read_in(shard, StreamId::START, block, 10);
    assert_eq!(read().await.unwrap().len(), 1);
    world.server.restart();
    // The first may meet the dead connection; none of the later ones does.
    let _ = read().await;
    assert_eq!(read().await.unwrap().len(), 1);
}
