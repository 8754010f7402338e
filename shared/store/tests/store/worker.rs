//! What a worker does with its attempts.

use longshore_job::{Container, Live, Phase, Waiting};
use longshore_store::{Claimed, Progress, Update, Written};

use crate::common::{LEASE_MS, OBJECT, World, exited, lost, offered};

#[tokio::test]
async fn a_claim_gives_what_the_attempt_needs() {
    let mut world = World::new().await;
    let (key, grant) = world.running(2, 1).await;
    assert_eq!((grant.lease_ms, grant.restarts), (LEASE_MS, 0));
    assert_eq!((grant.namespace.as_str(), grant.name.as_str()), ("default", "pi"));
    assert_eq!(grant.object, OBJECT);
    let live = world.live(2).await.unwrap();
    assert_eq!(live.phase, Phase::Claimed);
    assert_eq!(live.attempt.created, 1_764_025_200_123);
    assert_eq!(live.attempt.worker.as_deref(), Some("w"));
    assert_eq!(live.attempt.token.as_ref(), Some(&grant.token));
    assert_eq!(live.session.as_deref(), Some("s"));
    assert!(live.attempt.claimed.unwrap() > 1_700_000_000_000);
    assert!(world.store.attempt_is_current(&key, &grant.token).await.unwrap());
    assert!(!world.store.attempt_is_current(&key, "1").await.unwrap());
    // The same claim again.
    assert_eq!(world.claim(&key, "w", "s").await, Claimed::Granted(grant));
    assert_eq!(world.told().await, ["job", "claim"]);
    let held = world.store.held(world.shard(), "s").await.unwrap();
    assert_eq!((held.len(), &held[0].attempt, held[0].lease_ms), (1, &key, LEASE_MS));
}

#[tokio::test]
async fn a_claim_is_refused_for_every_reason() {
    let mut world = World::new().await;
    let refused = |claim: Claimed| match claim {
        Claimed::Refused(why) => why,
        other => panic!("{other:?}"),
    };
    let key = world.offer(0, 2).await;
    assert_eq!(world.claim(&key, "w", "s").await, Claimed::Fenced);
    world.enroll("w", "s").await;
    world.enroll("w2", "s2").await;
    assert_eq!(world.claim(&key, "w", "s2").await, Claimed::Fenced);
    let older = world.job.attempt(0, 1);
    assert!(refused(world.claim(&older, "w", "s").await).contains("current attempt"));
    let none = world.job.attempt(1, 1);
    assert!(refused(world.claim(&none, "w", "s").await).contains("current attempt"));
    let gone = longshore_store::JobRef::new(world.shard(), "none").attempt(0, 1);
    assert!(refused(world.claim(&gone, "w", "s").await).contains("gone"));
    let suspend = Update {
        request: "r",
        rev: None,
        rv: None,
        object: OBJECT,
        suspended: true,
        lease_ms: LEASE_MS,
    };
    world.store.update(&world.job, &suspend).await.unwrap();
    assert!(refused(world.claim(&key, "w", "s").await).contains("active"));
    world.offer(1, 1).await;
    assert!(matches!(world.claim(&key, "w", "s").await, Claimed::Granted(_)));
    assert!(refused(world.claim(&key, "w2", "s2").await).contains("claimed before"));
    let again = world.store.claim(&key, "another claim", "w", "s").await.unwrap();
    assert!(refused(again).contains("claimed before"));
    assert_eq!(world.told().await, ["job", "job", "claim"]);
}

#[tokio::test]
async fn tokens_grow_over_all_jobs_of_a_shard() {
    let world = World::new().await;
    let mut last = 0;
    for attempt in 1..=5 {
        let (key, grant) = world.running(0, attempt).await;
        let token: u64 = grant.token.parse().unwrap();
        assert!(token > last, "{token} after {last}");
        last = token;
        world.store.finish(&key, &grant.token, &lost(), None, None, &[]).await.unwrap();
    }
    assert_eq!(last.to_string().len(), 19);
}

#[tokio::test]
async fn progress_is_stored_and_told_once() {
    let mut world = World::new().await;
    let (key, grant) = world.running(0, 1).await;
    let store = world.store.clone();
    let waiting = Waiting { reason: "ErrImagePull".to_owned(), message: "no \"such\"".to_owned() };
    let started = Progress::Started(1_764_025_299_999);
    for _ in 0..2 {
        let wait = Progress::Waiting(waiting.clone());
        assert_eq!(store.start(&key, &grant.token, &wait).await.unwrap(), Written::Ok);
    }
    assert_eq!(world.live(0).await.unwrap().attempt.waiting, Some(waiting));
    for _ in 0..2 {
        assert_eq!(store.start(&key, &grant.token, &started).await.unwrap(), Written::Ok);
    }
    let live = world.live(0).await.unwrap().attempt;
    assert_eq!((live.started, live.waiting), (Some(1_764_025_299_999), None));
    for _ in 0..2 {
        assert_eq!(store.fail(&key, &grant.token, 1, &exited(3), &[]).await.unwrap(), Written::Ok);
    }
    let live = world.live(0).await.unwrap().attempt;
    assert_eq!((live.restarts, live.outcome), (1, Some(exited(3))));
    assert_eq!(live.waiting.unwrap().reason, "CrashLoopBackOff");
    let again = Progress::Started(1_764_025_300_000);
    store.start(&key, &grant.token, &again).await.unwrap();
    assert_eq!(world.live(0).await.unwrap().attempt.started, Some(1_764_025_300_000));
    assert_eq!(world.told().await, ["job", "claim", "start", "fail", "start"]);
    assert_eq!(store.start(&key, "1", &started).await.unwrap(), Written::Refused);
    assert_eq!(store.fail(&key, "1", 2, &exited(3), &[]).await.unwrap(), Written::Refused);
}

