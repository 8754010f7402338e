//! Pods and logs that are read from the archive.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use longshore_archive::{Archive, ArchiveSettings, PodName};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Fixture, Owner, PODS, names, text};

const LOG: &str = "[longshore: 7 bytes of earlier output were dropped]\n\
    2026-01-02T03:04:05.000000001Z o one\n\
    2026-01-02T03:04:06.000000001Z ep tw\n\
    2026-01-02T03:04:06.000000002Z e o\n\
    2026-01-02T03:04:07.000000001Z o three\n";
const NOTICE: &str = "[longshore: 7 bytes of earlier output were dropped]\n";

fn open(folder: &Path) -> Archive {
    let settings = ArchiveSettings {
        url: format!("file://{}", folder.display()),
        retention: Duration::ZERO,
        endpoint: None,
        region: None,
        credentials: None,
    };
    Archive::open(&settings).unwrap()
}

async fn put(archive: &Archive, job: &str, pod: &Value) {
    let name = text(pod, "metadata.name").to_owned();
    let name = PodName { namespace: "default".into(), job: job.into(), pod: name };
    let mut writer = archive.write_log(&name, "main");
    writer.write(Bytes::from_static(LOG.as_bytes())).await.unwrap();
    writer.finish().await.unwrap();
    archive.put_pod(&name, serde_json::to_vec(pod).unwrap()).await.unwrap();
}

/// Runs one attempt of a new Job; its Pod.
async fn run(fixture: &Fixture, name: &str) -> (Owner, Value) {
    fixture.create(name).await;
    let owner = Owner::of(fixture, name).await;
    let key = owner.finish(3, 1, 0).await;
    let chunk = "2026-01-02T03:04:05.000000001Z o live\n";
    fixture.store.append_output(&key, chunk.as_bytes(), 0, 1 << 20).await.unwrap();
    let selector = format!("{PODS}?labelSelector=job-name%3D{name}");
    let list = fixture.get(&selector).await.expect(200);
    assert_eq!(names(&list).len(), 1);
    let pod = fixture.get(&format!("{PODS}/{}", names(&list)[0])).await.expect(200);
    (owner, pod)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_outlives_its_job() {
    let folder = TempDir::new().unwrap();
    let archive = open(folder.path());
    let fixture = Fixture::start_with(Some(archive.clone())).await;
    // The name of the second is cut in its Pod's.
    for name in ["a".to_owned(), "b".repeat(57)] {
        let (owner, pod) = run(&fixture, &name).await;
        put(&archive, &name, &pod).await;
        let path = format!("{PODS}/{}", text(&pod, "metadata.name"));
        assert_eq!(fixture.get(&format!("{path}/log")).await.text(), "live\n");
        assert!(pod.pointer("/metadata/annotations/longshore.dev~1archived").is_none());

        owner.purge().await;
        let archived = fixture.get(&path).await.expect(200);
        let mark = archived.pointer("/metadata/annotations/longshore.dev~1archived");
        assert_eq!(mark, Some(&json!("true")));
        assert_eq!(archived["status"], pod["status"]);
        for (query, wanted) in [
            ("", format!("{NOTICE}one\ntwo\nthree\n")),
            ("?container=main&follow=true", format!("{NOTICE}one\ntwo\nthree\n")),
            ("?tailLines=2", "two\nthree\n".into()),
            ("?tailLines=0", String::new()),
            ("?limitBytes=5", NOTICE[..5].into()),
            ("?tailLines=2&limitBytes=5", "two\nt".into()),
            ("?sinceTime=2026-01-02T03:04:07Z", "three\n".into()),
            ("?sinceSeconds=1", String::new()),
            ("?tailLines=1&timestamps=true", "2026-01-02T03:04:07.000000001Z three\n".into()),
        ] {
            let answer = fixture.get(&format!("{path}/log{query}")).await;
            assert_eq!((answer.code.as_u16(), answer.text()), (200, wanted), "{query}");
        }
        fixture.get(&format!("{path}/log?container=other")).await.expect(400);
        fixture.get(&format!("{path}/log?previous=true")).await.expect(400);
    }
    fixture.get(&format!("{PODS}/a-1-bcdfg")).await.expect(404);
    fixture.get(&format!("{PODS}/a-1-bcdfg/log")).await.expect(404);
    fixture.get(&format!("{PODS}/..%2F..%2Fa-1-bcdfg")).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_without_output_in_redis_has_it_from_the_archive() {
    let folder = TempDir::new().unwrap();
    let archive = open(folder.path());
    let fixture = Fixture::start_with(Some(archive.clone())).await;
    let (owner, pod) = run(&fixture, "a").await;
    put(&archive, "a", &pod).await;
    fixture.store.delete_outputs(&[owner.job.attempt(3, 1)]).await.unwrap();
    let path = format!("{PODS}/{}", text(&pod, "metadata.name"));
    let log = fixture.get(&format!("{path}/log")).await.text();
    assert_eq!(log, format!("{NOTICE}one\ntwo\nthree\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_away_is_told() {
    let above = TempDir::new().unwrap();
    let folder = above.path().join("archive");
    let archive = open(&folder);
    let fixture = Fixture::start_with(Some(archive.clone())).await;
    let (owner, pod) = run(&fixture, "a").await;
    put(&archive, "a", &pod).await;
    owner.purge().await;
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    let path = format!("{PODS}/{}", text(&pod, "metadata.name"));
    fixture.get(&path).await.expect(503);
    fixture.get(&format!("{path}/log")).await.expect(503);
}
