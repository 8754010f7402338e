//! Sessions: enrolling, renewing, running out.

use longshore_job::Phase;
use longshore_store::{Claimed, Kept, Renewal, Renewed, Revoked, Verdict, Written};

use crate::common::{World, exited, lost};

fn renewal(renewed: Renewed) -> Renewal {
    match renewed {
        Renewed::Renewed(renewal) => renewal,
        other => panic!("{other:?}"),
    }
}

async fn counter(world: &World, session: &str) -> Option<u64> {
    let sessions = world.store.sessions(world.shard()).await.unwrap();
    sessions.into_iter().find(|(name, _)| name == session).map(|(_, counter)| counter)
}

#[tokio::test]
async fn a_renewal_moves_the_counter_and_says_what_to_do() {
    let world = World::new().await;
    let shard = world.shard();
    let (go, go_grant) = world.running(0, 1).await;
    let (stop, stop_grant) = world.running(1, 1).await;
    let (unnamed, unnamed_grant) = world.running(2, 1).await;
    let (done, done_grant) = world.running(3, 1).await;
    world.store.grant(world.epoch, &go, 2).await.unwrap();
    world.store.stop(world.epoch, &stop, 30).await.unwrap();
    world.store.finish(&done, &done_grant.token, &exited(0), None, None, &[]).await.unwrap();
    let before = counter(&world, "s").await.unwrap();
    let kept = [
        Kept { attempt: go.clone(), token: go_grant.token.clone() },
        Kept { attempt: done, token: done_grant.token },
        Kept { attempt: stop, token: stop_grant.token },
        Kept { attempt: world.job.attempt(9, 1), token: "7".to_owned() },
        Kept { attempt: go, token: "7".to_owned() },
    ];
    let reply = renewal(world.store.renew(shard, "w", "s", &kept).await.unwrap());
    let expected = [
        Verdict::Go { granted: 2 },
        Verdict::Gone,
        Verdict::Stop { grace_seconds: 30 },
        Verdict::Gone,
        Verdict::Gone,
    ];
    assert_eq!(reply.verdicts, expected);
    assert_eq!(reply.unnamed.len(), 1);
    assert_eq!(reply.unnamed[0].attempt, unnamed);
    assert_eq!(reply.unnamed[0].token, unnamed_grant.token);
    assert!(reply.now > 1_700_000_000_000);
    assert!(counter(&world, "s").await.unwrap() > before);
}

#[tokio::test]
async fn a_session_that_holds_nothing_is_forgotten_and_comes_back_with_a_new_counter() {
    let world = World::new().await;
    let mut seen = Vec::new();
    for attempt in 1..=3 {
        let (key, grant) = world.running(0, attempt).await;
        seen.push(counter(&world, "s").await.unwrap());
        world.store.finish(&key, &grant.token, &exited(1), None, None, &[]).await.unwrap();
        assert_eq!(counter(&world, "s").await, None);
        let reply = world.store.renew(world.shard(), "w", "s", &[]).await.unwrap();
        assert!(renewal(reply).unnamed.is_empty());
        assert_eq!(counter(&world, "s").await, None);
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}

#[tokio::test]
async fn a_new_session_takes_over_and_fences_the_old_one() {
    let world = World::new().await;
    let shard = world.shard();
    let (key, grant) = world.running(0, 1).await;
    let next = world.offer(1, 1).await;
    for _ in 0..2 {
        let held = world.enroll("w", "s2").await;
        assert_eq!(held.len(), 1);
        assert_eq!((&held[0].attempt, &held[0].token), (&key, &grant.token));
    }
    assert_eq!(counter(&world, "s").await, None);
    assert!(counter(&world, "s2").await.is_some());
    let kept = [Kept { attempt: key.clone(), token: grant.token.clone() }];
    let fenced = world.store.renew(shard, "w", "s", &kept).await.unwrap();
    assert_eq!(fenced, Renewed::Fenced { by: Some("s2".to_owned()) });
    assert_eq!(world.claim(&next, "w", "s").await, Claimed::Fenced);
    let reply = renewal(world.store.renew(shard, "w", "s2", &kept).await.unwrap());
    assert_eq!(reply.verdicts, [Verdict::Go { granted: 0 }]);
    // A claim of the old session is not repeated for the new one.
    assert!(matches!(world.claim(&key, "w", "s2").await, Claimed::Refused(_)));
    let finished =
        world.store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
    assert_eq!(finished, Written::Ok);
    assert_eq!(counter(&world, "s2").await, None);
}

#[tokio::test]
async fn a_worker_that_redis_does_not_know_is_told_so() {
    let world = World::new().await;
    let reply = world.store.renew(world.shard(), "nobody", "s", &[]).await.unwrap();
    assert_eq!(reply, Renewed::Fenced { by: None });
}

#[tokio::test]
async fn a_lease_that_ran_out_is_revoked_and_a_late_finish_refused() {
    let mut world = World::new().await;
    let (store, shard, epoch) = (world.store.clone(), world.shard(), world.epoch);
    let (key, grant) = world.running(0, 1).await;
    world.running(1, 1).await;
    let held = store.held(shard, "s").await.unwrap();
    let stood = counter(&world, "s").await.unwrap();
    for _ in 0..2 {
        let revoked = store.expire(epoch, "s", stood, &held[0], &lost()).await.unwrap();
        assert_eq!(revoked, Revoked::Revoked);
    }
    let live = world.live(0).await.unwrap();
    assert_eq!((live.phase, live.attempt.outcome), (Phase::Finished, Some(lost())));
    let late = store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
    assert_eq!(late, Written::Refused);
    world
        .commit(|commit, uid| {
            commit.live(uid, 0, None).unwrap();
        })
        .await;
    let late = store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
    assert_eq!(late, Written::Refused);
    assert_eq!(store.history_one(&key).await.unwrap().unwrap().outcome, Some(lost()));
    let kept = [Kept { attempt: key, token: grant.token }];
    let reply = renewal(store.renew(shard, "w", "s", &kept).await.unwrap());
    assert_eq!(reply.verdicts, [Verdict::Gone]);
    // That renewal moved the counter: the other attempt is safe.
    let revoked = store.expire(epoch, "s", stood, &held[1], &lost()).await.unwrap();
    assert_eq!(revoked, Revoked::Lost);
    let now = counter(&world, "s").await.unwrap();
    let revoked = store.expire(epoch, "another", now, &held[1], &lost()).await.unwrap();
    assert_eq!(revoked, Revoked::Lost);
    assert_eq!(world.told().await, ["job", "claim", "claim", "end"]);
}

#[tokio::test]
async fn a_finish_that_came_first_is_not_revoked() {
    let world = World::new().await;
    let (key, grant) = world.running(0, 1).await;
    world.running(1, 1).await;
    let held = world.store.held(world.shard(), "s").await.unwrap();
    let stood = counter(&world, "s").await.unwrap();
    world.store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
    let revoked = world.store.expire(world.epoch, "s", stood, &held[0], &lost()).await.unwrap();
    assert_eq!(revoked, Revoked::Lost);
    assert_eq!(world.live(0).await.unwrap().attempt.outcome, Some(exited(0)));
}
