//! Workers that are lost in each of the ways there are, at once: what they ran ends at its deadline,
//! whatever image it is of, and only then runs elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_tests::history::{Line, SAY, read, saying};
use longshore_tests::{
    Background, Cluster, Engine, Gate, Images, Job, Options, Traffic, run, secs, until,
};
use rustix::process::Signal;
use serde_json::json;
use tokio::process::Command;

use super::steady::is_disrupted;
use super::worker::{extra_worker_with, node_until, state_folder};

const LEASE: [(&str, &str); 2] = [("LEASE__LENGTH", "6s"), ("LEASE__MARGIN", "1s")];

/// How much later than its deadline a container may be dead: less than the margin.
const LATE: Duration = Duration::from_millis(500);

/// One worker is killed, one stopped, one hangs but for the thread that renews its leases, one is cut off from
/// Redis, one killed together with its Docker daemon. Each runs another kind of image.
pub(crate) async fn met() -> Result<()> {
    let world = tempfile::tempdir_in("/tmp")?;
    // A container with a user of its own writes there too.
    fs::set_permissions(world.path(), fs::Permissions::from_mode(0o777))?;
    let file = world.path().join("lines");
    fs::write(&file, "")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666))?;
    let lines = || read(&fs::read_to_string(&file)?);

    let engine = Engine::start("ls-tests-4").await?;
    let host = engine.host();
    let images = Images::make(None).await?;
    let _there = Images::make(Some(&host)).await?;
    let options =
        LEASE.into_iter().fold(Options::workers(0, 1), |o, (key, value)| o.set(key, value));
    let cluster = Cluster::start(options).await?;
    let redis = cluster.describe()?.redis_url;
    let address = redis.split('/').nth(2).context("redis://ADDRESS/0")?;
    let gate = Gate::start(address).await?;
    let behind = redis.replace(address, &gate.address());
    let start = |name: &str, redis: &str, docker: Option<&str>, slots: u32| {
        worker(&cluster, world.path(), name, redis, docker, slots)
    };
    let killed = start("killed", &redis, None, 1)?;
    let stopped = start("stopped", &redis, None, 1)?;
    let _cut = start("cut", &behind, None, 1)?;
    let daemonless = start("daemonless", &redis, Some(&host), 1)?;
    let hung = start("hung", &redis, None, 1)?;
    const LOST: [&str; 5] = ["killed", "stopped", "cut", "daemonless", "hung"];
    for name in LOST {
        node_until(&cluster, name, "Ready", secs(30)).await?;
    }

    let jobs = jobs(&images);
    for (name, job) in &jobs {
        cluster.api().create(&saying(job.clone().indexed(1, 1), name, world.path())).await?;
    }
    until("all have spoken", secs(60), async || {
        let lines = lines()?;
        let silent = LOST.iter().filter(|node| !lines.iter().any(|line| line.node == **node));
        let silent: Vec<_> = silent.collect();
        Ok(if silent.is_empty() { Ok(()) } else { Err(format!("{silent:?}")) })
    })
    .await?;

    killed.signal(Signal::KILL)?;
    stopped.signal(Signal::STOP)?;
    gate.set(Traffic::Cut);
    let _held = hold(&hung).await?;
    engine.kill()?;
    daemonless.signal(Signal::KILL)?;
    for node in LOST {
        let folder = container_folder(&cluster, node)?;
        until(&format!("the container of {node} ends at its deadline"), secs(20), async || {
            let record = fs::read_to_string(folder.join("exit"))?;
            Ok(if record == "deadline\n" { Ok(()) } else { Err(record) })
        })
        .await?;
    }
    let _spare = start("spare", &redis, None, 5)?;
    until("all have spoken again", secs(60), async || {
        let lines = lines()?;
        let again = lines.iter().filter(|line| line.node == "spare");
        let silent = jobs.iter().filter(|(name, _)| !again.clone().any(|line| line.job == *name));
        let silent: Vec<_> = silent.map(|(name, _)| name).collect();
        Ok(if silent.is_empty() { Ok(()) } else { Err(format!("{silent:?}")) })
    })
    .await?;
    fs::write(world.path().join("end"), "")?;
    for (name, _) in &jobs {
        let job = cluster.api().finished(name, "Complete", secs(60)).await?;
        ensure!(job["status"]["failed"].as_i64().unwrap_or(0) == 0, "{}", job["status"]);
        let pods = cluster.api().pods(name).await?;
        let disrupted = pods.iter().filter(|pod| is_disrupted(pod)).count();
        ensure!((pods.len(), disrupted) == (2, 1), "{name}: {pods:?}");
    }

    let lines = lines()?;
    // Their workers never come back, and another sweeps them only later.
    let pods: BTreeSet<&str> = lines.iter().map(|line| line.pod.as_str()).collect();
    let mut remove = Command::new("docker");
    remove.args(["rm", "--force"]).args(pods.iter().map(|pod| format!("{pod}_main")));
    // Some are gone already, and some are in an engine of their own.
    let _ = run(remove).await?;
    for node in LOST {
        let deadline = fs::read_to_string(container_folder(&cluster, node)?.join("deadline"))?;
        let deadline = Duration::from_nanos(deadline.trim().parse()?);
        let last = lines.iter().rfind(|line| line.node == node).context("it spoke")?;
        println!("{node} with {}: {:?} of {deadline:?}", last.job, last.at);
        ensure!(last.at <= deadline + LATE, "{last:?} after {deadline:?}");
        ensure!(last.at + LATE >= deadline, "{last:?} long before {deadline:?}");
        let at = |wanted: &dyn Fn(&Line) -> bool| lines.iter().position(wanted);
        let replaced = at(&|line| line.job == last.job && line.node == "spare");
        ensure!(at(&|line| line == last) < replaced, "{last:?} after its replacement began");
    }
    Ok(())
}

