//! The output of attempts.

use std::time::Duration;

use longshore_store::{OutputBatch, StreamId};

use crate::common::World;

fn text(batch: &OutputBatch) -> String {
    String::from_utf8(batch.chunks.concat()).unwrap()
}

#[tokio::test]
async fn output_is_read_back_in_order_and_to_its_end() {
    let world = World::new().await;
    let (store, key) = (&world.store, world.job.attempt(3, 1));
    let none = store.read_output(&key, StreamId::START, Duration::ZERO).await.unwrap();
    assert_eq!(none, OutputBatch::default());
    for n in 0..200 {
        store.append_output(&key, format!("{n}\n").as_bytes(), 0, 1 << 20).await.unwrap();
    }
    let mut whole = String::new();
    let mut next = StreamId::START;
    for _ in 0..4 {
        let batch = store.read_output(&key, next, Duration::ZERO).await.unwrap();
        assert!(!batch.ended && batch.notice.is_none());
        next = batch.next;
        whole += &text(&batch);
    }
    let expected: String = (0..200).map(|n| format!("{n}\n")).collect();
    assert_eq!(whole, expected);
    store.end_output(&key).await.unwrap();
    store.append_output(&key, b"late\n", 0, 1 << 20).await.unwrap();
    let batch = store.read_output(&key, next, Duration::ZERO).await.unwrap();
    assert!(batch.ended && batch.chunks.is_empty());
}

#[tokio::test]
async fn a_flood_is_bounded_and_the_newest_kept() {
    let mut world = World::new().await;
    let (store, key) = (world.store.clone(), world.job.attempt(3, 1));
    let mut sent = 0;
    for n in 0..100 {
        let chunk = format!("{n:03} {}\n", "x".repeat(n));
        sent += chunk.len() as u64;
        store.append_output(&key, chunk.as_bytes(), u64::from(n == 50) * 7, 1000).await.unwrap();
        assert!(store.output_info(&key).await.unwrap().bytes <= 1000);
    }
    let info = store.output_info(&key).await.unwrap();
    assert_eq!(info.bytes + info.dropped, sent + 7);
    let batch = store.read_output(&key, StreamId::START, Duration::ZERO).await.unwrap();
    assert_eq!(text(&batch).len() as u64, info.bytes);
    assert!(text(&batch).ends_with(&format!("099 {}\n", "x".repeat(99))));
    let notice = format!("[longshore: {} bytes of earlier output were dropped]", info.dropped);
    assert_eq!(batch.notice, Some(notice));
    // One chunk over the bound stays, as it is the newest.
    store.append_output(&key, &[b'y'; 3000], 0, 1000).await.unwrap();
    assert_eq!(store.output_info(&key).await.unwrap().bytes, 3000);
    store.delete_outputs(std::slice::from_ref(&key)).await.unwrap();
    assert!(world.keys().await.iter().all(|key| !key.starts_with("ls:output")));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_kept() {
    let world = World::new().await;
    let key = world.job.attempt(0, 1);
    let bytes: Vec<u8> = (0..=255).collect();
    world.store.append_output(&key, &bytes, 0, 1000).await.unwrap();
    let batch = world.store.read_output(&key, StreamId::START, Duration::ZERO).await.unwrap();
    assert_eq!(batch.chunks, [bytes]);
}

#[tokio::test]
async fn followers_wait_for_more_without_holding_up_anyone() {
    let world = World::new().await;
    let (store, key) = (world.store.clone(), world.job.attempt(0, 1));
    let block = Duration::from_secs(20);
    let followers: Vec<_> = (0..20)
        .map(|_| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                let mut next = StreamId::START;
                loop {
                    let batch = store.read_output(&key, next, block).await.unwrap();
                    next = batch.next;
                    seen.extend(batch.chunks.concat());
                    if batch.ended {
                        return String::from_utf8(seen).unwrap();
                    }
                }
            })
        })
        .collect();
    for line in ["a\n", "b\n", "c\n"] {
        store.append_output(&key, line.as_bytes(), 0, 1000).await.unwrap();
    }
    store.end_output(&key).await.unwrap();
    for follower in followers {
        let seen = tokio::time::timeout(block, follower).await.unwrap().unwrap();
        assert_eq!(seen, "a\nb\nc\n");
    }
}
