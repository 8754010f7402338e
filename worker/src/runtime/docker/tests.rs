//! The runtime against this machine's Docker engine, with the image `busybox:1.36`.

use std::time::Duration;

use longshore_job::Outcome;
use longshore_support::clock::log_stamp;
use serde_json::json;
use tokio::time::timeout;

use super::bench::*;
use super::private_engine::PrivateEngine;
use crate::control::Order;
use crate::output::{Recent, tests::captured};
use crate::runtime::{Ended, Runtime, Stage};

#[tokio::test]
async fn a_container_runs_with_its_environment_and_its_exit_code_counts() {
    let mut container =
        shell("echo $JOB_COMPLETION_INDEX $(hostname) $A; pwd; echo bad >&2; printf tail; exit 3");
    container["env"] = json!([{ "name": "A", "value": "[$(LONGSHORE_FENCING_TOKEN)]" }]);
    container["workingDir"] = json!("/tmp");
    let bench = Bench::new(container).await;
    let (ended, output) = bench.run().await;
    assert_eq!(ended, exited(3, "Error"));
    let token = &bench.assignment.token;
    for line in [format!("4 pi-4 [{token}]"), "/tmp".into(), "bad".into(), "tail".into()] {
        assert!(output.contains(&line), "{line:?} is not in {output:?}");
    }
    let found = bench.runtime.containers().await.expect("listed");
    assert_eq!((found[0].key.clone(), &found[0].token), (bench.assignment.key.clone(), token));
    bench.clean_up().await;
}

#[tokio::test]
async fn what_cannot_start_is_told_apart() {
    let bench = Bench::new(json!({ "name": "main", "image": IMAGE, "command": ["nowhere"] })).await;
    let (ended, _) = bench.run().await;
    let (reason, code, message) = start_error(&ended);
    assert_eq!((reason, code), ("StartError", 127));
    assert!(message.contains("nowhere"), "{message}");
    bench.clean_up().await;

    let bench = Bench::new(json!({ "name": "main", "image": IMAGE, "command": ["/etc"] })).await;
    assert_eq!(start_error(&bench.run().await.0).1, 126);
    bench.clean_up().await;

    let missing = json!({ "name": "main", "image": "no-such-image:1", "imagePullPolicy": "Never" });
    let bench = Bench::new(missing).await;
    assert_eq!(start_error(&bench.run().await.0).0, "ErrImageNeverPull");
    bench.clean_up().await;

    let bench = Bench::new(json!({ "name": "main", "image": "UPPER CASE" })).await;
    assert_eq!(start_error(&bench.run().await.0).0, "InvalidImageName");
    bench.clean_up().await;
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_waited_for_and_then_fails() {
    // Nothing listens on the discard port.
    let bench = Bench::new(json!({ "name": "main", "image": "127.0.0.1:9/no/such:1" })).await;
    let mut stage = bench.stage.subscribe();
    let waiting = async {
        let waits = |stage: &Stage| matches!(stage, Stage::Waiting { reason: "ErrImagePull", .. });
        stage.wait_for(waits).await.expect("it waits").clone()
    };
    let (stage, (ended, _)) = tokio::join!(waiting, bench.run());
    assert!(matches!(stage, Stage::Waiting { message, .. } if message.contains("no/such")));
    assert_eq!(start_error(&ended).0, "ErrImagePull");
    bench.clean_up().await;
}

#[tokio::test]
async fn stop_lets_the_container_end_in_its_own_way() {
    let bench =
        Bench::new(shell("trap 'echo bye; exit 7' TERM; while :; do sleep 0.1; done")).await;
    let order = bench.order_when_running(Order::Stop { grace: 20 });
    let ((), (ended, output)) = tokio::join!(order, bench.run());
    assert_eq!(ended, Ended::Outcome(Outcome::Stopped { code: Some(7) }));
    assert!(output.contains("bye"), "{output:?}");
    bench.clean_up().await;
}

#[tokio::test]
async fn drain_hands_back_and_gone_reports_nothing() {
    let bench = Bench::new(shell("sleep 600")).await;
    let order = bench.order_when_running(Order::Drain { grace: 1 });
    let ((), (ended, _)) = tokio::join!(order, bench.run());
    assert_eq!(disruption(&ended), "Drained");
    bench.clean_up().await;

    let bench = Bench::new(shell("sleep 600")).await;
    let order = bench.order_when_running(Order::Gone);
    let ((), (ended, _)) = tokio::join!(order, bench.run());
    assert_eq!(ended, Ended::Gone);
    bench.clean_up().await;
}

/// A worker that is killed while it stops a container must not take the exit for a success later.
#[tokio::test]
async fn a_stop_under_way_is_remembered_by_whoever_adopts() {
    let bench = Bench::new(shell("trap 'exit 0' TERM; while :; do sleep 0.1; done")).await;
    let killed = async {
        bench.order_when_running(Order::Drain { grace: 20 }).await;
        while bench.own().order().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        biased;
        () = killed => {}
        _ = bench.run() => {}
    }
    let (output, _) = captured(Recent::default());
    let ended = timeout(BOUND, bench.run_with(output)).await.expect("it ends");
    assert_eq!(disruption(&ended), "Drained");
    bench.clean_up().await;
}

#[tokio::test]
async fn an_order_before_the_start_starts_nothing() {
    let bench = Bench::new(shell("sleep 600")).await;
    bench.handle.order(Order::Stop { grace: 30 });
    assert_eq!(bench.run().await.0, Ended::Outcome(Outcome::Stopped { code: None }));
    bench.clean_up().await;
}

#[tokio::test]
async fn the_container_ends_with_its_lease() {
    let pod = json!({ "containers": [shell("sleep 600")] });
    let bench = Bench::with_pod(pod, Duration::from_secs(4)).await;
    assert_eq!(disruption(&bench.run().await.0), "LeaseExpired");
    bench.clean_up().await;
}

#[tokio::test]
async fn too_little_memory_is_told() {
    let mut container = shell("tail /dev/zero");
    container["resources"] = json!({ "limits": { "memory": "16Mi" } });
    let bench = Bench::new(container).await;
    assert_eq!(bench.run().await.0, exited(137, "OOMKilled"));
    bench.clean_up().await;
}

#[tokio::test]
async fn volumes_are_kept_over_a_restart_and_host_paths_need_leave() {
    let mut container = shell("cat /data/seen 2>/dev/null; echo once > /data/seen");
    container["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    let pod = json!({
        "containers": [container], "volumes": [{ "name": "data", "emptyDir": {} }]
    });
    let bench = Bench::with_pod(pod, LONG_LEASE).await;
    assert_eq!(bench.run().await, (exited(0, "Completed"), String::new()));
    bench.own().note_restart().expect("noted");
    // The leftover has the container's name.
    assert_eq!(bench.run().await, (exited(0, "Completed"), "once\n".into()));
    bench.clean_up().await;

    let mut container = shell("true");
    container["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    let pod = json!({
        "containers": [container], "volumes": [{ "name": "data", "hostPath": { "path": "/etc" } }]
    });
    let bench = Bench::with_pod(pod, LONG_LEASE).await;
    let (ended, _) = bench.run().await;
    let (reason, _, message) = start_error(&ended);
    assert_eq!(reason, "CreateContainerConfigError");
    assert!(message.contains("worker.host_paths"), "{message}");
    bench.clean_up().await;
}

