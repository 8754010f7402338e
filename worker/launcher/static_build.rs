// How the launcher is built for containers: one static file that needs nothing of the image. Used
// by the worker's build script and by the launcher's own tests.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Variables of an outer build that would change the inner one: its flags, its wrappers (such as
/// clippy's, which compiles nothing), its folders.
const NOT_INHERITED: [&str; 9] = [
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
];

/// Builds the launcher of the given folder for `target`, below `into`, and gives its path. Uses
/// the network for nothing, and no folder that an outer build has locked.
pub(crate) fn build(
    cargo: &Path,
    launcher: &Path,
    target: &str,
    into: &Path,
) -> Result<PathBuf, String> {
    let mut command = Command::new(cargo);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    // These win over flags from every other place, and hold for the target alone, not for build
    // scripts. A fixed position spares the start its relocations.
    let flags = ["-Ctarget-feature=+crt-static", "-Crelocation-model=static"];
    command
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_BUILD_BUILD_DIR", into)
        .args(["build", "--package=longshore-launcher", "--bin=longshore-launcher"])
        .args(["--profile=launcher", "--locked", "--offline", "--quiet", "--target", target])
        .arg("--target-dir")
        .arg(into)
        .arg("--manifest-path")
        .arg(launcher.join("Cargo.toml"));
    let output = command.output().map_err(|error| format!("{}: {error}", cargo.display()))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("building the launcher failed ({}):\n{errors}", output.status));
    }
    Ok(into.join(target).join("launcher").join("longshore-launcher"))
}
