//! What the launcher adds to a container's life: creation, start, wait and removal of `true`, with and
//! without it in turns, on this machine's Docker engine with the image `busybox:1.36`.
//!
//! `make bench-launcher`; `BENCH_ROUNDS` says how many pairs.

#[path = "../../worker/launcher/static_build.rs"]
mod static_build;

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures::StreamExt;
use longshore_tests::docker;

/// Rounds that are not counted: the first ones find nothing in the page cache.
const WARM_UP: usize = 5;

#[tokio::main]
async fn main() -> Result<()> {
    let rounds = env::var("BENCH_ROUNDS").map_or(Ok(100), |rounds| rounds.parse())?;
    let docker = docker(None)?;
    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    prepare(folder.path())?;
    let own = folder.path().join("longshore");
    let (mut with, mut without, mut added) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..WARM_UP + rounds {
        // Whichever comes second finds the daemon as the other left it, so they take turns in that too.
        let (launched, alone) = if round % 2 == 0 {
            let launched = life(&docker, Some(&own)).await?;
            (launched, life(&docker, None).await?)
        } else {
            let alone = life(&docker, None).await?;
            (life(&docker, Some(&own)).await?, alone)
        };
        if round >= WARM_UP {
            added.push(millis(launched) - millis(alone));
            with.push(millis(launched));
            without.push(millis(alone));
        }
    }
    let (with, without, added) = (median(with), median(without), median(added));
    println!("create, start, wait and remove of `true`, {rounds} times each, medians:");
    println!("  without the launcher  {without:6.1} ms");
    println!("  with the launcher     {with:6.1} ms, {:.1} %", 100.0 * with / without);
    println!("  added, pair by pair   {added:6.1} ms");
    Ok(())
}

/// The folder as a worker makes it for a container, and the file beside it for the record.
fn prepare(folder: &Path) -> Result<()> {
    let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let into = workspace.join("target/bench-launcher");
    let cargo = PathBuf::from(env!("CARGO"));
    let launcher = static_build::build(&cargo, &workspace.join("worker/launcher"), &target, &into);
    let own = folder.join("longshore");
    fs::create_dir(&own)?;
    fs::copy(launcher.map_err(|error| anyhow!(error))?, own.join("launcher"))?;
    fs::write(own.join("deadline"), format!("{:020}\n", u64::MAX))?;
    fs::write(folder.join("exit"), "")?;
    Ok(())
}

/// One container's life; with a launcher if there is a folder for it.
async fn life(docker: &Docker, launcher: Option<&Path>) -> Result<Duration> {
    let mut config = ContainerCreateBody {
        image: Some("busybox:1.36".into()),
        cmd: Some(vec!["true".into()]),
        ..ContainerCreateBody::default()
    };
    if let Some(own) = launcher {
        let exit = own.with_file_name("exit");
        config.entrypoint = Some(vec!["/.longshore/launcher".into(), "--".into()]);
        config.host_config = Some(HostConfig {
            mounts: Some(vec![
                bind(own, "/.longshore", true),
                bind(&exit, "/.longshore-exit", false),
            ]),
            ..HostConfig::default()
        });
        fs::write(exit, "")?;
    }
    let name = format!("longshore-bench-{}", std::process::id());
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let begun = Instant::now();
    docker.create_container(Some(options), config).await?;
    docker.start_container(&name, None).await?;
    let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
    let ended = std::pin::pin!(docker.wait_container(&name, Some(options))).next().await;
    let remove = RemoveContainerOptionsBuilder::default().force(true).build();
    docker.remove_container(&name, Some(remove)).await?;
    let took = begun.elapsed();
    ended.context("it ended")??;
    if let Some(own) = launcher {
        let record = fs::read_to_string(own.with_file_name("exit"))?;
        ensure!(record == "exited 0\n", "{record:?}");
    }
    Ok(took)
}

fn bind(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.display().to_string()),
        target: Some(target.into()),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}
