//! The format that the cluster writes.

use longshore_store::{Store, StoreError, StoreSettings};
use longshore_support::format::Format;

use crate::common::{SHARDS, World};

async fn write(world: &mut World, format: u16) {
    let mut cmd = redis::cmd("HSET");
    let _: i64 = world.redis(cmd.arg("ls:cluster").arg("format").arg(format)).await;
}

#[tokio::test]
async fn it_rises_to_what_all_read_and_never_falls() {
    let mut world = World::new().await;
    let store = world.store.clone();
    assert_eq!(store.format(), Format::newest());
    write(&mut world, 0).await;
    assert!(matches!(store.follow_format().await, Err(StoreError::Format { .. })));

    store.coordinator_beat("c", "127.0.0.1:1").await.unwrap();
    let coordinators = store.coordinators().await.unwrap();
    assert_eq!(coordinators[0].format, Format::newest());
    write(&mut world, Format::newest().0).await;
    store.raise_format(&coordinators).await.unwrap();
    assert_eq!(store.follow_format().await.unwrap(), Format::newest());
}

#[tokio::test]
async fn a_newer_one_keeps_this_release_out() {
    let mut world = World::new().await;
    let newer = Format::newest().0 + 1;
    write(&mut world, newer).await;
    let error = world.store.follow_format().await.unwrap_err();
    assert!(!error.is_transient());
    let settings = StoreSettings::new(world.server.url()).with_shards(SHARDS);
    let error = Store::connect(&settings).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&format!("writes format {newer}, and this release reads up to")),
        "{text}"
    );
}
