//! What clients do to Jobs.

use longshore_job::Header;
use longshore_store::{
    Created, Deleted, JobRef, NewJob, ResourceVersion, Shard, Store, StoreError, StoreSettings,
    Update, Updated,
};

use crate::common::{LEASE_MS, OBJECT, SHARDS, World, connect, create};
use crate::server::Server;

fn update<'a>(request: &'a str, object: &'a str) -> Update<'a> {
    Update { request, rev: None, rv: None, object, suspended: false, lease_ms: LEASE_MS }
}

#[tokio::test]
async fn a_created_job_reads_back_as_given() {
    let world = World::new().await;
    let job = world.store.get_job("default", "pi").await.unwrap().unwrap();
    assert_eq!(job.job, world.job);
    assert_eq!(job.object, OBJECT);
    assert_eq!((job.rev, job.seq, job.lease_ms), (1, 1, LEASE_MS));
    assert!(job.dirty && !job.active && job.deleted.is_none());
    assert_eq!(job.header, Header::default());
    assert_eq!(world.store.get_job("default", "none").await.unwrap(), None);
}

#[tokio::test]
async fn a_name_belongs_to_one_job() {
    let mut world = World::new().await;
    assert_eq!(create(&world.store, "pi").await, world.job);
    let header = Header::default();
    let other = NewJob {
        uid: "other",
        namespace: "default",
        name: "pi",
        object: OBJECT,
        header: &header,
        lease_ms: LEASE_MS,
    };
    let exists = world.store.create(&other).await.unwrap();
    assert_eq!(exists, Created::Exists(world.job.clone()));
    assert_eq!(world.told().await, ["job"]);
    let other = NewJob { namespace: "elsewhere", ..other };
    assert!(matches!(world.store.create(&other).await.unwrap(), Created::Created(_)));
}

#[tokio::test]
async fn an_update_needs_the_revision_it_was_made_from() {
    let mut world = World::new().await;
    let store = world.store.clone();
    let first = Update { rev: Some(1), ..update("a", "{\"n\":1}") };
    assert_eq!(store.update(&world.job, &first).await.unwrap(), Updated::Updated { rev: 2 });
    // The same request again, though its revision has passed.
    assert_eq!(store.update(&world.job, &first).await.unwrap(), Updated::Updated { rev: 2 });
    let late = Update { rev: Some(1), ..update("b", "{\"n\":2}") };
    assert_eq!(store.update(&world.job, &late).await.unwrap(), Updated::Conflict);
    for request in ["c", "d", "e", "f"] {
        let any = update(request, "{\"n\":3}");
        assert!(matches!(store.update(&world.job, &any).await.unwrap(), Updated::Updated { .. }));
    }
    let repeat = update("c", "{\"n\":9}");
    assert_eq!(store.update(&world.job, &repeat).await.unwrap(), Updated::Updated { rev: 3 });
    let job = store.get_job_by_uid(&world.job).await.unwrap().unwrap();
    assert_eq!((job.rev, job.seq, job.object.as_str()), (6, 6, "{\"n\":3}"));
    assert_eq!(world.told().await, ["job"; 6]);
    let gone = store.update(&JobRef::new(Shard(0), "none"), &first).await.unwrap();
    assert_eq!(gone, Updated::Gone);
}

#[tokio::test]
async fn an_update_by_resource_version_needs_the_last_one_told() {
    let world = World::new().await;
    let (store, job) = (&world.store, &world.job);
    let at = |rv| Update { rv: Some(rv), ..update("by-rv", "{}") };
    // Not forwarded yet: no resourceVersion is current.
    assert_eq!(store.update(job, &at(ResourceVersion(0))).await.unwrap(), Updated::Conflict);
    forward_all(store, job.shard).await;
    let stored = store.get_job_by_uid(job).await.unwrap().unwrap();
    assert!(!stored.dirty);
    let old = ResourceVersion(stored.rv.0 - 1);
    assert_eq!(store.update(job, &at(old)).await.unwrap(), Updated::Conflict);
    assert_eq!(store.update(job, &at(stored.rv)).await.unwrap(), Updated::Updated { rev: 2 });
    let other = Update { request: "other", ..at(stored.rv) };
    assert_eq!(store.update(job, &other).await.unwrap(), Updated::Conflict);
}

