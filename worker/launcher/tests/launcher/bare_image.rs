//! The static program in an image that has nothing: no library, no shell, no /proc, no /dev, not
//! a byte to write to, and a user that isn't root.

use crate::static_build;
use crate::support::{LONG, Place, code, deadline};
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn static_launcher() -> PathBuf {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    let target = format!("{}-unknown-linux-{libc}", env::consts::ARCH);
    let cargo = env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let into = Path::new(env!("CARGO_TARGET_TMPDIR")).join("launcher");
    match static_build::build(&cargo, folder, &target, &into) {
        Ok(launcher) => launcher,
        Err(error) => panic!("{error}"),
    }
}

/// Puts the image together and gives its folder; the exit file is within it.
fn image(place: &Place, deadline: &str) -> PathBuf {
    let image = place.path("image");
    fs::create_dir_all(image.join(".longshore")).expect("a folder");
    fs::copy(static_launcher(), image.join(".longshore/launcher")).expect("copied");
    fs::write(image.join(".longshore/deadline"), deadline).expect("written");
    let exit_file = image.join(".longshore-exit");
    fs::write(&exit_file, "").expect("written");
    fs::set_permissions(&exit_file, fs::Permissions::from_mode(0o666)).expect("set");
    // The folder of a place is for its owner alone.
    for folder in [place.path("."), image.clone()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("set");
    }
    image
}

/// Runs the launcher in the image as PID 1, read-only but for the exit file, as user 65534.
fn run(image: &Path, command: &[&str]) -> std::process::Output {
    let script = "set -e; cd \"$1\"; shift; \
                  mount --bind . .; cd \"$PWD\"; mount --bind .longshore-exit .longshore-exit; \
                  mount -o remount,bind,ro .; \
                  exec chroot --userspec=65534:65534 . /.longshore/launcher -- \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh"]);
    unshare.arg(image).args(command).output().expect("started")
}

#[test]
fn it_runs_in_an_image_without_anything() {
    let Some(place) = Place::with_pid_namespace(LONG) else { return };
    let image = image(&place, &deadline(LONG));
    let record = || fs::read_to_string(image.join(".longshore-exit")).expect("an exit file");

    // The only program there is: without a command it refuses, which is an exit like any other.
    let output = run(&image, &["/.longshore/launcher"]);
    assert_eq!(code(&output), 125, "{output:?}");
    assert_eq!(record(), "exited 125\n");

    let output = run(&image, &["/bin/sh"]);
    assert_eq!(code(&output), 127, "{output:?}");
    let message = "exec: \"/bin/sh\": no such file or directory\n";
    assert_eq!(record(), format!("start-error ENOENT {message}"));
    assert_eq!(String::from_utf8_lossy(&output.stderr), message);
}