#[tokio::test]
async fn a_container_is_adopted_with_the_output_that_was_missed() {
    let script = "echo one; while [ ! -e /data/go ]; do sleep 0.1; done; echo two; exit 5";
    let mut container = shell(script);
    container["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    let pod = json!({
        "containers": [container], "volumes": [{ "name": "data", "emptyDir": {} }]
    });
    let bench = Bench::with_pod(pod, LONG_LEASE).await;
    let (output, text) = captured(Recent::default());
    let first = async {
        bench.running().await;
        while !text().contains("one") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = first => {}
        ended = bench.run_with(output) => panic!("{ended:?}"),
    }
    // The process is gone, its container goes on.
    let mut stored = Recent::default();
    stored.remember(format!("{} o one\n", log_stamp(std::time::SystemTime::now())).as_bytes());
    let (output, text) = captured(stored);
    let go = bench.folder.volume("data", false).expect("there").join("go");
    std::fs::write(go, "").expect("written");
    let ended = timeout(BOUND, bench.run_with(output)).await.expect("it ends");
    assert_eq!(ended, exited(5, "Error"));
    assert_eq!(text(), "two\n");
    bench.clean_up().await;
}

#[tokio::test]
async fn a_flood_of_output_does_not_hold_the_container_up() {
    let bench = Bench::new(shell("yes 0123456789 | head -c 50000000; echo last")).await;
    let (ended, output) = bench.run().await;
    assert_eq!(ended, exited(0, "Completed"));
    assert!(output.len() < 2_000_000 && output.ends_with("last\n"), "{} bytes", output.len());
    bench.clean_up().await;
}

/// A daemon that goes down ends its containers with SIGTERM, and one that traps it exits with 0: that
/// is no success, nor any other exit of its own.
#[tokio::test]
async fn a_daemon_that_goes_down_makes_no_success() {
    let engine = PrivateEngine::start();
    let script = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
    let pod = json!({ "containers": [shell(script)] });
    let bench = Bench::on_engine(&engine.host, pod, LONG_LEASE).await;
    let restart = async {
        bench.running().await;
        engine.restart().await;
    };
    let ((), (ended, _)) = tokio::join!(restart, bench.run());
    assert_eq!(disruption(&ended), "DockerRestarted");
    bench.clean_up().await;
}
