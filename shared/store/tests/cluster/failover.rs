//! A node of the cluster is lost or frozen, and a slot moves from one to another.

use std::time::{Duration, Instant};

use longshore_job::Phase;
use longshore_store::{
    AttemptKey, Claimed, Committed, Created, Grant, Kept, NewJob, Owned, Renewed, Shard, Store,
    StoreError, StreamId, Verdict, Written,
};

use crate::common::{LEASE_MS, OBJECT, World, exited, own};

/// How soon calls of a shard must succeed again whose master is gone: a node counts as gone after 3 s, and
/// an election takes another or two.
const FAILOVER: Duration = Duration::from_secs(15);

/// How much longer than its patience a call may take, on a slow machine.
const SLACK: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_replica_takes_over_without_the_latest_writes() {
    let mut world = World::new().await;
    let (store, shard) = (world.store.clone(), world.shard());
    let (key, grant) = world.running(0, 1).await;
    let next = world.offer(1, 1).await;
    let here = master(&world, shard);
    let other = store.all_shards().find(|other| master(&world, *other) != here).unwrap();
    let others_epoch = own(&store, other).await;
    world.server.nodes.replicated().unwrap();

    // From here on the replica hears nothing.
    let replica = world.server.nodes.replica_of(here).unwrap();
    world.server.nodes.freeze(replica).unwrap();
    let _: u32 = world.server.nodes.ask(here, &["CLIENT", "KILL", "TYPE", "replica"]).unwrap();
    let forgotten = create_in(&store, shard).await;
    let Claimed::Granted(lost) = world.claim(&next, "w", "s").await else { panic!() };
    world.server.nodes.kill(here).unwrap();
    let since = Instant::now();
    world.server.nodes.thaw(replica).unwrap();

    let quick = store.with_patience(Duration::from_secs(1));
    assert!(quick.beat(other, others_epoch).await.unwrap(), "another master's shard");
    // A worker takes back what it runs, also what was forgotten.
    let verdicts = renew(&store, &[(&key, &grant), (&next, &lost)]).await;
    println!(
        "calls of the shard succeed again {:.1} s after the kill",
        since.elapsed().as_secs_f32()
    );
    assert!(since.elapsed() < FAILOVER);
    assert_eq!(master(&world, shard), replica);
    assert_eq!(verdicts, [Verdict::Go { granted: 0 }, Verdict::Go { granted: 0 }]);
    let live = world.live(1).await.unwrap();
    assert_eq!((live.phase, live.attempt.token), (Phase::Claimed, Some(lost.token.clone())));
    assert_eq!(store.get_job_by_uid(&forgotten).await.unwrap(), None);
    assert!(store.beat(other, others_epoch).await.unwrap(), "fenced by another master's failover");

    is_another_run(&mut world).await;
    for (key, grant) in [(&key, &grant), (&next, &lost)] {
        let done = store.finish(key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
        assert_eq!(done, Written::Ok);
    }
    let third = world.offer(2, 1).await;
    let Claimed::Granted(third) = world.claim(&third, "w", "s").await else { panic!() };
    let number = |grant: &Grant| grant.token.parse::<u64>().unwrap();
    assert!(number(&third) > number(&lost) && number(&third) > number(&grant));
}

#[tokio::test]
async fn a_frozen_master_fails_calls_in_time_until_it_is_replaced() {
    let mut world = World::new().await;
    let (store, shard, before) = (world.store.clone(), world.shard(), world.epoch);
    let (key, grant) = world.running(0, 1).await;
    world.server.nodes.replicated().unwrap();
    let frozen = master(&world, shard);
    world.server.nodes.freeze(frozen).unwrap();
    let since = Instant::now();

    let patience = Duration::from_secs(1);
    let error = store.with_patience(patience).beat(shard, before).await.unwrap_err();
    assert!(since.elapsed() < patience + SLACK, "{:?}", since.elapsed());
    assert!(matches!(error, StoreError::Unreachable { .. }) && error.is_transient(), "{error}");
    assert_eq!(renew(&store, &[(&key, &grant)]).await, [Verdict::Go { granted: 0 }]);
    println!("calls succeed again {:.1} s after the freeze", since.elapsed().as_secs_f32());
    assert!(since.elapsed() < FAILOVER);
    assert_ne!(master(&world, shard), frozen);

    is_another_run(&mut world).await;
    world.server.nodes.repair().unwrap();
    assert_ne!(master(&world, shard), frozen);
    assert!(!store.beat(shard, before).await.unwrap());
    assert!(store.beat(shard, world.epoch).await.unwrap());
    let done = store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
    assert_eq!(done, Written::Ok);
}

#[tokio::test]
async fn no_script_runs_while_a_shard_is_on_the_move() {
    let mut world = World::new().await;
    let (store, shard) = (world.store.clone(), world.shard());
    let (key, grant) = world.running(0, 1).await;
    let from = master(&world, shard);
    let to = world.server.nodes.masters().into_iter().find(|at| *at != from).unwrap();
    let mut slot = Slot::of(&world, from, to);
    slot.begin();

    // On neither node, and with neither all keys, some, or none on the new one.
    let impatient = store.with_patience(Duration::from_millis(300));
    for count in [0, 2, usize::MAX] {
        slot.move_keys(count);
        let before = slot.dump();
        let finish = impatient.finish(&key, &grant.token, &exited(0), None, None, &[]).await;
        let error = finish.unwrap_err();
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
        assert!(impatient.beat(shard, world.epoch).await.unwrap_err().is_transient());
        assert_eq!(slot.dump(), before, "a script has written");
    }

    let waiting = tokio::spawn({
        let (store, epoch) = (store.clone(), world.epoch);
        async move { store.beat(shard, epoch).await }
    });
    slot.end();
    assert!(!waiting.await.unwrap().unwrap(), "the new node is another run");
    assert_eq!(master(&world, shard), to);
    is_another_run(&mut world).await;
    let done = store.finish(&key, &grant.token, &exited(0), None, None, &[]).await.unwrap();
    assert_eq!(done, Written::Ok);
}

fn master(world: &World, shard: Shard) -> usize {
    world.server.nodes.master_of(&format!("ls:{{{shard}}}:meta")).unwrap()
}

/// A Job in a given shard.
async fn create_in(store: &Store, shard: Shard) -> longshore_store::JobRef {
    let names = (0..).map(|n| format!("job-{n}"));
    let name = &names.into_iter().find(|name| store.shard_of("default", name) == shard).unwrap();
    let header = longshore_job::Header::default();
    let (uid, namespace, object, lease_ms) = (name, "default", OBJECT, LEASE_MS);
    let new = NewJob { uid, namespace, name, object, header: &header, lease_ms };
    let Created::Created(job) = store.create(&new).await.unwrap() else { panic!("it exists") };
    job
}

/// Renews what worker `w` runs under session `s`.
async fn renew(store: &Store, runs: &[(&AttemptKey, &Grant)]) -> Vec<Verdict> {
    let kept: Vec<Kept> = runs
        .iter()
        .map(|(key, grant)| Kept { attempt: (*key).clone(), token: grant.token.clone() })
        .collect();
    match store.renew(kept[0].attempt.job.shard, "w", "s", &kept).await.unwrap() {
        Renewed::Renewed(renewal) => renewal.verdicts,
        other => panic!("{other:?}"),
    }
}

/// The owner is fenced, and nothing is claimed until the shard is taken and accepted again.
async fn is_another_run(world: &mut World) {
    let (store, shard) = (world.store.clone(), world.shard());
    assert!(!store.beat(shard, world.epoch).await.unwrap());
    let told = world
        .commit(|commit, uid| {
            commit.job_changed(uid);
        })
        .await;
    assert_eq!(told, Committed::Fenced);
    let seen = store.shard_metas().await.unwrap().remove(usize::from(shard.0));
    let owned = store.own(shard, "coordinator-1", &seen).await.unwrap();
    let Owned::Yes { epoch, accepted: false, .. } = owned else { panic!("{owned:?}") };
    world.epoch = epoch;
    let paused = world.offer(9, 1).await;
    assert_eq!(world.claim(&paused, "w", "s").await, Claimed::Paused);
    assert!(store.accept_run(shard, epoch, 0).await.unwrap());
    assert!(matches!(world.claim(&paused, "w", "s").await, Claimed::Granted(_)));
    let block = Duration::from_millis(10);
    assert!(!store.read_in(shard, StreamId::START, block, 100).await.unwrap().is_empty());
}

/// The slot of a shard, on its way from one master to another.
struct Slot<'a> {
    world: &'a World,
    number: String,
    from: usize,
    to: usize,
}

