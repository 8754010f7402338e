//! Steps that race: whatever the order, exactly one wins.

use std::collections::BTreeSet;
use std::time::Duration;

use longshore_job::{Event, Outcome, Phase};
use longshore_store::{Claimed, Kept, Reported, Revoked, Stopped, StreamId, Written};
use rand::RngExt;

use crate::common::{World, connect, exited, lost};

/// Lets the calls of a round start in any order.
async fn shuffle() {
    let wait = rand::rng().random_range(0..400);
    tokio::time::sleep(Duration::from_micros(wait)).await;
}

/// How often the stream tells the end of an index.
async fn ends(world: &World, index: u32) -> Vec<Outcome> {
    let read = world.store.read_in(world.shard(), StreamId::START, Duration::ZERO, 10_000).await;
    let outcome = |what| match what {
        Some(Reported::Attempt(Event::Finished { index: i, outcome, .. })) if i == index => {
            Some(outcome)
        }
        _ => None,
    };
    read.unwrap().into_iter().filter_map(|entry| outcome(entry.what)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_claims_one_is_granted() {
    let world = World::new().await;
    let other = connect(&world.server.url()).await;
    for worker in 0..4 {
        world.enroll(&format!("w{worker}"), &format!("s{worker}")).await;
    }
    let mut tokens = BTreeSet::new();
    for index in 0..50 {
        let key = world.offer(index, 1).await;
        let claims = (0..4).map(|n| {
            let (store, key) = (if n % 2 == 0 { &world.store } else { &other }, key.clone());
            async move {
                shuffle().await;
                let claim = format!("{n}/{key}");
                store.claim(&key, &claim, &format!("w{n}"), &format!("s{n}")).await.unwrap()
            }
        });
        let granted: Vec<String> = futures::future::join_all(claims)
            .await
            .into_iter()
            .filter_map(|claim| match claim {
                Claimed::Granted(grant) => Some(grant.token),
                _ => None,
            })
            .collect();
        assert_eq!(granted.len(), 1);
        assert!(tokens.insert(granted[0].clone()));
        assert_eq!(tokens.last(), granted.first(), "tokens grow");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_and_a_withdrawal_exclude_each_other() {
    let world = World::new().await;
    world.enroll("w", "s").await;
    let other = connect(&world.server.url()).await;
    let mut claims = 0;
    for index in 0..100 {
        let key = world.offer(index, 1).await;
        let (claim, stop) = tokio::join!(
            async {
                shuffle().await;
                world.claim(&key, "w", "s").await
            },
            async {
                shuffle().await;
                other.stop(world.epoch, &key, 1).await.unwrap()
            }
        );
        let phase = world.live(index).await.unwrap().phase;
        match (&claim, &stop) {
            (Claimed::Granted(_), Stopped::Marked { worker }) if worker == "w" => {
                claims += 1;
                assert_eq!(phase, Phase::Claimed);
                assert!(ends(&world, index).await.is_empty());
            }
            (Claimed::Refused(_), Stopped::Withdrawn) => {
                assert_eq!(phase, Phase::Finished);
                assert_eq!(ends(&world, index).await, [Outcome::Stopped { code: None }]);
            }
            _ => panic!("{claim:?} and {stop:?}"),
        }
    }
    assert!((1..100).contains(&claims), "both orders came up: {claims} of 100");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_ends_by_its_worker_or_its_owner_never_by_both() {
    let world = World::new().await;
    let other = connect(&world.server.url()).await;
    let mut finishes = 0;
    for index in 0..100 {
        let (key, grant) = world.running(index, 1).await;
        let held = world.store.held(world.shard(), "s").await.unwrap().remove(0);
        let counter = world.store.sessions(world.shard()).await.unwrap()[0].1;
        let (finished, revoked) = tokio::join!(
            async {
                shuffle().await;
                world.store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap()
            },
            async {
                shuffle().await;
                other.expire(world.epoch, "s", counter, &held, &lost()).await.unwrap()
            }
        );
        let expected = match (finished, revoked) {
            (Written::Ok, Revoked::Lost) => exited(0),
            (Written::Refused, Revoked::Revoked) => lost(),
            both => panic!("{both:?}"),
        };
        finishes += u32::from(expected.is_success());
        assert_eq!(ends(&world, index).await, std::slice::from_ref(&expected));
        assert_eq!(world.store.history_one(&key).await.unwrap().unwrap().outcome, Some(expected));
    }
    assert!((1..100).contains(&finishes), "both orders came up: {finishes} of 100");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_and_a_revocation_agree() {
    let world = World::new().await;
    let other = connect(&world.server.url()).await;
    for index in 0..100 {
        let (key, grant) = world.running(index, 1).await;
        let held = world.store.held(world.shard(), "s").await.unwrap().remove(0);
        let counter = world.store.sessions(world.shard()).await.unwrap()[0].1;
        let kept = [Kept { attempt: key.clone(), token: grant.token.clone() }];
        let (renewed, revoked) = tokio::join!(
            async {
                shuffle().await;
                world.store.renew(world.shard(), "w", "s", &kept).await.unwrap()
            },
            async {
                shuffle().await;
                other.expire(world.epoch, "s", counter, &held, &lost()).await.unwrap()
            }
        );
        let longshore_store::Renewed::Renewed(renewal) = renewed else { panic!("fenced") };
        let gone = renewal.verdicts == [longshore_store::Verdict::Gone];
        assert_eq!(gone, revoked == Revoked::Revoked);
        if !gone {
            world.store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_candidates_one_takes_the_shard() {
    let world = World::new().await;
    let shard = world.shard();
    let other = connect(&world.server.url()).await;
    for round in 1..=30 {
        let seen = world.store.shard_metas().await.unwrap().remove(usize::from(shard.0));
        assert_eq!(seen.epoch, round);
        let candidates = (0..4).map(|n| {
            let (store, seen) = (if n % 2 == 0 { &world.store } else { &other }, &seen);
            async move {
                shuffle().await;
                store.own(shard, &format!("c{n}"), seen).await.unwrap()
            }
        });
        let owned = futures::future::join_all(candidates).await;
        let wins = owned.iter().filter(|owned| matches!(owned, longshore_store::Owned::Yes { .. }));
        assert_eq!(wins.count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_name_is_given_to_one_of_many_creations() {
    let world = World::new().await;
    let header = longshore_job::Header::default();
    for round in 0..30 {
        let name = format!("job-{round}");
        let creations = (0..4).map(|n| {
            let (store, name, header) = (&world.store, &name, &header);
            async move {
                shuffle().await;
                let uid = format!("{name}-{n}");
                let new = longshore_store::NewJob {
                    uid: &uid,
                    namespace: "default",
                    name,
                    object: "{}",
                    header,
                    lease_ms: 1,
                };
                store.create(&new).await.unwrap()
            }
        });
        let made = futures::future::join_all(creations).await;
        let wins = made.iter().filter(|one| matches!(one, longshore_store::Created::Created(_)));
        assert_eq!(wins.count(), 1);
    }
}
