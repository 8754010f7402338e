use longshore_job::{ConditionType, Outcome, Phase};
use longshore_store::{ResourceVersion, StoredJob, Subject, Verb};
use serde_json::json;
use std::time::Duration;

use crate::stage::{Coordinator, Redis, Stage, exit};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_to_its_end() {
    let redis = Redis::start();
    let coordinator = Coordinator::start(&redis, "a").await;
    let stage = Stage::create(&redis, "job", json!({"completions": 40, "parallelism": 7})).await;
    stage.work().await;
    let job = stage.until("Complete", |job| job.header.is(ConditionType::Complete)).await;
    assert_eq!((job.header.succeeded, job.header.failed, job.header.active), (40, 0, 0));
    assert_eq!(stage.store.completed(&stage.job).await.unwrap().to_string(), "0-39");
    assert!(stage.store.live(&stage.job).await.unwrap().is_empty());

    let events = stage.store.events(&stage.job).await.unwrap();
    let count = |reason| events.iter().filter(|event| event.event.reason == reason).count();
    assert_eq!((count("SuccessfulCreate"), count("Completed")), (11, 1));

    // Watchers are told of everything, the Job's last state too.
    stage.until("forwarded", |job| !job.dirty).await;
    let log = stage.store.log_read(ResourceVersion(0), Duration::ZERO, 10_000).await.unwrap();
    let pods = |verb| {
        log.iter().filter(|c| matches!(c.subject, Subject::Pod(_)) && c.verb == verb).count()
    };
    assert_eq!((pods(Verb::Added), pods(Verb::Deleted)), (40, 0));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_job_stops_what_runs() {
    let redis = Redis::start();
    let coordinator = Coordinator::start(&redis, "a").await;
    let spec = json!({"completions": 2, "parallelism": 2, "backoffLimit": 1});
    let stage = Stage::create(&redis, "job", spec).await;
    let other = stage.until_offered(1, 1).await;
    let token = stage.start(&other).await;
    let scene = async {
        stage.run(0, 1, 1).await;
        stage.run(0, 2, 1).await;
        stage.until_live(1, |live| live.stop == Some(30)).await;
        let failing = |job: &StoredJob| job.header.is(ConditionType::FailureTarget);
        let job = stage.until("FailureTarget", failing).await;
        assert!(!job.header.is_finished());
    };
    tokio::select! { () = scene => {}, () = stage.renew(&other, &token) => {} }
    stage.finish(&other, &token, &Outcome::Stopped { code: Some(143) }).await;
    let job = stage.until("Failed", |job| job.header.is(ConditionType::Failed)).await;
    assert_eq!((job.header.failed, job.header.counted_failures), (3, 2));
    assert_eq!(job.header.conditions[0].reason, "BackoffLimitExceeded");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_restarted_in_place_and_counted_across_owners() {
    let redis = Redis::start();
    let first = Coordinator::start(&redis, "a").await;
    let template = json!({"spec": {"restartPolicy": "OnFailure", "containers": [{"name": "c"}]}});
    let spec = json!({"backoffLimit": 3, "template": template});
    let stage = Stage::create(&redis, "job", spec).await;
    let attempt = stage.until_offered(0, 1).await;
    let token = stage.start(&attempt).await;
    let fail = async |restarts| {
        stage.store.fail(&attempt, &token, restarts, &exit(1), &[]).await.unwrap();
    };
    let scene = async {
        fail(1).await;
        stage.until_live(0, |live| live.granted == 1 && live.counted == 1).await;
        first.crash().await;
        fail(2).await;
        let second = Coordinator::start(&redis, "b").await;
        stage.until_live(0, |live| live.granted == 2 && live.counted == 2).await;
        let job = stage.until("counted", |job| job.header.counted_failures == 2).await;
        assert_eq!((job.header.failed, job.header.active), (0, 1));
        fail(3).await;
        stage.until_live(0, |live| live.stop.is_some()).await;
        stage.finish(&attempt, &token, &Outcome::Stopped { code: Some(143) }).await;
        let job = stage.until("Failed", |job| job.header.is(ConditionType::Failed)).await;
        assert_eq!((job.header.failed, job.header.counted_failures), (1, 3));
        second.stop().await;
    };
    tokio::select! { () = scene => {}, () = stage.renew(&attempt, &token) => {} }
}

#[tokio::test(flavor = "multi_thread")]
async fn suspend_resume_and_delete() {
    let redis = Redis::start();
    let coordinator = Coordinator::start(&redis, "a").await;
    let spec = json!({"completions": 4, "parallelism": 2, "suspend": true});
    let mut stage = Stage::create(&redis, "job", spec).await;
    stage.until("Suspended", |job| job.header.is(ConditionType::Suspended)).await;
    stage.change(json!({"suspend": false})).await;
    let attempt = stage.until_offered(0, 1).await;
    let token = stage.start(&attempt).await;
    stage.change(json!({"suspend": true})).await;
    stage.until_live(0, |live| live.stop.is_some()).await;
    stage.until_live(1, |live| live.phase == Phase::Waiting).await;
    stage.finish(&attempt, &token, &Outcome::Stopped { code: None }).await;
    stage.change(json!({"suspend": false, "parallelism": 1})).await;
    let attempt = stage.until_offered(0, 2).await;
    let token = stage.start(&attempt).await;

    stage.store.delete(&stage.job).await.unwrap();
    stage.until_live(0, |live| live.stop.is_some()).await;
    assert!(stage.store.get_job("default", "job").await.unwrap().is_some());
    stage.finish(&attempt, &token, &Outcome::Stopped { code: None }).await;
    stage.until_gone().await;
    assert_eq!(redis.keys_of(&stage.job), Vec::<String>::new());
    coordinator.stop().await;
}
