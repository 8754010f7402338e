//! Containers on a Docker Engine: API 1.41 (20.10) and newer.

#[cfg(test)]
mod bench;
mod claims;
mod config;
#[cfg(test)]
mod deadline_tests;
mod engine;
mod env;
mod exit;
mod fields;
mod files;
mod follow;
mod host_paths;
mod image;
#[cfg(test)]
mod private_engine;
mod probe;
mod registry;
mod run;
mod security;
mod start;
#[cfg(test)]
mod template_tests;
mod termination;
#[cfg(test)]
mod tests;
mod volumes;
mod watch;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::models::ContainerSummaryStateEnum as State;
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;

pub(crate) use claims::Claims;
pub(crate) use host_paths::HostPaths;

use super::{Ended, Facts, Found, Run, Runtime, RuntimeError};
use config::Common;
use engine::{Engine, status};
use fields::Host;
use longshore_support::host_name;

/// Starts that may be under way at once; more only wait for each other inside the daemon.
const PARALLEL_STARTS: usize = 8;

/// A Docker daemon that runs a worker's containers.
pub(crate) struct DockerRuntime {
    engine: Engine,
    common: Common,
    host: Host,
    places: Places,
    /// How long an image may fail to be pulled, or a ConfigMap or Secret be missing, before the attempt
    /// fails.
    pull_timeout: Duration,
    starts: Semaphore,
    /// The image of the last start.
    last_image: Mutex<Option<String>>,
}

/// Where the volumes may be that outlive their Pods.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) host_paths: HostPaths,
    pub(crate) claims: Claims,
}

impl DockerRuntime {
    /// Connects to the daemon at a `unix://` or `tcp://` address. `cluster` is the cluster's id.
    pub(crate) async fn connect(
        host: &str,
        cluster: &str,
        worker: &str,
        places: Places,
        pull_timeout: Duration,
    ) -> Result<Self, RuntimeError> {
        let engine = Engine::connect(host).await?;
        let Facts { cpus, memory, .. } = engine.facts().await?;
        Ok(Self {
            engine,
            common: Common { cluster: cluster.to_owned(), worker: worker.to_owned(), cpus },
            host: Host { address: host_name(), cpus, memory },
            places,
            pull_timeout,
            starts: Semaphore::new(PARALLEL_STARTS),
            last_image: Mutex::default(),
        })
    }

    fn last_image(&self) -> Option<String> {
        self.last_image.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_last_image(&self, image: &str) {
        *self.last_image.lock().unwrap_or_else(PoisonError::into_inner) = Some(image.to_owned());
    }
}

impl Runtime for DockerRuntime {
    fn facts(&self) -> BoxFuture<'_, Result<Facts, RuntimeError>> {
        self.engine.facts().boxed()
    }

    fn probe<'a>(&'a self, launcher: &'a Path) -> BoxFuture<'a, Result<(), RuntimeError>> {
        probe::probe(self, launcher).boxed()
    }

    fn run<'a>(&'a self, run: Run<'a>) -> BoxFuture<'a, Ended> {
        run::run(self, run).boxed()
    }

    fn has_networks(&self) -> bool {
        true
    }

    fn remove<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        remove(&self.engine, container).boxed()
    }

    fn containers(&self) -> BoxFuture<'_, Result<Vec<Found>, RuntimeError>> {
        containers(&self.engine, &self.common.cluster).boxed()
    }
}

/// Tries of a removal: a container that has just ended can still be busy inside the daemon.
const REMOVE_TRIES: u32 = 8;

async fn remove(engine: &Engine, container: &str) -> Result<(), RuntimeError> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    let mut pause = Duration::from_millis(20);
    let mut tries = 0;
    loop {
        let removal = engine.docker.remove_container(container, Some(options.clone())).await;
        tries += 1;
        match removal {
            Ok(()) => return Ok(()),
            Err(error) if status(&error) == Some(404) => return Ok(()),
            Err(error) if tries == REMOVE_TRIES => return Err(engine.failure(error)),
            // 409: its removal is under way already; 500: the daemon is not done with its end.
            Err(error) if matches!(status(&error), Some(409 | 500)) => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Err(error) => return Err(engine.failure(error)),
        }
    }
}

async fn containers(engine: &Engine, cluster: &str) -> Result<Vec<Found>, RuntimeError> {
    let label = format!("{}={cluster}", config::CLUSTER);
    let filters = HashMap::from([("label".to_owned(), vec![label])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let list = engine.docker.list_containers(Some(options)).await;
    let found = list.map_err(|error| engine.failure(error))?.into_iter().filter_map(|summary| {
        let names = summary.names.unwrap_or_default();
        let running = !matches!(summary.state, Some(State::CREATED | State::EXITED | State::DEAD));
        config::found(names.first()?, &summary.labels.unwrap_or_default(), running)
    });
    Ok(found.collect())
}
