//! A worker's life: it starts, takes up what was running, serves, and drains.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use longshore_broker::{BrokerSettings, Consumer};
use longshore_store::{Seal, SealError, Store, StoreError, StoreSettings};
use longshore_support::config::{Runtime as RuntimeKind, Settings};
use longshore_support::retry::{self, Failure, GaveUp, Policy, Server};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use crate::attempt::Attempt;
use crate::contact::Contact;
use crate::context::{Context, now};
use crate::folder::Folders;
use crate::health::Health;
use crate::held::Attempts;
use crate::pulse::Pulse;
use crate::runtime::docker::{Claims, DockerRuntime, HostPaths, Places};
use crate::runtime::null::Null;
use crate::runtime::{Runtime, RuntimeError};
use crate::{adopt, heartbeat, lease, slots, sweep};

/// Why a worker can't start, or had to end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    #[error("the state folder {} can't be used", .folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("another worker runs with the state folder {}", .0.display())]
    Locked(PathBuf),
    #[error("the setting rabbitmq.url is not a URL: {0}")]
    BrokerUrl(String),
    #[error("setting secrets.key_file: it can't be read")]
    SecretsFile(#[source] io::Error),
    #[error("settings secrets.key and secrets.key_file")]
    Secrets(#[source] SealError),
    #[error("Redis can't be used")]
    Store(#[from] StoreError),
    #[error("the lease keeper can't be started")]
    Keeper(#[source] io::Error),
    #[error("another process has the name {0:?}: each worker needs a name of its own")]
    Fenced(String),
}

/// Runs a worker until `shutdown`, and then drains it.
pub(crate) async fn run(
    settings: Settings,
    shutdown: CancellationToken,
) -> Result<(), WorkerError> {
    let folder = &settings.worker.state_dir;
    let unusable = |source| WorkerError::Folder { folder: folder.clone(), source };
    fs::create_dir_all(folder).map_err(unusable)?;
    let _lock = lock(folder)?;
    let folders = Folders::prepare(folder, &settings.worker.memory_dir).map_err(unusable)?;

    // A worker that waits for its servers ends at once.
    let key = settings.secrets.key().map_err(WorkerError::SecretsFile)?;
    let seal = key.map(|key| Seal::new(&key)).transpose().map_err(WorkerError::Secrets)?;
    let redis = StoreSettings::new(settings.redis.url.expose()).with_seal(seal);
    let started = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        started = start(&settings, folders, &redis) => started?,
    };
    serve(started, &settings, redis, shutdown).await
}

/// Keeps a second process away from the folder for as long as this one lives.
fn lock(folder: &Path) -> Result<File, WorkerError> {
    let unusable = |source| WorkerError::Folder { folder: folder.to_owned(), source };
    let file = File::create(folder.join("lock")).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(WorkerError::Locked(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

struct Started {
    context: Arc<Context>,
    adopted: Vec<Attempt>,
    /// Ends the link to RabbitMQ.
    unlink: CancellationToken,
}

/// Waits for Redis, the runtime and RabbitMQ, and takes up what was running.
async fn start(
    settings: &Settings,
    folders: Folders,
    redis: &StoreSettings,
) -> Result<Started, WorkerError> {
    let name = settings.worker.name_or_host();
    let never = CancellationToken::new();
    let server = Server::new("Redis", &settings.redis.url);
    let store = retry::forever(&server, Policy::SERVER, &never, || async {
        Store::connect(redis).await.map_err(|error| match error.is_transient() {
            true => Failure::Transient(error),
            false => Failure::Permanent(error),
        })
    });
    let store = match store.await {
        Ok(store) => store,
        Err(GaveUp::Permanent(error)) => return Err(error.into()),
        Err(_) => std::future::pending().await,
    };

    let (runtime, runtime_name) = runtime(settings, &store, &name).await;
    let broker =
        BrokerSettings::new(settings.rabbitmq.url.expose()).map_err(WorkerError::BrokerUrl)?;
    let unlink = CancellationToken::new();
    let consumer = Consumer::start(broker, &name, unlink.clone());
    let lease = settings.lease.length;
    let context = Arc::new(Context {
        session: Uuid::new_v4().to_string(),
        name,
        store,
        consumer,
        runtime,
        runtime_name,
        folders,
        attempts: Attempts::new(settings.lease.margin),
        contact: Contact::new(lease.saturating_sub(settings.lease.margin)),
        health: Health::default(),
        pulse: Pulse::new(lease),
        slots: settings.worker.slots,
        started: now(),
        lease,
        ack_after: settings.worker.ack_after,
        log_bytes: settings.worker.log_bytes.0,
        draining: CancellationToken::new(),
        fenced: CancellationToken::new(),
    });
    let adopted = adopt::adopt(&context).await?;
    Ok(Started { context, adopted, unlink })
}

async fn runtime(
    settings: &Settings,
    store: &Store,
    name: &str,
) -> (Arc<dyn Runtime>, &'static str) {
    let worker = &settings.worker;
    if worker.runtime == RuntimeKind::Null {
        warn!("the null runtime runs no container: this worker only measures");
        let null = Null {
            duration: worker.null.duration,
            fail_rate: worker.null.fail_rate,
            fail_once_in: worker.null.fail_once_in,
        };
        return (Arc::new(null), "null");
    }
    let server = Server::new("Docker", &worker.docker_host);
    let never = CancellationToken::new();
    let connected = retry::forever(&server, Policy::SERVER, &never, || async {
        let places = Places {
            host_paths: HostPaths::new(worker.host_paths.clone()),
            claims: Claims::new(settings.policy.claims.clone()),
        };
        let connect = DockerRuntime::connect(
            &worker.docker_host,
            store.cluster_id(),
            name,
            places,
            worker.pull_timeout,
        );
        Ok::<_, Failure<RuntimeError>>(connect.await?)
    });
    match connected.await {
        Ok(docker) => (Arc::new(docker), "docker"),
        Err(_) => std::future::pending().await,
    }
}

async fn serve(
    started: Started,
    settings: &Settings,
    redis: StoreSettings,
    shutdown: CancellationToken,
) -> Result<(), WorkerError> {
    let Started { context, adopted, unlink } = started;
    let end = CancellationToken::new();
    let keeper = lease::start(context.clone(), redis, end.clone()).map_err(WorkerError::Keeper)?;
    let mut helpers = JoinSet::new();
    let swept = context.clone();
    helpers.spawn(async move { sweep::run(&swept).await });
    let alive = context.clone();
    helpers.spawn(async move { alive.pulse.run().await });
    let (left_behind, outdated) = oneshot::channel();
    let beating = context.clone();
    helpers.spawn(async move {
        let Err(error) = heartbeat::run(&beating).await;
        let _ = left_behind.send(error);
    });
    let mut work = JoinSet::new();
    let count = adopted.len().max(context.slots as usize);
    let mut adopted = adopted.into_iter();
    for slot in 0..count {
        let (context, first) = (context.clone(), adopted.next());
        work.spawn(async move {
            if slot < context.slots as usize {
                slots::run(context, first).await;
            } else if let Some(attempt) = first {
                // More than there are slots now: they were fewer before.
                attempt.run(&context).await;
            }
        });
    }
    info!(
        name = context.name,
        slots = context.slots,
        session = context.session,
        "ready for tickets"
    );

    let fenced = tokio::select! {
        () = shutdown.cancelled() => false,
        () = context.fenced.cancelled() => true,
        // Without a drain: the release that is installed in its place takes up what runs.
        Ok(error) = outdated => return Err(error.into()),
    };
    context.draining.cancel();
    if fenced {
        context.attempts.give_up();
    }
    drain(&context, &mut work, settings.worker.drain_timeout).await;
    helpers.shutdown().await;
    unlink.cancel();
    end.cancel();
    join(keeper).await;
    if fenced {
        return Err(WorkerError::Fenced(context.name.clone()));
    }
    heartbeat::farewell(&context).await;
    info!("drained");
    Ok(())
}

/// Lets running attempts finish within the bound, and then has the rest stopped and handed back.
async fn drain(context: &Context, work: &mut JoinSet<()>, bound: Duration) {
    let all_ended = async |work: &mut JoinSet<()>| while work.join_next().await.is_some() {};
    info!(seconds = bound.as_secs(), "draining");
    if timeout(bound, all_ended(work)).await.is_err() {
        warn!("stopping what still runs");
        context.attempts.drain();
        tokio::select! {
            () = all_ended(work) => {}
            // As after a kill: the containers end with their leases, and the next start reports what is
            // still this worker's by then.
            () = context.contact.silent() => warn!("Redis does not answer: leaving what is not reported"),
        }
    }
}

async fn join(keeper: std::thread::JoinHandle<()>) {
    let joined: JoinHandle<_> = tokio::task::spawn_blocking(move || keeper.join());
    if !matches!(joined.await, Ok(Ok(()))) {
        warn!("the lease keeper ended badly");
    }
}
