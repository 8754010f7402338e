//! Signals go to the command; orphans are reaped.

use crate::support::{LONG, Place, wait_until};
use std::fs;

#[test]
fn every_usual_signal_is_forwarded() {
    for signal in [
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGHUP,
        libc::SIGQUIT,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGWINCH,
        libc::SIGALRM,
        libc::SIGABRT,
        libc::SIGRTMIN() + 3,
    ] {
        let place = Place::new(LONG);
        let running = place.start_script(&format!(
            "trap 'echo got; exit 5' {signal}; : > ready; while :; do sleep 0.01; done"
        ));
        running.signal(signal);
        let (status, output) = running.wait();
        assert_eq!((status.code(), output.as_str()), (Some(5), "got\n"), "signal {signal}");
        assert_eq!(place.record(), format!("exited 5 told {signal}\n"));
    }
}

#[test]
fn a_signal_without_a_handler_ends_the_command_as_it_would_alone() {
    let place = Place::new(LONG);
    let running = place.start_script(": > ready; exec sleep 60");
    running.signal(libc::SIGTERM);
    let (status, _) = running.wait();
    assert_eq!(status.code(), Some(143));
    assert_eq!(place.record(), "signaled 15\n");
}

#[test]
fn a_stopped_command_goes_on() {
    let place = Place::new(LONG);
    let running = place
        .start_script("trap 'exit 6' TERM; echo $$ > pid; : > ready; while :; do sleep 0.01; done");
    let pid = place.number("pid");
    let is_stopped = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("alive");
        stat.contains(") T ")
    };
    crate::support::send(pid, libc::SIGSTOP);
    wait_until("the command is stopped", is_stopped);
    running.signal(libc::SIGCONT);
    wait_until("the command goes on", || !is_stopped());
    running.signal(libc::SIGTERM);
    assert_eq!(running.wait().0.code(), Some(6));
}

#[test]
fn orphans_are_reaped_and_their_codes_ignored() {
    let place = Place::new(LONG);
    let mut running = place.start_script(
        "for i in 1 2 3 4 5 6 7 8 9; do (sh -c 'exit 3' &); done; : > ready; \
         until [ -e go ]; do sleep 0.01; done; exit 8",
    );
    let children = format!("/proc/{0}/task/{0}/children", running.pid());
    wait_until("only the command is left", || {
        let children = fs::read_to_string(&children).expect("running");
        children.split_whitespace().count() == 1
    });
    assert!(running.is_running());
    fs::write(place.path("go"), "").expect("written");
    assert_eq!(running.wait().0.code(), Some(8));
    assert_eq!(place.record(), "exited 8\n");
}
