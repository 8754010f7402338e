use std::path::Path;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use longshore_archive::{Archive, ArchiveSettings, PodName};
use longshore_job::{CompletionMode, ConditionType, pod_name};
use longshore_store::AttemptKey;
use serde_json::json;
use tempfile::TempDir;

use crate::stage::{Coordinator, Redis, Stage, exit};

const LINE: &str = "2026-01-02T03:04:05.000000001Z o hello\n";

fn open(folder: &Path) -> Archive {
    let settings = ArchiveSettings {
        url: format!("file://{}", folder.display()),
        retention: Duration::from_secs(3600),
        endpoint: None,
        region: None,
        credentials: None,
    };
    Archive::open(&settings).unwrap()
}

fn name(stage: &Stage, job: &str, key: &AttemptKey) -> PodName {
    let mode = CompletionMode::Indexed;
    let pod = pod_name(job, &stage.job.uid, mode, key.index, key.attempt);
    PodName { namespace: "default".into(), job: job.into(), pod }
}

async fn log(archive: &Archive, name: &PodName) -> Option<String> {
    let stream = archive.log(name, "c").await.unwrap()?;
    let pieces: Vec<_> = stream.try_collect().await.unwrap();
    Some(String::from_utf8(pieces.concat()).unwrap())
}

async fn until_there(archive: &Archive, name: &PodName) {
    let start = Instant::now();
    while archive.pod(name).await.unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(40), "{name:?} isn't archived");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs an attempt that prints a line.
async fn print(stage: &Stage, index: u32, attempt: u32, code: i32) -> AttemptKey {
    let key = stage.until_offered(index, attempt).await;
    let token = stage.start(&key).await;
    stage.store.append_output(&key, LINE.as_bytes(), 5, 1 << 20).await.unwrap();
    stage.finish(&key, &token, &exit(code)).await;
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_archived_once_its_output_has_ended() {
    let (redis, folder) = (Redis::start(), TempDir::new().unwrap());
    let archive = open(folder.path());
    let coordinator = Coordinator::start_with(&redis, "a", Some(archive.clone())).await;
    let stage = Stage::create(&redis, "job", json!({})).await;
    let failed = print(&stage, 0, 1, 1).await;
    stage.store.end_output(&failed).await.unwrap();
    let failed = name(&stage, "job", &failed);
    until_there(&archive, &failed).await;
    let notice = "[longshore: 5 bytes of earlier output were dropped]\n";
    assert_eq!(log(&archive, &failed).await.unwrap(), format!("{notice}{LINE}"));
    let pod = archive.pod(&failed).await.unwrap().unwrap();
    let pod: serde_json::Value = serde_json::from_slice(&pod).unwrap();
    assert_eq!(
        (&pod["metadata"]["name"], &pod["status"]["phase"]),
        (&json!(failed.pod), &json!("Failed"))
    );

    // An output whose end is never written is archived too.
    let silent = print(&stage, 0, 2, 0).await;
    until_there(&archive, &name(&stage, "job", &silent)).await;
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_out_is_archived_before_the_job_is_removed() {
    let (redis, folder) = (Redis::start(), TempDir::new().unwrap());
    let archive = open(folder.path());
    // One that knows of no archive.
    let coordinator = Coordinator::start(&redis, "a").await;
    let stage = Stage::create(&redis, "job", json!({"ttlSecondsAfterFinished": 2})).await;
    let key = print(&stage, 0, 1, 0).await;
    stage.store.end_output(&key).await.unwrap();
    stage.until("Complete", |job| job.header.is(ConditionType::Complete)).await;
    coordinator.crash().await;
    let coordinator = Coordinator::start_with(&redis, "a", Some(archive.clone())).await;
    stage.until_gone().await;
    assert!(redis.keys_of(&stage.job).is_empty());
    assert!(log(&archive, &name(&stage, "job", &key)).await.unwrap().ends_with(LINE));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_away_delays_the_removal() {
    let (redis, above) = (Redis::start(), TempDir::new().unwrap());
    let folder = above.path().join("archive");
    let archive = open(&folder);
    std::fs::remove_dir(&folder).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    let coordinator = Coordinator::start_with(&redis, "a", Some(archive.clone())).await;
    let stage = Stage::create(&redis, "job", json!({"ttlSecondsAfterFinished": 0})).await;
    let key = print(&stage, 0, 1, 0).await;
    stage.store.end_output(&key).await.unwrap();
    let job = stage.until("Complete", |job| job.header.is(ConditionType::Complete)).await;
    // Time enough for a removal, which must not come.
    let ends = job.header.completion_time.unwrap() + 3_000;
    while stage.store.now().await.unwrap() < ends {
        assert!(stage.store.get_job("default", "job").await.unwrap().is_some(), "it is removed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::remove_file(&folder).unwrap();
    stage.until_gone().await;
    assert!(log(&archive, &name(&stage, "job", &key)).await.unwrap().ends_with(LINE));
    coordinator.stop().await;
}
