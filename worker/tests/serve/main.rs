//! The program `longshore-worker` with a real Redis, RabbitMQ and Docker engine; the test is the
//! coordinator.

mod coordinator;
mod servers;
mod worker;

use longshore_job::Outcome;
use rustix::process::Signal;
use serde_json::json;

use coordinator::Coordinator;
use servers::{RabbitMq, Redis, docker, until};
use worker::Worker;

struct Cluster {
    coordinator: Coordinator,
    rabbit: RabbitMq,
    redis: Redis,
}

impl Cluster {
    async fn start() -> Self {
        let (rabbit, redis) = (RabbitMq::start().await, Redis::start().await);
        let coordinator = Coordinator::start(&redis.url(), &rabbit.url()).await;
        Self { coordinator, rabbit, redis }
    }

    fn worker(&self, name: &str) -> Worker {
        Worker::new(name, &self.redis.url(), &self.rabbit.url())
    }

    /// The containers of this cluster, `name state` each.
    fn containers(&self) -> Vec<String> {
        let label = format!("label=longshore.dev/cluster={}", self.coordinator.cluster());
        let format = "{{.Names}} {{.State}}";
        let list = docker(&["ps", "--all", "--filter", &label, "--format", format]);
        list.lines().map(str::to_owned).collect()
    }

    async fn nothing_is_left(&self) {
        until("no container is left", || self.containers().is_empty()).await;
    }
}

fn shell(script: &str) -> serde_json::Value {
    json!({ "containers": [{
        "name": "main", "image": "busybox:1.36", "command": ["sh", "-c", script]
    }]})
}

fn exited(code: i32) -> Outcome {
    let reason = if code == 0 { "Completed" } else { "Error" };
    Outcome::Exited { code, reason: reason.into(), message: String::new() }
}

/// One cluster for all: RabbitMQ takes long to start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_serves_its_tickets() {
    let cluster = Cluster::start().await;
    runs_tickets_and_keeps_their_output(&cluster).await;
    keeps_small_in_a_flood(&cluster).await;
    restarts_in_place_once_granted(&cluster).await;
    stops_what_is_marked(&cluster).await;
    takes_up_its_containers_after_a_kill(&cluster).await;
    hands_back_what_it_drains(&cluster).await;
    ends_while_redis_is_away(&cluster).await;
    leaves_no_output_of_a_job_that_is_gone(&cluster).await;
    sweeps_what_a_dead_worker_left(&cluster).await;
}

async fn runs_tickets_and_keeps_their_output(cluster: &Cluster) {
    let mut worker = cluster.worker("worker-1");
    worker.start();
    let job = cluster
        .coordinator
        .create("echo", shell("echo hello $JOB_COMPLETION_INDEX; exit $JOB_COMPLETION_INDEX"));
    let job = job.await;
    for index in 0..4 {
        job.offer(index).await;
    }
    for index in 0..4 {
        assert_eq!(job.outcome(index).await, exited(index as i32));
        let output = job.output(index).await;
        assert!(output.ends_with(&format!(" o hello {index}\n")), "{output:?}");
    }
    // A ticket that comes again is dropped.
    job.publish(0).await;
    cluster.nothing_is_left().await;
    worker.terminate().await;
}

/// A container that prints 200 MB neither stalls nor makes the worker large; its tail is kept.
async fn keeps_small_in_a_flood(cluster: &Cluster) {
    let mut worker = cluster.worker("worker-1");
    worker.start();
    let script =
        "yes 0123456789012345678901234567890123456789 | head -c 200000000; echo; echo last";
    let job = cluster.coordinator.create("flood", shell(script)).await;
    job.offer(0).await;
    assert_eq!(job.outcome(0).await, exited(0));
    let output = job.output(0).await;
    let tail = output.len().saturating_sub(200);
    assert!(output.ends_with(" o last\n"), "the output ends with {:?}", &output[tail..]);
    assert!(output.len() <= 4 << 20, "{} bytes are kept", output.len());
    assert!(job.dropped_output(0).await > 150_000_000);
    let peak = worker.peak_memory();
    assert!(peak < 100 << 20, "the worker took {peak} bytes");
    worker.terminate().await;
}