async fn forward_all(store: &Store, shard: Shard) {
    let entries = store.read_out(shard, std::time::Duration::ZERO, 100).await.unwrap();
    assert!(!entries.is_empty());
    store.forward(shard, &entries).await.unwrap();
}

#[tokio::test]
async fn suspending_ends_claims_at_once_and_resuming_waits_for_the_owner() {
    let world = World::new().await;
    world.offer(0, 1).await;
    let active = async || world.store.get_job_by_uid(&world.job).await.unwrap().unwrap().active;
    assert!(active().await);
    let suspend = Update { suspended: true, ..update("a", "{}") };
    world.store.update(&world.job, &suspend).await.unwrap();
    assert!(!active().await);
    world.store.update(&world.job, &update("b", "{}")).await.unwrap();
    assert!(!active().await);
}

#[tokio::test]
async fn a_deletion_is_marked_once() {
    let mut world = World::new().await;
    world.offer(0, 1).await;
    let first = world.store.delete(&world.job).await.unwrap();
    let Deleted::Deleted { at } = first else { panic!("{first:?}") };
    assert!(at > 1_700_000_000_000);
    assert_eq!(world.store.delete(&world.job).await.unwrap(), first);
    let job = world.store.get_job_by_uid(&world.job).await.unwrap().unwrap();
    assert_eq!((job.deleted, job.rev, job.active), (Some(at), 2, false));
    assert_eq!(world.told().await, ["job"; 2]);
    let gone = world.store.delete(&JobRef::new(Shard(0), "none")).await.unwrap();
    assert_eq!(gone, Deleted::Gone);
}

#[tokio::test]
async fn jobs_are_listed_by_name_over_all_shards_and_read_in_pages() {
    let world = World::new().await;
    for n in (0..250).rev() {
        create(&world.store, &format!("job-{n:03}")).await;
    }
    let list = world.store.list_names(Some("default")).await.unwrap();
    assert_eq!(list.len(), 251);
    assert!(list.is_sorted());
    let shards: std::collections::BTreeSet<Shard> = list.iter().map(|row| row.2.shard).collect();
    assert_eq!(shards.len(), usize::from(SHARDS));
    let refs: Vec<JobRef> = list.iter().map(|row| row.2.clone()).collect();
    let jobs = world.store.load_jobs(&refs).await.unwrap();
    assert!(jobs.iter().map(|job| &job.name).eq(list.iter().map(|row| &row.1)));
    assert!(world.store.list_names(Some("other")).await.unwrap().is_empty());
    assert_eq!(world.store.list_names(None).await.unwrap().len(), 251);
}

#[tokio::test]
async fn the_number_of_shards_is_fixed() {
    let server = Server::start();
    let join = StoreSettings::new(server.url());
    assert!(matches!(Store::connect(&join).await, Err(StoreError::NoCluster { .. })));
    let founder = connect(&server.url()).await;
    let joined = Store::connect(&join).await.unwrap();
    assert_eq!(joined.shards(), SHARDS);
    assert_eq!(joined.cluster_id(), founder.cluster_id());
    assert!(!joined.cluster_id().is_empty());
    let other = Store::connect(&join.with_shards(SHARDS + 1)).await.unwrap_err();
    assert!(matches!(other, StoreError::Shards { stored: 4, configured: 5, .. }), "{other}");
}

#[tokio::test]
async fn an_unreachable_redis_is_named_without_its_password() {
    let mut settings = StoreSettings::new("redis://user:secret@127.0.0.1:1").with_shards(1);
    settings.patience = std::time::Duration::from_millis(200);
    let error = Store::connect(&settings).await.unwrap_err();
    assert!(error.is_transient());
    let text = format!("{error} {error:?} {settings:?}");
    assert!(text.contains("Redis at 127.0.0.1:1 did not answer within 0.2 s"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}
