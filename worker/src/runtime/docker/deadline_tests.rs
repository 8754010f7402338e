//! Deadlines in real containers, which nobody renews, stops or removes: a command runs before its
//! deadline only, however many there are, whatever is under way at that moment and whoever is dead.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::CreateContainerOptionsBuilder;
use futures::{StreamExt, stream};
use longshore_support::clock::boottime_ns;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::bench::{BOUND, Bench, IMAGE, LONG_LEASE, exited, shell};
use super::config::{self, CLUSTER, Common, ImageConfig, Parts};
use super::env::Variable;
use super::private_engine::PrivateEngine;
use super::volumes::bind;
use crate::assignment::tests::assignment;
use crate::folder::{Folders, tests::folders};
use crate::own_folder::OwnFolder;
use crate::runtime::Network;

const MACHINES: &str = "unix:///var/run/docker.sock";

/// How much later than its deadline a command may be dead on a busy machine: far less than the margin
/// between the deadline and the end of the lease.
const LATE: Duration = Duration::from_millis(500);

/// Says every 50 ms, without a process for it, that it lives. The clock is the deadline's.
const BEATING: &str = "mkfifo /tmp/f; exec 3<>/tmp/f; while :; do read up idle </proc/uptime; \
                       echo $ID $up >>/world/lines; read -t 0.05 none <&3; done";

/// The same without a pause.
const RACING: &str = "while :; do read up idle </proc/uptime; echo $ID $up >>/world/lines; done";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_at_once_end_at_one_deadline() {
    let world = World::new(MACHINES);
    let ids: Vec<String> = (0..64).map(|n| format!("n{n}")).collect();
    let started = stream::iter(&ids).map(async |id| {
        let own = world.create(id, BEATING, far()).await;
        world.start(id).await;
        own
    });
    let own: Vec<OwnFolder> = started.buffered(8).collect().await;
    world.until("all have spoken", || world.last_words().len() == ids.len()).await;

    let deadline = boottime_ns() + 1_500_000_000;
    own.iter().for_each(|own| own.write_deadline(deadline).expect("written"));
    for own in &own {
        world.ended(own).await;
        assert_eq!(own.exit_record().as_deref(), Some("deadline"));
    }
    let words = world.last_words();
    let (first, last) = (words.values().min(), words.values().max());
    let (first, last) = (*first.expect("words"), *last.expect("words"));
    println!("64 last words: {} to {} ms", millis(first, deadline), millis(last, deadline));
    assert!(last <= deadline + nanos(LATE), "{} ms late", millis(last, deadline));
    // They lived up to it.
    assert!(first + nanos(LATE) >= deadline, "{} ms early", -millis(first, deadline));
}

/// The deadline passes before, while and after the container is started.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_under_way_at_the_deadline_runs_nothing_beyond_it() {
    const TRIES: u32 = 24;
    let world = World::new(MACHINES);
    let own = world.create("first", RACING, far()).await;
    let begun = Instant::now();
    world.start("first").await;
    world.until("it has spoken", || !world.last_words().is_empty()).await;
    let start = begun.elapsed();
    own.end_now().expect("written");

    let tries = stream::iter(0..TRIES).map(async |n| {
        let id = format!("n{n}");
        let own = world.create(&id, RACING, far()).await;
        // Most of them around the moment of the start; the last is long after it.
        let after = start * 8 * n * n / ((TRIES - 1) * (TRIES - 1));
        let deadline = boottime_ns() + nanos(after);
        own.write_deadline(deadline).expect("written");
        world.start(&id).await;
        world.ended(&own).await;
        (id, deadline, own.exit_record().expect("a record"))
    });
    let ended: Vec<(String, u64, String)> = tries.buffer_unordered(3).collect().await;

    let words = world.last_words();
    let (mut refused, mut latest) = (0, i64::MIN);
    for (id, deadline, record) in &ended {
        match (record.as_str(), words.get(id)) {
            ("refused deadline passed", None) => refused += 1,
            ("deadline", last) => {
                latest = latest.max(last.map_or(i64::MIN, |last| millis(*last, *deadline)));
            }
            other => panic!("{id}: {other:?}"),
        }
    }
    println!("a start took {start:?}; {refused} of {TRIES} refused; last word at {latest} ms");
    assert!(refused > 0 && refused < TRIES, "{refused} of {TRIES} refused");
    assert!(latest <= LATE.as_millis() as i64, "{latest} ms late");
}

