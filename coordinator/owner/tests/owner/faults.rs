use std::time::{Duration, Instant};

use longshore_job::{ConditionType, Outcome};
use longshore_store::{Claimed, Written};
use serde_json::json;

use crate::stage::{Coordinator, LEASE, Redis, Stage, exit};

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_not_renewed_is_a_disruption_and_free() {
    let redis = Redis::start();
    let coordinator = Coordinator::start(&redis, "a").await;
    let stage = Stage::create(&redis, "job", json!({"backoffLimit": 0})).await;
    let attempt = stage.until_offered(0, 1).await;
    let claimed = Instant::now();
    let token = stage.start(&attempt).await;
    stage.until_offered(0, 2).await;
    assert!(claimed.elapsed() >= LEASE + Duration::from_secs(1));
    assert!(claimed.elapsed() < LEASE + Duration::from_secs(4));
    let late = stage.store.finish(&attempt, &token, &exit(0), Some(1), None, &[]).await.unwrap();
    assert_eq!(late, Written::Refused);
    let records = stage.store.history(&stage.job, 0).await.unwrap();
    let Some(Outcome::Disrupted { reason, host_lost, .. }) = &records[0].1.outcome else {
        panic!("{records:?}")
    };
    assert_eq!((reason.as_str(), *host_lost), ("WorkerLost", true));
    stage.run(0, 2, 0).await;
    let job = stage.until("Complete", |job| job.header.is(ConditionType::Complete)).await;
    assert_eq!((job.header.failed, job.header.disruptions), (0, 1));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_survives_the_loss_of_its_owner() {
    let redis = Redis::start();
    let first = Coordinator::start(&redis, "a").await;
    let stage = Stage::create(&redis, "job", json!({"completions": 300, "parallelism": 9})).await;
    let scene = async {
        stage.until("some progress", |job| job.header.succeeded > 50).await;
        first.crash().await;
        let second = Coordinator::start(&redis, "b").await;
        stage.until("Complete", |job| job.header.is(ConditionType::Complete)).await;
        second
    };
    let ((), second) = tokio::join!(stage.work(), scene);
    let records = stage.store.history(&stage.job, 0).await.unwrap();
    assert_eq!(records.len(), 256, "no index ran twice");
    let job = stage.until("Complete", |job| job.header.is_finished()).await;
    assert_eq!((job.header.succeeded, job.header.disruptions), (300, 0));
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_restarts_and_nothing_is_claimed_for_a_lease() {
    let mut redis = Redis::start();
    let coordinator = Coordinator::start(&redis, "a").await;
    let stage = Stage::create(&redis, "job", json!({"completions": 3, "parallelism": 2})).await;
    stage.run(0, 1, 0).await;
    let attempt = stage.until_offered(1, 1).await;
    redis.restart();
    let back = Instant::now();
    assert_eq!(
        stage.store.claim(&attempt, "claim", "w", "session").await.unwrap(),
        Claimed::Paused
    );
    let token = stage.start(&attempt).await;
    assert!(back.elapsed() >= LEASE + Duration::from_secs(1));
    stage.finish(&attempt, &token, &exit(0)).await;
    stage.work().await;
    let job = stage.until("Complete", |job| job.header.is(ConditionType::Complete)).await;
    assert_eq!((job.header.succeeded, job.header.failed), (3, 0));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_coordinators_share_the_shards_and_one_takes_over_all() {
    let redis = Redis::start();
    let store = redis.store().await;
    let first = Coordinator::start(&redis, "a").await;
    let second = Coordinator::start(&redis, "b").await;
    let owners = async |wanted: &[&str]| {
        let start = Instant::now();
        loop {
            let metas = store.shard_metas().await.unwrap();
            let mut owners: Vec<_> = metas.iter().map(|meta| meta.owner.clone()).collect();
            owners.sort_unstable();
            owners.dedup();
            if owners == wanted {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(40), "{owners:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    owners(&["a", "b"]).await;
    first.crash().await;
    owners(&["b"]).await;
    second.stop().await;
    owners(&[""]).await;
}
