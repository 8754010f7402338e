//! What runs attempts: Docker, or nothing at all (for measuring the rest).

pub(crate) mod docker;
pub(crate) mod null;

use std::path::Path;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Container;
use longshore_job::Outcome;
use longshore_store::AttemptKey;

use crate::assignment::Assignment;
use crate::control::Control;
use crate::folder::Folder;
use crate::held::local_id;
use crate::output::Writer;
use crate::sources::Objects;

/// Runs the containers of attempts. Every method may be called at any time, also again.
pub(crate) trait Runtime: Send + Sync + 'static {
    /// What the machine is, over a fresh connection; the error says why the runtime isn't usable.
    fn facts(&self) -> BoxFuture<'_, Result<Facts, RuntimeError>>;

    /// Runs a container that does nothing; the error says why none can be started here. `launcher` is the
    /// launcher's file.
    fn probe<'a>(&'a self, launcher: &'a Path) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Runs one container to its end, from wherever its folder's note says that it is. When this returns,
    /// nothing of the container runs any more; what is left of it waits for [`Runtime::remove`].
    fn run<'a>(&'a self, run: Run<'a>) -> BoxFuture<'a, Ended>;

    /// Whether containers have networks, that another can hold for them.
    fn has_networks(&self) -> bool;

    /// Removes a container by name, running or not; one that isn't there is no error.
    fn remove<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// All containers of this cluster on this host, whichever worker's.
    fn containers(&self) -> BoxFuture<'_, Result<Vec<Found>, RuntimeError>>;
}

/// One container to run.
pub(crate) struct Run<'a> {
    pub(crate) assignment: &'a Assignment,
    pub(crate) container: &'a Container,
    pub(crate) network: Network,
    pub(crate) folder: &'a Folder,
    /// The ConfigMaps and Secrets that there are.
    pub(crate) objects: &'a dyn Objects,
    pub(crate) control: Control,
    pub(crate) progress: Progress,
    pub(crate) output: Writer,
}

/// Which network a container is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// One of its own, with a way out.
    Own,
    /// The host's.
    Host,
    /// That of another container.
    Of(String),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Outcome(Outcome),
    /// It was ordered to be gone: there is nothing to report.
    Gone,
}

/// A container that was found on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) key: AttemptKey,
    pub(crate) token: String,
    pub(crate) worker: String,
    /// Whether it may run; if not, it has ended or was never started.
    pub(crate) running: bool,
}

impl Found {
    /// What tells its attempt apart from the others on this host.
    pub(crate) fn local_id(&self) -> String {
        local_id(&self.key, &self.token)
    }
}

/// What is told about the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) runtime_version: String,
    pub(crate) os: String,
    pub(crate) arch: String,
    pub(crate) kernel: String,
    pub(crate) os_image: String,
    pub(crate) cpus: u32,
    /// In bytes.
    pub(crate) memory: u64,
}

/// Where an attempt stands before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Starting,
    /// Not running yet; Kubernetes' reason, such as `ImagePullBackOff`.
    Waiting {
        reason: &'static str,
        message: String,
    },
    Running,
}

/// Tells whoever waits where an attempt stands; only the latest stage counts.
pub(crate) type Progress = tokio::sync::watch::Sender<Stage>;

/// The runtime can't be used, or refused something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeError {
    #[error("Docker at {host}: {source}")]
    Docker { host: String, source: Box<bollard::errors::Error> },
    #[error("Docker at {host} did not answer within {seconds} s")]
    Silent { host: String, seconds: u64 },
}
