//! Pods that clients delete or evict, and the bitmap of failed indexes.

use std::time::Duration;

use longshore_job::{Event, IndexSet, Outcome, Phase};
use longshore_store::{AttemptKey, PodDeleted, Reported, Stopped, StreamId, Written};

use crate::common::{World, exited, own};

async fn deletions(world: &World) -> Vec<Event> {
    let read = world.store.read_in(world.shard(), StreamId::START, Duration::ZERO, 100).await;
    let events = read.unwrap().into_iter().filter_map(|entry| match entry.what {
        Some(Reported::Attempt(event @ Event::PodDeleted { .. })) => Some(event),
        _ => None,
    });
    events.collect()
}

#[tokio::test]
async fn a_deletion_marks_the_record_and_is_told_to_the_owner() {
    let world = World::new().await;
    let (key, _) = world.running(3, 1).await;
    let PodDeleted::Marked { at } = world.store.delete_pod(&key, 30, false).await.unwrap() else {
        panic!("it runs");
    };
    // Again, sooner, and by an eviction: the first one's time and kind stay.
    let again = world.store.delete_pod(&key, 5, true).await.unwrap();
    assert_eq!(again, PodDeleted::Marked { at });
    let live = world.live(3).await.unwrap();
    assert_eq!((live.attempt.deleted, live.attempt.evicted), (Some(at), false));
    let (index, attempt, evicted) = (3, 1, false);
    let told = |grace_seconds| Event::PodDeleted { index, attempt, at, grace_seconds, evicted };
    assert_eq!(deletions(&world).await, [told(30), told(5)]);
}

#[tokio::test]
async fn the_mark_outlives_commits_and_ends_in_the_history() {
    let world = World::new().await;
    let (key, grant) = world.running(0, 1).await;
    let before = world.live(0).await.unwrap();
    world.store.delete_pod(&key, 1, true).await.unwrap();
    // What the owner worked out before it read of the deletion.
    world
        .commit(|commit, uid| {
            commit.live(uid, 0, Some(&before)).unwrap();
        })
        .await;
    assert!(world.live(0).await.unwrap().attempt.evicted);
    let stopped = Outcome::Stopped { code: Some(143) };
    let store = &world.store;
    let written = store.finish(&key, &grant.token, &stopped, None, None, &[]).await.unwrap();
    assert_eq!(written, Written::Ok);
    let past = store.history_one(&key).await.unwrap().unwrap();
    assert!(past.evicted && past.deleted.is_some(), "{past:?}");
    assert_eq!(store.delete_pod(&key, 1, false).await.unwrap(), PodDeleted::Ended);
}

#[tokio::test]
async fn a_pod_that_has_ended_is_marked_in_the_history_alone() {
    let mut world = World::new().await;
    let store = world.store.clone();
    let (key, grant) = world.running(0, 1).await;
    store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
    let told = world.told().await;
    for _ in 0..2 {
        assert_eq!(store.delete_pod(&key, 1, true).await.unwrap(), PodDeleted::Ended);
    }
    let past = store.history_one(&key).await.unwrap().unwrap();
    assert!(past.deleted.is_some() && !past.evicted, "{past:?}");
    assert_eq!(world.told().await, told, "its owner has nothing to do");
}

#[tokio::test]
async fn an_offer_is_deleted_before_anybody_claims_it() {
    let world = World::new().await;
    let key = world.offer(0, 1).await;
    assert!(matches!(world.store.delete_pod(&key, 9, false).await, Ok(PodDeleted::Marked { .. })));
    let stopped = world.store.stop(world.epoch, &key, 9).await.unwrap();
    assert_eq!(stopped, Stopped::Withdrawn);
    let live = world.live(0).await.unwrap();
    assert_eq!(live.phase, Phase::Finished);
    assert!(live.attempt.deleted.is_some());
}

#[tokio::test]
async fn what_has_ended_or_is_ending_for_another_reason_is_left_alone() {
    let world = World::new().await;
    let store = &world.store;
    let (key, grant) = world.running(0, 1).await;
    store.stop(world.epoch, &key, 30).await.unwrap();
    assert!(matches!(store.delete_pod(&key, 1, false).await, Ok(PodDeleted::Marked { .. })));
    assert_eq!(world.live(0).await.unwrap().attempt.deleted, None, "its owner's reason counts");
    store.finish(&key, &grant.token, &exited(1), None, None, &[]).await.unwrap();
    assert_eq!(store.delete_pod(&key, 1, false).await.unwrap(), PodDeleted::Ended);
    for (index, attempt) in [(0, 2), (7, 1)] {
        let other = AttemptKey { index, attempt, ..key.clone() };
        assert_eq!(store.delete_pod(&other, 1, false).await.unwrap(), PodDeleted::None);
    }
    assert_eq!(deletions(&world).await, []);
}

#[tokio::test]
async fn indexes_that_a_job_has_no_more_are_forgotten() {
    let mut world = World::new().await;
    world
        .commit(|commit, uid| {
            for index in [0, 7, 8, 13, 300] {
                commit.completed(uid, index);
            }
            commit.failed(uid, 5).failed(uid, 12);
        })
        .await;
    let store = world.store.clone();
    for (from, completed, failed) in [
        (400, vec![0, 7, 8, 13, 300], vec![5, 12]),
        (13, vec![0, 7, 8], vec![5, 12]),
        (8, vec![0, 7], vec![5]),
        (3, vec![0], vec![]),
        (0, vec![], vec![]),
    ] {
        world
            .commit(|commit, uid| {
                commit.forget(uid, from);
            })
            .await;
        let set = |indexes: Vec<u32>| indexes.into_iter().collect::<IndexSet>();
        assert_eq!(store.completed(&world.job).await.unwrap(), set(completed), "{from}");
        assert_eq!(store.failed(&world.job).await.unwrap(), set(failed), "{from}");
    }

    // What follows in the same commit stays, is loaded, and goes with the Job.
    world
        .commit(|commit, uid| {
            commit.forget(uid, 0).completed(uid, 1).failed(uid, 2);
        })
        .await;
    let loaded = store.load_job(&world.job).await.unwrap().unwrap();
    assert!(loaded.completed.contains(1) && loaded.failed.contains(2));
    let epoch = own(&store, world.shard()).await;
    assert!(store.purge(epoch, &world.job).await.unwrap());
    let left: Vec<String> = world.keys().await;
    assert!(left.iter().all(|key| !key.contains(&world.job.uid)), "{left:?}");
}
