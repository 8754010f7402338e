//! An attempt's image: there, or pulled, or the attempt fails.

use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::TryStreamExt;
use longshore_job::Outcome;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::info;

use super::config::ImageConfig;
use super::engine::{Engine, message, status};
use super::exit::lost;
use crate::health::START_FAILED;
use crate::runtime::{Progress, Stage};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Makes sure that the image is on the host, as `imagePullPolicy` has it, and reads what it runs.
///
/// While it can't be pulled the attempt waits with Kubernetes' reasons, at most for `bound`: then it
/// fails with `ErrImagePull`. An image that may never be pulled and isn't there fails at once.
pub(super) async fn ensure(
    engine: &Engine,
    image: &str,
    policy: &str,
    bound: Duration,
    credentials: &[DockerCredentials],
    progress: &Progress,
) -> Result<ImageConfig, Outcome> {
    if policy != "Always" {
        match engine.docker.inspect_image(image).await {
            Ok(found) => return Ok(read(found)),
            Err(error) if status(&error) == Some(404) && policy == "Never" => {
                let message =
                    format!("Container image {image:?} is not present with pull policy of Never");
                return Err(refused("ErrImageNeverPull", message));
            }
            Err(error) if status(&error) == Some(404) => {}
            Err(error) => return Err(unusable(image, &error)),
        }
    }
    let end = Instant::now() + bound;
    let mut pause = FIRST_PAUSE;
    loop {
        let why = match timeout_at(end, pull(engine, image, credentials)).await {
            Ok(Ok(())) => match engine.docker.inspect_image(image).await {
                Ok(found) => return Ok(read(found)),
                Err(error) => return Err(unusable(image, &error)),
            },
            Ok(Err(error)) if status(&error) == Some(400) => return Err(unusable(image, &error)),
            Ok(Err(error)) => message(&error),
            Err(_) => format!("the pull took longer than {} s", bound.as_secs()),
        };
        let why = format!("failed to pull image {image:?}: {why}");
        if Instant::now() + pause >= end {
            return Err(refused("ErrImagePull", why));
        }
        info!(image, why, "the image can't be pulled");
        progress.send_replace(Stage::Waiting { reason: "ErrImagePull", message: why });
        sleep(pause / 2).await;
        progress.send_replace(Stage::Waiting {
            reason: "ImagePullBackOff",
            message: format!("Back-off pulling image {image:?}"),
        });
        sleep(pause / 2).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Pulls with the first credentials that the registry takes; without any, as nobody.
async fn pull(
    engine: &Engine,
    image: &str,
    credentials: &[DockerCredentials],
) -> Result<(), Error> {
    let (last, others) = match credentials.split_last() {
        Some((last, others)) => (Some(last.clone()), others),
        None => (None, credentials),
    };
    for credentials in others {
        if pull_as(engine, image, Some(credentials.clone())).await.is_ok() {
            return Ok(());
        }
    }
    pull_as(engine, image, last).await
}

async fn pull_as(
    engine: &Engine,
    image: &str,
    credentials: Option<DockerCredentials>,
) -> Result<(), Error> {
    let (name, tag) = split(image);
    let mut options = CreateImageOptionsBuilder::default().from_image(name);
    if let Some(tag) = tag {
        options = options.tag(tag);
    }
    engine
        .docker
        .create_image(Some(options.build()), None, credentials)
        .try_for_each(|_| async { Ok(()) })
        .await
}

/// The image's name and its tag or digest; without one, Docker would pull every tag.
fn split(image: &str) -> (&str, Option<&str>) {
    if let Some((name, digest)) = image.split_once('@') {
        return (name, Some(digest));
    }
    match image.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, Some("latest")),
    }
}

fn read(image: bollard::models::ImageInspect) -> ImageConfig {
    let config = image.config.unwrap_or_default();
    ImageConfig {
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
    }
}

fn unusable(image: &str, error: &Error) -> Outcome {
    match status(error) {
        Some(400) => refused("InvalidImageName", format!("image {image:?}: {}", message(error))),
        _ => lost(START_FAILED, format!("image {image:?}: {}", message(error)), false),
    }
}

fn refused(reason: &str, message: String) -> Outcome {
    Outcome::StartError { reason: reason.into(), message, code: 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_from_its_tag() {
        for (image, name, tag) in [
            ("busybox", "busybox", "latest"),
            ("busybox:1.36", "busybox", "1.36"),
            ("localhost:5000/a/b", "localhost:5000/a/b", "latest"),
            ("localhost:5000/a/b:c", "localhost:5000/a/b", "c"),
            ("a@sha256:1f", "a", "sha256:1f"),
        ] {
            assert_eq!(split(image), (name, Some(tag)));
        }
    }
}