/// A Job of each kind of image. All say that they live until there is a file `/world/end`.
fn jobs(images: &Images) -> [(&'static str, Job); 5] {
    // A read that nobody answers is a pause without a process.
    let script = format!(
        "{SAY} mkfifo /dev/shm/f; exec 3<>/dev/shm/f
        until [ -e /world/end ]; do read -t 0.05 none <&3; say B; done; say E 0"
    );
    let awk = r#"BEGIN {
        file = "/world/lines"
        while ((getline none < "/world/end") < 0) {
            for (i = 0; i < 20000; i++);
            getline up < "/proc/uptime"; close("/proc/uptime"); split(up, t, " ")
            print "B", ENVIRON["JOB"], 0, ENVIRON["POD"], ENVIRON["NODE"], \
                ENVIRON["LONGSHORE_FENCING_TOKEN"], ENVIRON["POD"], t[1] >> file
            close(file)
        }
    }"#;
    let of = |name, image: &str| Job::new(name, &script).container("image", json!(image));
    let read_only = of("read-only", "busybox:1.36")
        .container("securityContext", json!({"readOnlyRootFilesystem": true}));
    let entrypoint = of("entrypoint", &images.entrypoint)
        .container("command", json!(null))
        .container("args", json!(["sh", "-c", script]));
    let bare = of("bare", &images.bare)
        .container("command", json!(["/awk", awk]))
        .container("resources", json!({"limits": {"cpu": "100m"}}));
    [
        ("user", of("user", &images.user)),
        ("read-only", read_only),
        ("entrypoint", entrypoint),
        ("bare", bare),
        ("plain", of("plain", "busybox:1.36")),
    ]
}

fn worker(
    cluster: &Cluster,
    world: &Path,
    name: &str,
    redis: &str,
    docker: Option<&str>,
    slots: u32,
) -> Result<Background> {
    extra_worker_with(cluster, name, |command| {
        command
            .args(["--slots", &slots.to_string()])
            .args(docker.iter().flat_map(|host| ["--docker-host", *host]))
            .env("LONGSHORE__REDIS__URL", redis)
            .env("LONGSHORE__WORKER__DRAIN_TIMEOUT", "1s")
            .env("LONGSHORE__WORKER__HOST_PATHS", world)
            .envs(LEASE.map(|(key, value)| (format!("LONGSHORE__{key}"), value)));
    })
}

/// Holds all threads of a worker but its lease keeper's, until this is dropped.
async fn hold(worker: &Background) -> Result<Background> {
    const HOLD: &str = r#"
import ctypes, os, signal, sys
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
SEIZE, INTERRUPT = 0x4206, 0x4207
tasks = f'/proc/{sys.argv[1]}/task'
for task in os.listdir(tasks):
    if open(f'{tasks}/{task}/comm').read() != 'lease\n':
        for request in (SEIZE, INTERRUPT):
            if ptrace(request, int(task), None, None) != 0:
                sys.exit(os.strerror(ctypes.get_errno()))
print('held', flush=True)
signal.pause()
"#;
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", HOLD, &worker.pid()?.to_string()]);
    let mut held = Background::start(python)?;
    held.prints("that it holds", secs(10), |printed| printed == "held\n").await?;
    Ok(held)
}

/// What a worker's only container and its launcher tell each other.
fn container_folder(cluster: &Cluster, worker: &str) -> Result<PathBuf> {
    let mut attempts = fs::read_dir(state_folder(cluster, worker).join("attempts"))?;
    Ok(attempts.next().context("an attempt")??.path().join("main"))
}
