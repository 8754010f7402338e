//! Refusals, and ends at the deadline.

use crate::support::{LONG, Place, boot_time, code, deadline, is_alive, wait_until};
use std::fs;
use std::time::{Duration, Instant};

/// How late an end may be seen on a busy machine; it is far less on an idle one.
const LATE: Duration = Duration::from_secs(2);

const IGNORING_TERM: &str = "trap '' TERM; echo $$ > pid; : > ready; while :; do sleep 1; done";

#[test]
fn without_a_deadline_in_the_future_nothing_starts() {
    let now = format!("{:020}\n", boot_time().as_nanos());
    let far = deadline(LONG);
    for (content, reason) in [
        (None, "deadline can't be opened: ENOENT"),
        (Some(""), "deadline malformed"),
        (Some("soon\n"), "deadline malformed"),
        (Some(far.trim_end()), "deadline malformed"),
        (Some("00000000000000000000\n"), "deadline passed"),
        (Some(&now), "deadline passed"),
    ] {
        let place = Place::new(LONG);
        match content {
            Some(content) => fs::write(place.deadline(), content).expect("written"),
            None => fs::remove_file(place.deadline()).expect("removed"),
        }
        let output = place.run_script("touch started");
        assert_eq!(code(&output), 125, "{reason}");
        assert_eq!(place.record(), format!("refused {reason}\n"));
        assert!(!place.path("started").exists(), "{reason}");
    }
}

#[test]
fn a_folder_in_place_of_the_deadline_is_refused() {
    let place = Place::new(LONG);
    fs::remove_file(place.deadline()).expect("removed");
    fs::create_dir(place.deadline()).expect("a folder");
    assert_eq!(code(&place.run(&["true"])), 125);
    assert_eq!(place.record(), "refused deadline unreadable\n");
}

#[test]
fn the_deadline_ends_a_command_that_ignores_sigterm() {
    let length = Duration::from_millis(1500);
    let start = Instant::now();
    let place = Place::new(length);
    let (status, _) = place.start_script(IGNORING_TERM).wait();
    let elapsed = start.elapsed();
    assert_eq!(status.code(), Some(124));
    assert_eq!(place.record(), "deadline\n");
    assert!(elapsed >= length && elapsed < length + LATE, "{elapsed:?}");
    let pid = place.number("pid");
    wait_until("the command is dead", || !is_alive(pid));
}

#[test]
fn a_moved_deadline_counts() {
    let start = Instant::now();
    let place = Place::new(Duration::from_secs(2));
    let running = place.start_script(IGNORING_TERM);
    let mut end = Duration::ZERO;
    // Each renewal moves it on by less than a lease; the last stands.
    while start.elapsed() < Duration::from_secs(3) {
        end = start.elapsed() + Duration::from_secs(2);
        place.move_deadline(&deadline(Duration::from_secs(2)));
        std::thread::sleep(Duration::from_millis(100));
    }
    let (status, _) = running.wait();
    let elapsed = start.elapsed();
    assert_eq!(status.code(), Some(124));
    assert!(elapsed >= end && elapsed < end + LATE, "{elapsed:?} for {end:?}");
}

#[test]
fn twenty_zeros_end_it_within_a_second() {
    let place = Place::new(LONG);
    let running = place.start_script(IGNORING_TERM);
    let start = Instant::now();
    place.move_deadline("00000000000000000000\n");
    let (status, _) = running.wait();
    assert_eq!(status.code(), Some(124));
    assert_eq!(place.record(), "deadline\n");
    assert!(start.elapsed() < Duration::from_secs(1) + LATE, "{:?}", start.elapsed());
}

#[test]
fn a_deadline_that_becomes_unreadable_stands_as_last_read() {
    let length = Duration::from_secs(3);
    let start = Instant::now();
    let place = Place::new(length);
    let running = place.start_script(IGNORING_TERM);
    fs::write(place.deadline(), "broken").expect("written");
    let (status, _) = running.wait();
    assert_eq!(status.code(), Some(124));
    assert!(start.elapsed() >= length, "{:?}", start.elapsed());
}

#[test]
fn signals_and_orphans_without_end_do_not_put_it_off() {
    let place = Place::new(Duration::from_secs(2));
    let start = Instant::now();
    let script = "trap '' USR1 TERM; : > ready; while :; do (true &); kill -USR1 $PPID; done";
    let (status, _) = place.start_script(script).wait();
    assert_eq!(status.code(), Some(124));
    assert!(start.elapsed() < Duration::from_secs(2) + LATE, "{:?}", start.elapsed());
}

#[test]
fn no_exit_file_and_no_reader_of_output_hold_up_the_end() {
    let place = Place::new(Duration::from_secs(1));
    fs::remove_file(place.exit_file()).expect("removed");
    // Nobody reads the pipes, which fill up.
    let (status, _) = place
        .start_script("trap '' TERM; : > ready; while :; do echo full; echo full >&2; done")
        .wait();
    assert_eq!(status.code(), Some(124));
}
