//! The archive in a folder, and in the bucket of a real S3 server on a port of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use longshore_archive::{Archive, ArchiveError, ArchiveSettings, Credentials, PodName};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::net::TcpListener;

const KEY: &str = "access";
const SECRET: &str = "hunter2hunter2";

fn settings(url: String) -> ArchiveSettings {
    ArchiveSettings {
        url,
        retention: Duration::from_secs(60),
        endpoint: None,
        region: Some("us-east-1".into()),
        credentials: None,
    }
}

fn in_folder(folder: &TempDir) -> Archive {
    Archive::open(&settings(format!("file://{}", folder.path().display()))).unwrap()
}

/// A server whose bucket `logs` is a folder.
async fn serve(folder: &TempDir) -> SocketAddr {
    std::fs::create_dir(folder.path().join("logs")).unwrap();
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
    service.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = service.build().into_shared();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

fn in_bucket(address: SocketAddr, secret: &str) -> Archive {
    let credentials = Credentials { access_key_id: KEY.into(), secret_access_key: secret.into() };
    let settings = ArchiveSettings {
        endpoint: Some(format!("http://{address}")),
        credentials: Some(credentials),
        ..settings("s3://logs/of/fleet".into())
    };
    assert!(!format!("{settings:?}").contains(secret));
    Archive::open(&settings).unwrap()
}

fn pod(job: &str, pod: &str) -> PodName {
    PodName { namespace: "default".into(), job: job.into(), pod: pod.into() }
}

async fn read(archive: &Archive, pod: &PodName) -> Option<Vec<u8>> {
    let stream = archive.log(pod, "main").await.unwrap()?;
    let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
    Some(pieces.concat())
}

/// What holds wherever the archive is.
async fn keeps_what_is_written(archive: &Archive) {
    let first = pod("job", "job-0-abcde");
    assert!(read(archive, &first).await.is_none());
    assert!(archive.pod(&first).await.unwrap().is_none());
    assert!(archive.pods("default", "job").await.unwrap().is_empty());

    // Longer than what is held in memory, so that it goes in parts.
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    let mut writer = archive.write_log(&first, "main");
    for _ in 0..12 {
        writer.write(piece.clone()).await.unwrap();
    }
    assert!(read(archive, &first).await.is_none(), "it is seen before its end");
    writer.finish().await.unwrap();
    let log = read(archive, &first).await.unwrap();
    assert!(log.len() == 12 << 20 && log.iter().all(|byte| *byte == b'x'));

    // Again, and empty: the same object.
    let mut again = archive.write_log(&first, "main");
    again.finish().await.unwrap();
    assert_eq!(read(archive, &first).await.unwrap(), b"");

    let mut aborted = archive.write_log(&first, "main");
    for _ in 0..12 {
        aborted.write(piece.clone()).await.unwrap();
    }
    aborted.abort().await;
    assert_eq!(read(archive, &first).await.unwrap(), b"");

    // A Pod counts once its object is there.
    assert!(archive.pods("default", "job").await.unwrap().is_empty());
    archive.put_pod(&first, b"{}".to_vec()).await.unwrap();
    archive.put_pod(&pod("job", "job-1-abcde"), b"{}".to_vec()).await.unwrap();
    archive.put_pod(&pod("job-1", "job-1-1-abcde"), b"{}".to_vec()).await.unwrap();
    assert_eq!(archive.pod(&first).await.unwrap().unwrap(), &b"{}"[..]);
    let pods = archive.pods("default", "job").await.unwrap();
    assert_eq!(pods.keys().collect::<Vec<_>>(), ["job-0-abcde", "job-1-abcde"]);
    let oldest = pods.values().min().copied().unwrap();
    assert_eq!(archive.sweep(oldest.saturating_sub(60_000)).await.unwrap(), 0);
    assert_eq!(archive.sweep(oldest + 600_000).await.unwrap(), 4);
    assert!(archive.pods("default", "job").await.unwrap().is_empty());
    assert!(read(archive, &first).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_what_is_written() {
    let folder = TempDir::new().unwrap();
    keeps_what_is_written(&in_folder(&folder)).await;
}

// Of a folder alone: the bucket's server here lists no common prefixes.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_told_apart() {
    let folder = TempDir::new().unwrap();
    let archive = in_folder(&folder);
    assert!(archive.jobs("default").await.unwrap().is_empty());
    for job in ["job", "job-1"] {
        archive.put_pod(&pod(job, "pod"), b"{}".to_vec()).await.unwrap();
    }
    let jobs = BTreeSet::from(["job".to_owned(), "job-1".to_owned()]);
    assert_eq!(archive.jobs("default").await.unwrap(), jobs);
    assert!(archive.jobs("other").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_what_is_written() {
    let folder = TempDir::new().unwrap();
    let address = serve(&folder).await;
    keeps_what_is_written(&in_bucket(address, SECRET)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_told() {
    let folder = TempDir::new().unwrap();
    let address = serve(&folder).await;
    let archive = in_bucket(address, "another");
    let error = archive.put_pod(&pod("job", "job-0-abcde"), b"{}".to_vec()).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Write(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_away_is_told() {
    let above = TempDir::new().unwrap();
    let folder = above.path().join("archive");
    let archive = Archive::open(&settings(format!("file://{}", folder.display()))).unwrap();
    std::fs::remove_dir(&folder).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    let name = pod("job", "job-0-abcde");
    let mut writer = archive.write_log(&name, "main");
    writer.write(Bytes::from_static(b"line\n")).await.unwrap();
    writer.finish().await.unwrap_err();
    archive.put_pod(&name, b"{}".to_vec()).await.unwrap_err();
    std::fs::remove_file(&folder).unwrap();
    archive.put_pod(&name, b"{}".to_vec()).await.unwrap();
}

#[test]
fn names_from_outside_stay_inside() {
    let above = TempDir::new().unwrap();
    let folder = above.path().join("archive");
    let archive = Archive::open(&settings(format!("file://{}", folder.display()))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let name = PodName { namespace: "../..".into(), job: "..".into(), pod: "/etc".into() };
    runtime.block_on(archive.put_pod(&name, b"{}".to_vec())).unwrap();
    assert_eq!(std::fs::read_dir(above.path()).unwrap().count(), 1);
}

#[test]
fn urls_are_judged() {
    for url in ["", "logs", "ftp://host", "file://relative", "s3://", "s3:///prefix"] {
        let error = Archive::open(&settings(url.into())).unwrap_err();
        assert!(matches!(error, ArchiveError::Url { .. }), "{url}: {error:?}");
    }
}