/// The daemon is killed while two containers run: one ends by itself, and its exit code counts by its
/// launcher's record; the other ends at its deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_daemon_neither_hides_an_exit_nor_holds_up_an_end() {
    let engine = PrivateEngine::start();
    let world = World::new(&engine.host);
    let own = world.create("doomed", BEATING, far()).await;
    world.start("doomed").await;
    let mut container = shell("while [ ! -e /data/go ]; do usleep 10000; done; exit 7");
    container["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    let pod = json!({
        "containers": [container], "volumes": [{ "name": "data", "emptyDir": {} }]
    });
    let bench = Bench::on_engine(&engine.host, pod, LONG_LEASE).await;
    let killed = async {
        bench.running().await;
        world.until("it has spoken", || !world.last_words().is_empty()).await;
        engine.kill().await;
        let go = bench.folder.volume("data", false).expect("there").join("go");
        fs::write(go, "").expect("written");
        let deadline = boottime_ns() + 1_500_000_000;
        own.write_deadline(deadline).expect("written");
        deadline
    };
    let (deadline, (ended, _)) = tokio::join!(killed, bench.run());
    assert_eq!(ended, exited(7, "Error"));

    world.ended(&own).await;
    assert_eq!(own.exit_record().as_deref(), Some("deadline"));
    let last = world.last_words()["doomed"];
    println!("last word at {} ms", millis(last, deadline));
    assert!(last <= deadline + nanos(LATE), "{} ms late", millis(last, deadline));
    assert!(last + nanos(LATE) >= deadline, "{} ms early", -millis(last, deadline));
}

/// Containers as the worker makes them, with a file in which they say that they live.
struct World {
    docker: Docker,
    host: String,
    common: Common,
    folders: Folders,
    _state: TempDir,
    lines: TempDir,
}

impl World {
    fn new(host: &str) -> Self {
        let (state, folders) = folders();
        let cluster = Uuid::new_v4().to_string();
        Self {
            docker: Docker::connect_with_host(host).expect("a Docker engine"),
            host: host.to_owned(),
            common: Common { cluster, worker: "worker-1".into(), cpus: 1 },
            folders,
            _state: state,
            lines: tempfile::tempdir().expect("a folder"),
        }
    }

    async fn create(&self, id: &str, script: &str, deadline: u64) -> OwnFolder {
        let own = self.folders.attempt(id).container("main");
        own.create(deadline).expect("created");
        let assignment = assignment(id, json!({ "containers": [shell(script)] }));
        let container = config::container(Parts {
            common: &self.common,
            assignment: &assignment,
            container: &assignment.spec.containers[0],
            network: &Network::Own,
            folder: &own,
            image: &ImageConfig::default(),
            variables: &[Variable { name: "ID".into(), value: id.into(), secret: false }],
            secrets: None,
            mounts: vec![bind(self.lines.path(), "/world", false)],
        });
        let options = CreateContainerOptionsBuilder::default().name(&self.name(id)).build();
        let created = self.docker.create_container(Some(options), container.expect("a container"));
        created.await.unwrap_or_else(|error| panic!("{IMAGE}: {error}"));
        own
    }

    async fn start(&self, id: &str) {
        self.docker.start_container(&self.name(id), None).await.expect("started");
    }

    fn name(&self, id: &str) -> String {
        format!("{}-{id}", self.common.cluster)
    }

    /// When each was alive last, in nanoseconds of the deadline's clock.
    fn last_words(&self) -> BTreeMap<String, u64> {
        let text = fs::read_to_string(self.lines.path().join("lines")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let words = whole.lines().map(|line| {
            let (id, up) = line.split_once(' ').expect("an id and a time");
            let up: f64 = up.parse().expect("seconds");
            (id.to_owned(), nanos(Duration::from_secs_f64(up)))
        });
        // The last of each stays.
        words.collect()
    }

    async fn ended(&self, own: &OwnFolder) {
        self.until("its launcher records an end", || own.exit_record().is_some()).await;
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let wait = async {
            while !holds() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(BOUND, wait).await.unwrap_or_else(|_| panic!("{what}"));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let remove = "docker ps --all --quiet --filter label=$0 | xargs -r docker rm --force";
        let label = format!("{CLUSTER}={}", self.common.cluster);
        // Nobody answers if its daemon is dead.
        let _ =
            Command::new("sh").args(["-c", remove, &label]).env("DOCKER_HOST", &self.host).output();
    }
}

/// A deadline that no test waits for.
fn far() -> u64 {
    boottime_ns() + nanos(LONG_LEASE)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("a short time")
}

/// How much later than a deadline something was.
fn millis(at: u64, deadline: u64) -> i64 {
    (at.cast_signed() - deadline.cast_signed()) / 1_000_000
}