#[tokio::test]
async fn several_containers_are_told_of_until_the_end() {
    let mut world = World::new().await;
    let (key, grant) = world.running(0, 1).await;
    let store = world.store.clone();
    let record = |name: &str, started| Container {
        name: name.to_owned(),
        started,
        running: started.is_some(),
        ..Container::default()
    };
    let progress = |started, containers: &[Container]| Progress::Containers {
        started,
        containers: containers.to_vec(),
    };
    let init = [record("a", Some(5)), record("b", None)];
    store.start(&key, &grant.token, &progress(None, &init)).await.unwrap();
    let attempt = world.live(0).await.unwrap().attempt;
    assert_eq!((attempt.started, attempt.containers.as_slice()), (None, &init[..]));
    let both = [record("a", Some(5)), record("b", Some(6))];
    for _ in 0..2 {
        store.start(&key, &grant.token, &progress(Some(6), &both)).await.unwrap();
    }
    let failed = [record("a", None), record("b", Some(6))];
    store.fail(&key, &grant.token, 1, &exited(3), &failed).await.unwrap();
    let attempt = world.live(0).await.unwrap().attempt;
    assert_eq!((attempt.started, attempt.containers.as_slice()), (Some(6), &failed[..]));
    assert_eq!((attempt.restarts, attempt.waiting), (1, None));
    store.finish(&key, &grant.token, &exited(0), Some(6), None, &both).await.unwrap();
    assert_eq!(store.history_one(&key).await.unwrap().unwrap().containers, both);
    assert_eq!(world.told().await, ["job", "claim", "start", "fail", "end"]);
}

#[tokio::test]
async fn an_attempt_ends_once() {
    let mut world = World::new().await;
    let (key, grant) = world.running(300, 1).await;
    let store = world.store.clone();
    let finish = async |token: &str, outcome| {
        store.finish(&key, token, &outcome, Some(1_764_025_200_500), None, &[]).await.unwrap()
    };
    assert_eq!(finish("1", exited(0)).await, Written::Refused);
    assert_eq!(finish(&grant.token, exited(0)).await, Written::Ok);
    assert_eq!(finish(&grant.token, exited(0)).await, Written::Ok);
    assert_eq!(finish("1", exited(1)).await, Written::Refused);
    let past = store.history_one(&key).await.unwrap().unwrap();
    assert_eq!(past.outcome, Some(exited(0)));
    assert_eq!(past.started, Some(1_764_025_200_500));
    assert!(past.finished.unwrap() > past.created);
    let live = world.live(300).await.unwrap();
    assert_eq!((live.phase, &live.attempt), (Phase::Finished, &past));
    assert_eq!(store.buckets(&world.job).await.unwrap(), [1]);
    assert_eq!(store.history(&world.job, 1).await.unwrap(), [(300, past)]);
    assert!(store.held(world.shard(), "s").await.unwrap().is_empty());
    assert!(store.sessions(world.shard()).await.unwrap().is_empty());
    assert_eq!(
        store.start(&key, &grant.token, &Progress::Started(1)).await.unwrap(),
        Written::Refused
    );
    assert_eq!(store.fail(&key, &grant.token, 1, &exited(1), &[]).await.unwrap(), Written::Refused);
    // The owner has accounted for it and gone on.
    world
        .commit(|commit, uid| {
            commit.live(uid, 300, None).unwrap();
        })
        .await;
    assert_eq!(finish(&grant.token, exited(0)).await, Written::Ok);
    assert_eq!(world.live(300).await, None);
    assert_eq!(world.told().await, ["job", "claim", "end"]);
}

#[tokio::test]
async fn a_finished_attempt_is_small() {
    let mut world = World::new().await;
    let (key, grant) = world.running(0, 1).await;
    let start = Some(1_764_025_200_500);
    world.store.finish(&key, &grant.token, &exited(0), start, start, &[]).await.unwrap();
    let hist = format!("ls:{{{}}}:hist:{}:0", world.shard(), world.job.uid);
    let json: String = world.redis(redis::cmd("HGET").arg(hist).arg("0.1")).await;
    assert!(json.len() <= 200, "{} bytes: {json}", json.len());
}

#[tokio::test]
async fn restarts_survive_into_the_next_attempt_as_the_owner_gives_them() {
    let world = World::new().await;
    let mut live: Live = offered(2);
    live.attempt.restarts = 3;
    world
        .commit(|commit, uid| {
            commit.header(uid, &longshore_job::Header::default(), true).unwrap();
            commit.live(uid, 0, Some(&live)).unwrap();
        })
        .await;
    world.enroll("w", "s").await;
    let Claimed::Granted(grant) = world.claim(&world.job.attempt(0, 2), "w", "s").await else {
        panic!("not granted");
    };
    assert_eq!(grant.restarts, 3);
}
