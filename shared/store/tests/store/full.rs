//! A Redis that can't take more, or can't write at all.

use longshore_job::Header;
use longshore_store::{
    Created, Kept, NewJob, NodeRecord, Progress, Renewed, Store, StoreError, Verdict, Written,
};

use crate::common::{LEASE_MS, OBJECT, World, create, exited};

async fn set(world: &mut World, name: &str, value: &str) {
    let mut cmd = redis::cmd("CONFIG");
    let _: String = world.redis(cmd.arg("SET").arg(name).arg(value)).await;
}

async fn try_to_create(store: &Store, name: &str) -> Result<Created, StoreError> {
    let (uid, header) = (format!("uid-{name}"), Header::default());
    let (namespace, object, lease_ms) = ("default", OBJECT, LEASE_MS);
    store.create(&NewJob { uid: &uid, namespace, name, object, header: &header, lease_ms }).await
}

#[tokio::test]
async fn at_its_limit_it_takes_nothing_new_and_ends_what_it_has() {
    let mut world = World::new().await;
    let (key, grant) = world.running(0, 1).await;
    let store = world.store.clone();
    set(&mut world, "maxmemory", "1").await;
    let keys = world.keys().await;

    let error = try_to_create(&store, "more").await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }) && error.is_transient(), "{error}");
    let output = store.append_output(&key, b"a line\n", 0, 1 << 20).await.unwrap_err();
    assert!(output.is_transient(), "{output}");
    assert_eq!(world.keys().await, keys, "a refused script has written");

    let kept = Kept { attempt: key.clone(), token: grant.token.clone() };
    let renewed = store.renew(key.job.shard, "w", "s", &[kept]).await.unwrap();
    let Renewed::Renewed(renewal) = renewed else { panic!("{renewed:?}") };
    assert!(matches!(renewal.verdicts[..], [Verdict::Go { .. }]), "{:?}", renewal.verdicts);
    let started = Progress::Started(1_764_025_200_123);
    assert_eq!(store.start(&key, &grant.token, &started).await.unwrap(), Written::Ok);
    let done = store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
    assert_eq!(done, Written::Ok);
    world
        .commit(|commit, uid| {
            commit.header(uid, &Header::default(), true).unwrap();
        })
        .await;
    let changes = store.read_out(world.shard(), std::time::Duration::ZERO, 100).await.unwrap();
    store.forward(world.shard(), &changes).await.unwrap();
    let node = NodeRecord { name: "w".into(), ..NodeRecord::default() };
    store.heartbeat(&node).await.unwrap();
    store.coordinator_beat("c", "127.0.0.1:1").await.unwrap();
    assert!(store.beat(world.shard(), world.epoch).await.unwrap());

    set(&mut world, "maxmemory", "0").await;
    create(&store, "more").await;
}

#[tokio::test]
async fn what_it_cannot_write_is_refused_as_a_whole() {
    let mut world = World::new().await;
    let (key, grant) = world.running(0, 1).await;
    let store = world.store.clone();
    let held = store.held(world.shard(), "s").await.unwrap();
    // More than any server of the tests has.
    set(&mut world, "min-replicas-to-write", "2").await;

    let error = store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }) && error.is_transient(), "{error}");
    assert_eq!(store.held(world.shard(), "s").await.unwrap(), held);

    set(&mut world, "min-replicas-to-write", "0").await;
    let done = store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
    assert_eq!(done, Written::Ok);
}
