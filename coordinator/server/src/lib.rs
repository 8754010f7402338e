//! The API server: Longshore's Jobs, Pods, Events, Nodes and Namespaces in the Kubernetes API.
//!
//! Any coordinator answers any request. It reads Redis and writes through the store's scripts, and
//! keeps nothing of its own but the hub that reads the change log once for all watchers.

mod archived;
mod body;
mod configs;
mod deletion;
mod discovery;
mod errors;
mod events;
mod jobs;
mod listing;
mod namespaces;
mod negotiate;
mod nodes;
mod objects;
mod pod_log;
mod pods;
mod respond;
mod router;
mod served;
mod watch;
mod writing;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use longshore_api::policy::ClusterPolicy;
use longshore_api::spec::ClusterDefaults;
use longshore_archive::Archive;
use longshore_store::Store;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::objects::Objects;
use crate::watch::{Hub, Resolver};

/// How long requests that are under way may go on after the shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// What the API server must be told.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Where it listens: `host:port`.
    pub listen: String,
    /// The cluster's settings that a Job may override.
    pub defaults: ClusterDefaults,
    /// What Jobs may ask for beyond the harmless.
    pub policy: ClusterPolicy,
    /// How long a worker's heartbeat may be missing before its Node is shown as not ready.
    pub node_grace: Duration,
    /// Where Pods are looked for that Redis has no more, if anywhere.
    pub archive: Option<Archive>,
}

/// Why the server could not run. Redis being away is no such reason: requests are answered with 503
/// until it is back.
#[derive(Debug, Error)]
pub enum ServerError {
    #[error("can't listen on {address}")]
    Listen {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("the API server broke down")]
    Serve(#[source] io::Error),
}

/// Serves on the address of the settings until `shutdown` is cancelled.
///
/// # Errors
/// [`ServerError::Listen`] if the address can't be had.
pub async fn run(
    settings: ServerSettings,
    store: Store,
    shutdown: CancellationToken,
) -> Result<(), ServerError> {
    let address = settings.listen.clone();
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|source| ServerError::Listen { address, source })?;
    run_on(listener, settings, store, shutdown).await
}

/// Serves on a socket that listens already, whatever the address in the settings.
///
/// # Errors
/// [`ServerError::Serve`] if the socket fails.
pub async fn run_on(
    listener: TcpListener,
    settings: ServerSettings,
    store: Store,
    shutdown: CancellationToken,
) -> Result<(), ServerError> {
    // Requests end with the server, also when this future is dropped.
    let stop = shutdown.child_token();
    let _stopped_when_dropped = stop.clone().drop_guard();
    let ServerSettings { defaults, policy, node_grace, archive, .. } = settings;
    let objects = Objects::new(store.clone(), defaults.clone(), node_grace);
    let hub = Hub::start(store.clone(), Resolver::new(objects.clone()), stop.clone());
    let app =
        App(Arc::new(Shared { store, objects, hub, defaults, policy, archive, shutdown: stop }));
    if let Ok(address) = listener.local_addr() {
        tracing::info!("the API server listens on http://{address}");
    }
    let stop = app.shutdown.clone();
    // An event of a watch is small and must not wait for the next one.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("TCP_NODELAY: {error}");
        }
    });
    let serve = axum::serve(listener, router::router(app.clone()))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serve => served.map_err(ServerError::Serve),
        () = late => Ok(()),
    }
}

/// What every request needs.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) objects: Objects,
    pub(crate) hub: Hub,
    pub(crate) defaults: ClusterDefaults,
    pub(crate) policy: ClusterPolicy,
    pub(crate) archive: Option<Archive>,
    /// Ends watches and followed logs.
    pub(crate) shutdown: CancellationToken,
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