impl<'a> Slot<'a> {
    fn of(world: &'a World, from: usize, to: usize) -> Self {
        let key = format!("ls:{{{}}}:meta", world.shard());
        let number: u16 = world.server.nodes.ask(from, &["CLUSTER", "KEYSLOT", &key]).unwrap();
        Self { world, number: number.to_string(), from, to }
    }

    fn ask<T: redis::FromRedisValue>(&self, at: usize, cmd: &[&str]) -> T {
        self.world.server.nodes.ask(at, cmd).unwrap()
    }

    fn set(&self, at: usize, state: &[&str]) {
        let () = self.ask(at, &[&["CLUSTER", "SETSLOT", &self.number], state].concat());
    }

    fn begin(&mut self) {
        let id = |at| self.world.server.nodes.id(at).unwrap();
        self.set(self.to, &["IMPORTING", &id(self.from)]);
        self.set(self.from, &["MIGRATING", &id(self.to)]);
    }

    fn keys(&self, at: usize) -> Vec<String> {
        self.ask(at, &["CLUSTER", "GETKEYSINSLOT", &self.number, "1000"])
    }

    /// Moves so many more of its keys.
    fn move_keys(&mut self, count: usize) {
        let port = self.world.server.ports()[self.to].to_string();
        for key in self.keys(self.from).iter().take(count) {
            let () = self.ask(self.from, &["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        }
    }

    /// All that is in it, on both nodes.
    fn dump(&self) -> Vec<(usize, String, Vec<u8>)> {
        let both = [self.from, self.to].into_iter();
        let rows = both.flat_map(|at| {
            let read = move |key: String| {
                let mut connection = self.world.server.nodes.connect(at).unwrap();
                let _: () = redis::cmd("ASKING").query(&mut connection).unwrap();
                let value = redis::cmd("DUMP").arg(&key).query(&mut connection).unwrap();
                (at, key, value)
            };
            self.keys(at).into_iter().map(read)
        });
        rows.collect()
    }

    fn end(&mut self) {
        let id = self.world.server.nodes.id(self.to).unwrap();
        self.set(self.to, &["NODE", &id]);
        self.set(self.from, &["NODE", &id]);
    }
}
