//! Builds the launcher, which the worker carries within itself, and gives its path as
//! `LONGSHORE_LAUNCHER`.

#[path = "launcher/static_build.rs"]
mod static_build;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

/// What the launcher's build depends on.
const SOURCES: [&str; 6] = [
    "build.rs",
    "launcher/Cargo.toml",
    "launcher/src",
    "launcher/static_build.rs",
    "../Cargo.lock",
    "../Cargo.toml",
];

fn main() -> ExitCode {
    for path in SOURCES {
        println!("cargo::rerun-if-changed={path}");
    }
    match build() {
        Ok(launcher) => {
            println!("cargo::rustc-env=LONGSHORE_LAUNCHER={}", launcher.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<PathBuf, String> {
    let variable = |name| env::var_os(name).ok_or_else(|| format!("cargo didn't set {name}"));
    let launcher = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("launcher");
    let into = PathBuf::from(variable("OUT_DIR")?).join("launcher");
    let target = env::var("TARGET").map_err(|error| format!("TARGET: {error}"))?;
    static_build::build(&PathBuf::from(variable("CARGO")?), &launcher, &target, &into)
}
