//! A container that proves that containers can be started: it runs the launcher alone, which refuses to
//! run a command without a deadline.

use std::path::Path;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptionsBuilder, WaitContainerOptionsBuilder};
use futures::StreamExt;
use tokio::time::timeout;

use super::volumes::bind;
use super::{DockerRuntime, remove};
use crate::runtime::RuntimeError;

/// How long a host may take for it and still be of use.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a container in the image that was wanted last; nothing if there was none.
pub(super) async fn probe(runtime: &DockerRuntime, launcher: &Path) -> Result<(), RuntimeError> {
    let Some(image) = runtime.last_image() else { return Ok(()) };
    let engine = &runtime.engine;
    // The same at each time, so that one that was left behind is removed by the next.
    let name = format!("longshore-probe-{}", runtime.common.worker);
    let probed = timeout(PATIENCE, async {
        remove(engine, &name).await?;
        let started = start(runtime, &name, image, launcher).await;
        remove(engine, &name).await?;
        started.map_err(|error| engine.failure(error))
    });
    probed.await.unwrap_or_else(|_| Err(engine.silent(PATIENCE)))
}

async fn start(
    runtime: &DockerRuntime,
    name: &str,
    image: String,
    launcher: &Path,
) -> Result<(), bollard::errors::Error> {
    let docker = &runtime.engine.docker;
    let config = ContainerCreateBody {
        image: Some(image),
        entrypoint: Some(vec!["/.longshore/launcher".into(), "--".into()]),
        cmd: Some(vec!["true".into()]),
        host_config: Some(HostConfig {
            mounts: Some(vec![bind(launcher, "/.longshore/launcher", true)]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    docker.create_container(Some(options), config).await?;
    docker.start_container(name, None).await?;
    let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
    // It ends with an error, as it must.
    let _ended = std::pin::pin!(docker.wait_container(name, Some(options))).next().await;
    Ok(())
}
