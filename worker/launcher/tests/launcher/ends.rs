//! Exit codes, start errors and the exit file.

use crate::support::{LONG, Place, code};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

#[test]
fn exit_codes_are_handed_on_and_recorded() {
    for expected in [0, 1, 7, 124, 255] {
        let place = Place::new(LONG);
        let output = place.run_script(&format!("echo out; echo err >&2; exit {expected}"));
        assert_eq!(code(&output), expected);
        assert_eq!(place.record(), format!("exited {expected}\n"));
        assert_eq!(output.stdout, b"out\n");
        assert_eq!(output.stderr, b"err\n");
    }
}

#[test]
fn signals_that_end_the_command_are_recorded() {
    for signal in [libc::SIGKILL, libc::SIGSEGV, libc::SIGTERM, libc::SIGPIPE] {
        let place = Place::new(LONG);
        let output = place.run_script(&format!("kill -{signal} $$"));
        assert_eq!(code(&output), 128 + signal);
        assert_eq!(place.record(), format!("signaled {signal}\n"));
    }
}

#[test]
fn arguments_environment_and_folder_reach_the_command() {
    let place = Place::new(LONG);
    let mut launcher = place.launcher(&["sh", "-c", "echo $0 $1 $A; pwd", "--", "--deadline"]);
    let output = launcher.env("A", "b").output().expect("started");
    let folder = fs::canonicalize(place.path(".")).expect("a folder");
    let expected = format!("-- --deadline b\n{}\n", folder.display());
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn the_command_gets_no_files_of_the_launchers_and_clean_signals() {
    let place = Place::new(LONG);
    let script = "ls /proc/self/fd; exec grep ^Sig /proc/self/status";
    let output = place.run_script(script);
    let text = String::from_utf8_lossy(&output.stdout);
    for set in ["SigBlk:", "SigIgn:"] {
        assert!(text.contains(&format!("{set}\t0000000000000000")), "{text}");
    }
    // Whatever this test inherited itself is there either way.
    let mut alone = Command::new("sh");
    let alone = alone.args(["-c", script]).stdin(Stdio::null()).output().expect("started");
    let files = |text: &str| text.split("Sig").next().map(str::to_owned);
    assert_eq!(files(&text), files(&String::from_utf8_lossy(&alone.stdout)));
}

#[test]
fn start_errors_have_dockers_messages() {
    let place = Place::new(LONG);
    let plain = place.path("plain");
    fs::write(&plain, "text").expect("written");
    let unknown = place.path("unknown");
    fs::write(&unknown, "\x01\x02 no program").expect("written");
    fs::set_permissions(&unknown, fs::Permissions::from_mode(0o755)).expect("executable");
    let (plain, unknown) = (plain.display().to_string(), unknown.display().to_string());

    for (command, expected, kind, message) in [
        ("no-such-program", 127, "ENOENT", "executable file not found in $PATH"),
        ("", 127, "ENOENT", "executable file not found in $PATH"),
        ("/no/such/program", 127, "ENOENT", "no such file or directory"),
        ("/dev/null/program", 127, "ENOTDIR", "not a directory"),
        ("/", 126, "EACCES", "permission denied"),
        (&plain, 126, "EACCES", "permission denied"),
        (&unknown, 126, "ENOEXEC", "exec format error"),
    ] {
        fs::write(place.exit_file(), "").expect("emptied");
        let output = place.run(&[command]);
        assert_eq!(code(&output), expected, "{command}");
        let message = format!("exec: \"{command}\": {message}\n");
        assert_eq!(place.record(), format!("start-error {kind} {message}"));
        assert_eq!(String::from_utf8_lossy(&output.stderr), message);
    }
}

#[test]
fn the_path_is_searched_to_its_end() {
    let place = Place::new(LONG);
    for (folder, mode) in [("a", 0o644), ("b", 0o755)] {
        let folder = place.path(folder);
        fs::create_dir(&folder).expect("a folder");
        let file = folder.join("tool");
        fs::write(&file, "#!/bin/sh\nexit 9\n").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("set");
    }
    for (path, expected) in [("/none:a:b", 9), ("/none:a", 126), ("/none", 127)] {
        let output = place.launcher(&["tool"]).env("PATH", path).output().expect("started");
        assert_eq!(code(&output), expected, "{path}");
    }
}

#[test]
fn no_command_is_a_start_error() {
    let place = Place::new(LONG);
    assert_eq!(code(&place.run(&[])), 127);
    assert_eq!(place.record(), "start-error ENOENT no command specified\n");
}

#[test]
fn without_an_exit_file_it_goes_on() {
    let place = Place::new(LONG);
    fs::remove_file(place.exit_file()).expect("removed");
    assert_eq!(code(&place.run(&["sh", "-c", "exit 3"])), 3);
    assert!(!place.exit_file().exists());
}

#[test]
fn what_the_command_wrote_to_the_exit_file_is_replaced() {
    let place = Place::new(LONG);
    let script =
        format!("printf 'exited 0\\nand more than that' > {}", place.exit_file().display());
    assert_eq!(code(&place.run_script(&format!("{script}; exit 4"))), 4);
    assert_eq!(place.record(), "exited 4\n");
}