async fn restarts_in_place_once_granted(cluster: &Cluster) {
    let mut worker = cluster.worker("worker-1");
    worker.start();
    let mut pod = shell("cat /data/seen && exit 0; echo again > /data/seen; exit 9");
    pod["restartPolicy"] = json!("OnFailure");
    pod["containers"][0]["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    pod["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
    let job = cluster.coordinator.create("again", pod).await;
    job.offer(0).await;
    let failed = job.live_until(0, "it has failed", |live| live.attempt.restarts == 1).await;
    assert_eq!(failed.attempt.outcome, Some(exited(9)));
    job.grant(0, 1).await;
    assert_eq!(job.outcome(0).await, exited(0));
    assert!(job.output(0).await.contains(" o again\n"));
    cluster.nothing_is_left().await;
    worker.terminate().await;
}

async fn stops_what_is_marked(cluster: &Cluster) {
    let mut worker = cluster.worker("worker-1");
    worker.start();
    let job = cluster
        .coordinator
        .create("stop", shell("trap 'exit 3' TERM; while :; do sleep 0.1; done"));
    let job = job.await;
    job.offer(0).await;
    job.live_until(0, "it runs", |live| live.attempt.started.is_some()).await;
    job.stop(0, 20).await;
    assert_eq!(job.outcome(0).await, Outcome::Stopped { code: Some(3) });
    cluster.nothing_is_left().await;
    worker.terminate().await;
}

async fn takes_up_its_containers_after_a_kill(cluster: &Cluster) {
    let mut worker = cluster.worker("worker-1");
    worker.start();
    let job = cluster
        .coordinator
        .create("adopt", shell("for i in 1 2 3 4 5 6; do echo line $i; sleep 1; done; exit 4"));
    let job = job.await;
    job.offer(0).await;
    job.live_until(0, "it runs", |live| live.attempt.started.is_some()).await;
    let before = cluster.containers();
    worker.kill();
    worker.start();
    assert_eq!(job.outcome(0).await, exited(4));
    assert_eq!(before.len(), 1);
    let output = job.output(0).await;
    let lines: Vec<_> = output.lines().filter_map(|line| line.split_once(" o ")).collect();
    let texts: Vec<_> = lines.iter().map(|(_, text)| *text).collect();
    assert_eq!(texts, ["line 1", "line 2", "line 3", "line 4", "line 5", "line 6"]);
    cluster.nothing_is_left().await;
    worker.terminate().await;
}

async fn hands_back_what_it_drains(cluster: &Cluster) {
    let mut worker = cluster.worker("worker-1");
    worker.start();
    let job = cluster
        .coordinator
        .create("drain", shell("trap 'exit 0' TERM; while :; do sleep 0.1; done"));
    let job = job.await;
    job.offer(0).await;
    job.live_until(0, "it runs", |live| live.attempt.started.is_some()).await;
    worker.terminate().await;
    let outcome = job.outcome(0).await;
    assert!(
        matches!(&outcome, Outcome::Disrupted { reason, host_lost: false, .. } if reason == "Drained"),
        "{outcome:?}"
    );
    cluster.nothing_is_left().await;
}

/// A worker that can't report what it drained ends all the same, and reports it when it is back.
async fn ends_while_redis_is_away(cluster: &Cluster) {
    let mut worker = cluster.worker("worker-1");
    worker.start();
    let script = shell("trap 'exit 0' TERM; while :; do sleep 0.1; done");
    let job = cluster.coordinator.create("away", script).await;
    job.offer(0).await;
    job.live_until(0, "it runs", |live| live.attempt.started.is_some()).await;
    cluster.redis.signal(Signal::STOP);
    worker.end().await;
    cluster.redis.signal(Signal::CONT);
    worker.start();
    let outcome = job.outcome(0).await;
    assert!(
        matches!(&outcome, Outcome::Disrupted { reason, .. } if reason == "Drained"),
        "{outcome:?}"
    );
    cluster.nothing_is_left().await;
    worker.terminate().await;
}

/// A worker that was frozen writes the last of an output whose Job was removed meanwhile.
async fn leaves_no_output_of_a_job_that_is_gone(cluster: &Cluster) {
    let mut worker = cluster.worker("worker-1");
    worker.start();
    let job = cluster.coordinator.create("gone", shell("while :; do echo on; sleep 0.1; done"));
    let job = job.await;
    job.offer(0).await;
    job.live_until(0, "it runs", |live| live.attempt.started.is_some()).await;
    worker.signal(Signal::STOP);
    job.revoke(0).await;
    job.purge().await;
    worker.signal(Signal::CONT);
    cluster.nothing_is_left().await;
    job.no_output(0).await;
    worker.terminate().await;
}

async fn sweeps_what_a_dead_worker_left(cluster: &Cluster) {
    let mut dead = cluster.worker("worker-1");
    dead.start();
    let job = cluster.coordinator.create("dead", shell("sleep 600")).await;
    job.offer(0).await;
    job.live_until(0, "it runs", |live| live.attempt.started.is_some()).await;
    dead.kill();
    job.revoke(0).await;
    let mut other = cluster.worker("worker-2");
    other.start();
    cluster.nothing_is_left().await;
    other.terminate().await;
}
