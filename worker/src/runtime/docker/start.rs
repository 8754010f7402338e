//! A container's way from its manifest to its start.

use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptionsBuilder;
use longshore_job::Outcome;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::config::{ConfigError, ImageConfig, Parts};
use super::engine::{Engine, message, status};
use super::exit::{lost, start_error};
use super::fields::Fields;
use super::follow::Follow;
use super::volumes::Volumes;
use super::watch::inspect;
use super::{DockerRuntime, config, env, image, registry, remove};
use crate::assignment::Assignment;
use crate::health::START_FAILED;
use crate::own_folder::OwnFolder;
use crate::runtime::{Run, Stage};
use crate::sources::Sources;

/// What must be left of the lease for a start to be worth it.
const LEASE_TO_START: Duration = Duration::from_secs(1);
/// How long to wait for a renewal that makes it so.
const RENEWAL: Duration = Duration::from_secs(10);
/// Between two looks for a ConfigMap or Secret that isn't there.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

const CONFIG_ERROR: &str = "CreateContainerConfigError";

/// Creates and starts the container; gives what follows its output. An error is the outcome.
pub(super) async fn start(
    runtime: &DockerRuntime,
    run: &Run<'_>,
    folder: &OwnFolder,
    name: &str,
) -> Result<Follow, Outcome> {
    let engine = &runtime.engine;
    let spec = run.container;
    let image_name = spec.image.as_deref().unwrap_or_default();
    let policy = spec.image_pull_policy.as_deref().unwrap_or("IfNotPresent");
    runtime.set_last_image(image_name);
    let bound = runtime.pull_timeout;
    let keys = keys(run, image_name).await;
    let image = image::ensure(engine, image_name, policy, bound, &keys, &run.progress).await?;
    let config = configured(runtime, run, folder, &image).await?;

    let _permit = runtime.starts.acquire().await;
    // Images can take longer than a lease, and a claim's reply can come late.
    if timeout(RENEWAL, run.control.clone().leased_for(LEASE_TO_START)).await.is_err() {
        return Err(lost("LeaseExpired", "the lease ran out before the start", false));
    }
    let on_host = |error: std::io::Error| lost(START_FAILED, error.to_string(), false);
    folder.create(run.control.deadline()).map_err(on_host)?;
    create(engine, name, config).await?;
    let instance = engine.instance().await.map_err(on_host)?;
    let begun = folder.note_start(instance).map_err(on_host)?;
    let follow = Follow::attach(engine, name, run.output.clone(), begun).await;
    let follow = follow.map_err(|error| lost(START_FAILED, message(&error), false))?;
    match engine.docker.start_container(name, None).await {
        Ok(()) => Ok(follow),
        Err(error) => match inspect(engine, name).await {
            // The daemon was slow, or its answer got lost: what became of the container counts.
            Ok(Some(found)) if found.has_run && status(&error).is_none() => Ok(follow),
            Ok(Some(found)) if status(&error).is_some() => {
                Err(start_error(&message(&error), found.state.code))
            }
            _ => Err(lost(START_FAILED, format!("Docker: {}", message(&error)), false)),
        },
    }
}

/// What the image's registry is shown. Secrets that can't be read are as good as none: the pull says so.
async fn keys(run: &Run<'_>, image: &str) -> Vec<DockerCredentials> {
    let Assignment { spec, namespace, .. } = run.assignment;
    if spec.image_pull_secrets.iter().flatten().next().is_none() {
        return Vec::new();
    }
    let sources = Sources::load(run.objects, namespace, spec, run.container).await;
    let sources = sources.unwrap_or_else(|error| {
        warn!(image, %error, "the Pod's imagePullSecrets can't be read");
        Sources::default()
    });
    registry::credentials(image, spec, &sources)
}

/// The container as its manifest has it, with what it refers to. What isn't there is waited for, as long
/// as an image would be.
async fn configured(
    runtime: &DockerRuntime,
    run: &Run<'_>,
    folder: &OwnFolder,
    image: &ImageConfig,
) -> Result<ContainerCreateBody, Outcome> {
    let end = Instant::now() + runtime.pull_timeout;
    loop {
        let refused = |message: String| Outcome::StartError {
            reason: CONFIG_ERROR.into(),
            message,
            code: 128,
        };
        match config(runtime, run, folder, image).await {
            Ok(config) => return Ok(config),
            Err(ConfigError::Invalid(why)) => return Err(refused(why)),
            Err(ConfigError::Host(why)) => return Err(lost(START_FAILED, why, false)),
            Err(ConfigError::Missing(why)) if Instant::now() + LOOK_AGAIN >= end => {
                return Err(refused(why));
            }
            Err(ConfigError::Missing(message)) => {
                run.progress.send_replace(Stage::Waiting { reason: CONFIG_ERROR, message });
                sleep(LOOK_AGAIN).await;
            }
        }
    }
}

async fn config(
    runtime: &DockerRuntime,
    run: &Run<'_>,
    folder: &OwnFolder,
    image: &ImageConfig,
) -> Result<ContainerCreateBody, ConfigError> {
    let (assignment, container) = (run.assignment, run.container);
    let fields =
        Fields { metadata: &assignment.metadata, spec: &assignment.spec, host: &runtime.host };
    let sources =
        Sources::load(run.objects, &assignment.namespace, &assignment.spec, container).await;
    let sources = sources.map_err(|error| ConfigError::Missing(error.to_string()))?;
    let variables = env::variables(container, &assignment.token, &fields, &sources)?;
    let volumes = Volumes {
        fields,
        container,
        folder: run.folder,
        places: &runtime.places,
        sources: &sources,
        variables: &variables,
    };
    let secrets = config::secrets(container, image, &variables).map(|content| {
        let written = run.folder.write_secrets(&container.name, &content);
        written.map_err(|error| ConfigError::Host(error.to_string()))
    });
    config::container(Parts {
        common: &runtime.common,
        assignment,
        container,
        network: &run.network,
        folder,
        image,
        variables: &variables,
        secrets: secrets.transpose()?,
        mounts: volumes.mounts()?,
    })
}

/// Creates the container; a leftover of an earlier attempt of the same name goes first.
async fn create(engine: &Engine, name: &str, config: ContainerCreateBody) -> Result<(), Outcome> {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    for last_try in [false, true] {
        let created = engine.docker.create_container(Some(options.clone()), config.clone()).await;
        let error = match created {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        match status(&error) {
            Some(409) if !last_try => {
                info!(container = name, "a leftover has the container's name; removed");
                let removed = remove(engine, name).await;
                removed.map_err(|error| lost(START_FAILED, error.to_string(), false))?;
            }
            Some(400) => {
                return Err(Outcome::StartError {
                    reason: CONFIG_ERROR.into(),
                    message: message(&error),
                    code: 128,
                });
            }
            Some(404 | 500) => return Err(start_error(&message(&error), 0)),
            _ => return Err(lost(START_FAILED, format!("Docker: {}", message(&error)), false)),
        }
    }
    Err(lost(START_FAILED, "the container's name stays taken", false))
}
