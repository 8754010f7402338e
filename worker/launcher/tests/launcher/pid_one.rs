//! As PID 1 of a PID namespace, which it is in a container: its end is the end of all.

use crate::support::{LONG, Place, wait_until};
use std::time::{Duration, Instant};

/// Two processes that ignore all that can be ignored, one of them out of the command's session.
/// They hold a lock on `held` for as long as they live.
const STUBBORN: &str = "trap '' TERM HUP INT; exec 9> held; flock -s 9; \
                        setsid sh -c 'sleep 600' & : > ready";

/// Whether a process that [`STUBBORN`] started is alive.
fn is_held(place: &Place) -> bool {
    let mut probe = std::process::Command::new("flock");
    !probe.args(["-n", "-x"]).arg(place.path("held")).arg("true").status().expect("flock").success()
}

#[test]
fn the_end_of_the_command_ends_all() {
    let Some(place) = Place::with_pid_namespace(LONG) else { return };
    let script = format!("{STUBBORN}; until [ -e go ]; do sleep 0.01; done; exit 2");
    let running = place.start_script(&script);
    assert!(is_held(&place));
    std::fs::write(place.path("go"), "").expect("written");
    assert_eq!(running.wait().0.code(), Some(2));
    assert_eq!(place.record(), "exited 2\n");
    wait_until("all are dead", || !is_held(&place));
}

#[test]
fn the_deadline_ends_all() {
    let length = Duration::from_millis(1500);
    let Some(place) = Place::with_pid_namespace(length) else { return };
    let start = Instant::now();
    let running = place.start_script(&format!("{STUBBORN}; while :; do sleep 1; done"));
    assert!(is_held(&place));
    assert_eq!(running.wait().0.code(), Some(124));
    assert!(start.elapsed() < length + Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(place.record(), "deadline\n");
    wait_until("all are dead", || !is_held(&place));
}

#[test]
fn from_inside_it_can_be_neither_killed_nor_stopped() {
    let length = Duration::from_millis(1500);
    let Some(place) = Place::with_pid_namespace(length) else { return };
    let script = "kill -KILL 1; kill -STOP 1; kill -KILL -1; : > ready; while :; do :; done";
    assert_eq!(place.start_script(script).wait().0.code(), Some(124));
    assert_eq!(place.record(), "deadline\n");
}

#[test]
fn a_signal_to_pid_1_reaches_the_command() {
    let Some(place) = Place::with_pid_namespace(LONG) else { return };
    let output =
        place.run_script("trap 'exit 11' TERM; kill -TERM 1; while :; do sleep 0.01; done");
    assert_eq!(crate::support::code(&output), 11);
    assert_eq!(place.record(), "exited 11 told 15\n");
}
