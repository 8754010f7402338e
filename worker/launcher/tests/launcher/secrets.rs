//! Variables and commands that come in a file, and no command at all.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::support::{LONG, Place, code};

/// A launcher with this file of secrets.
fn with_secrets(place: &Place, content: &str, command: &[&str]) -> Command {
    let file = place.path("secrets");
    fs::write(&file, content).expect("written");
    place.launcher_with(&["--secrets", file.to_str().expect("a path")], command)
}

#[test]
fn variables_from_a_file_join_the_others_and_win() {
    let place = Place::new(LONG);
    let script = ["sh", "-c", "echo $A; echo $B; echo $C; tr '\\0' ' ' </proc/$PPID/cmdline"];
    let mut launcher = with_secrets(&place, "B=x=y \u{e9}\0C=\0\0", &script);
    let output = launcher.env("A", "a").env("B", "b").output().expect("started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("a\nx=y \u{e9}\n\n"), "{text}");
    assert!(!text.lines().last().expect("a line").contains("x=y"), "{text}");
}

#[test]
fn a_command_from_a_file_is_the_one_that_runs() {
    let place = Place::new(LONG);
    let content = "A=1\0\0sh\0-c\0echo $A $1; exit 3\0--\0a word\0";
    let output = with_secrets(&place, content, &["false"]).output().expect("started");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1 a word\n");
    assert_eq!(code(&output), 3);
}

#[test]
fn a_file_that_is_not_whole_is_refused() {
    let place = Place::new(LONG);
    let output = with_secrets(&place, "A=1", &["true"]).output().expect("started");
    assert_eq!(code(&output), 125);
    assert_eq!(place.record(), "refused secrets can't be read: EINVAL\n");
    let place = Place::new(LONG);
    let missing = place.launcher_with(&["--secrets", "/none/such"], &["true"]).output();
    assert_eq!(code(&missing.expect("started")), 125);
    assert_eq!(place.record(), "refused secrets can't be read: ENOENT\n");
}

#[test]
fn a_pause_lasts_until_the_deadline() {
    let place = Place::new(Duration::from_secs(2));
    let output = place.launcher_with(&["--pause"], &[]).output().expect("started");
    assert_eq!(code(&output), 124);
    assert_eq!(place.record(), "deadline\n");
}

#[test]
fn a_pause_ends_with_sigterm() {
    let place = Place::new(LONG);
    let mut child = place.launcher_with(&["--pause"], &[]).spawn().expect("started");
    let pid = child.id().to_string();
    // Whether or not it has begun to wait for signals.
    let ended = (0..1_000).find_map(|_| {
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        std::thread::sleep(Duration::from_millis(20));
        child.try_wait().expect("a status")
    });
    let ended = ended.expect("it ends");
    assert!(ended.code().is_none_or(|code| code == 143), "{ended}");
}
