//! `longshore serve`: a coordinator, which is the API server and its share of
//! the shards' owners.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use longshore_api::policy::ClusterPolicy;
use longshore_api::spec::ClusterDefaults;
use longshore_archive::{Archive, ArchiveError, Credentials};
use longshore_broker::{BrokerSettings, Publisher};
use longshore_owner::{OwnerError, OwnerSettings};
use longshore_server::{ServerError, ServerSettings};
use longshore_store::{Seal, SealError, Store, StoreError, StoreSettings};
use longshore_support::config::{ArchiveSettings, ConfigError, Settings};
use longshore_support::retry::Policy;
use longshore_support::telemetry::TelemetryError;
use longshore_support::{chain::Chain, exit, shutdown, telemetry};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Between two tries to found or join the cluster; each try waits by itself.
const AGAIN: Policy = Policy::new(Duration::from_millis(200), Duration::from_secs(2));

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The settings, as in deploy/longshore.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// This coordinator's name [default: the host's]
    #[arg(long)]
    name: Option<String>,
    /// Where the API server listens [default: 127.0.0.1:8878]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

/// Why a coordinator ended by itself. A Redis or RabbitMQ that is away is no
/// reason: it is waited for.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error("signals can't be handled")]
    Signals(#[source] std::io::Error),
    #[error("setting rabbitmq.url: {0}")]
    Amqp(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("setting secrets.key_file: it can't be read")]
    SecretsFile(#[source] std::io::Error),
    #[error("settings secrets.key and secrets.key_file")]
    Secrets(#[source] SealError),
    #[error("the log archive")]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Owner(#[from] OwnerError),
}

/// Runs a coordinator until SIGTERM or SIGINT.
pub(crate) async fn serve(args: ServeArgs) -> Result<u8, ServeError> {
    let settings = settings(&args)?;
    telemetry::init(&settings.log)?;
    let name = settings.coordinator.name_or_host();
    info!("coordinator {name}, version {}", env!("CARGO_PKG_VERSION"));
    settings.announce();
    let shutdown = shutdown::on_signals().map_err(ServeError::Signals)?;
    let broker = BrokerSettings::new(settings.rabbitmq.url.expose()).map_err(ServeError::Amqp)?;

    let result = run(&settings, name, broker, &shutdown).await;
    if let Err(error) = &result {
        // In the log's own form too, as that is where it is looked for.
        error!("ended: {}", Chain(error));
    }
    result.map(|()| exit::DONE)
}

async fn run(
    settings: &Settings,
    name: String,
    broker: BrokerSettings,
    shutdown: &CancellationToken,
) -> Result<(), ServeError> {
    let Some(store) = connect(settings, shutdown).await? else {
        return Ok(());
    };
    let defaults = defaults(settings);
    let archive = archive(&settings.archive)?;
    let server = longshore_server::run(
        ServerSettings {
            listen: settings.coordinator.listen.clone(),
            defaults: defaults.clone(),
            policy: policy(settings),
            node_grace: settings.lease.length,
            archive: archive.clone(),
        },
        store.clone(),
        shutdown.clone(),
    );
    // It connects by itself, and again: without RabbitMQ Jobs are taken and
    // read, and attempts wait for their tickets.
    let publisher = Publisher::new(broker, &name);
    let owner = longshore_owner::run(
        OwnerSettings { name, listen: settings.coordinator.listen.clone(), defaults, archive },
        store,
        publisher,
        shutdown.clone(),
    );
    // If one of the two fails, the other ends in good order before the program
    // does.
    let server = ending(shutdown, async { server.await.map_err(ServeError::from) });
    let owner = ending(shutdown, async { owner.await.map_err(ServeError::from) });
    let (server, owner) = tokio::join!(server, owner);
    server.and(owner)
}

/// Runs a part; its end is the end of all.
async fn ending(
    shutdown: &CancellationToken,
    part: impl Future<Output = Result<(), ServeError>>,
) -> Result<(), ServeError> {
    let _all = shutdown.clone().drop_guard();
    part.await
}

/// Connects to Redis, however long that takes; none if the program is to end
/// before.
async fn connect(
    settings: &Settings,
    shutdown: &CancellationToken,
) -> Result<Option<Store>, ServeError> {
    let mut store = StoreSettings::new(settings.redis.url.expose())
        .with_shards(settings.coordinator.shards)
        .with_seal(seal(settings)?);
    store.events_per_job = settings.coordinator.events_per_job;
    let mut delays = AGAIN.delays();
    loop {
        let delay = delays.next().unwrap_or(AGAIN.cap);
        let attempt = async {
            match Store::connect(&store).await {
                Err(error) if error.is_transient() => {
                    if !error.is_logged() {
                        warn!("{}; trying on", Chain(&error));
                    }
                    tokio::time::sleep(delay).await;
                    Ok(None)
                }
                other => other.map(Some),
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            connected = attempt => if let Some(store) = connected? {
                return Ok(Some(store));
            },
        }
    }
}

fn settings(args: &ServeArgs) -> Result<Settings, ConfigError> {
    let mut flags = Vec::new();
    if let Some(name) = &args.name {
        flags.push(("coordinator.name", name.clone()));
    }
    if let Some(listen) = &args.listen {
        flags.push(("coordinator.listen", listen.clone()));
    }
    Settings::load(args.config.as_deref(), &flags)
}

/// The cluster's settings for what a Job leaves open.
fn defaults(settings: &Settings) -> ClusterDefaults {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let retention = Some(settings.coordinator.retention).filter(|time| !time.is_zero());
    ClusterDefaults {
        backoff: longshore_job::Backoff {
            base: millis(settings.backoff.base),
            cap: millis(settings.backoff.cap),
        },
        max_disruptions: settings.backoff.max_disruptions,
        lease: millis(settings.lease.length),
        retention: retention.map(millis),
    }
}

/// The key to the cluster's Secrets, if the settings have one.
fn seal(settings: &Settings) -> Result<Option<Seal>, ServeError> {
    let key = settings.secrets.key().map_err(ServeError::SecretsFile)?;
    key.map(|key| Seal::new(&key)).transpose().map_err(ServeError::Secrets)
}

/// What the settings allow Jobs.
fn policy(settings: &Settings) -> ClusterPolicy {
    let policy = &settings.policy;
    ClusterPolicy {
        host_network: policy.host_network,
        privileged: policy.privileged,
        capabilities: policy.capabilities.clone(),
        claims: policy.claims.keys().cloned().collect(),
        secrets: settings.secrets.has_key(),
    }
}

/// The archive of the settings, if they name one.
fn archive(settings: &ArchiveSettings) -> Result<Option<Archive>, ArchiveError> {
    if settings.url.is_empty() {
        return Ok(None);
    }
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let credentials = some(&settings.access_key_id).map(|access_key_id| Credentials {
        access_key_id,
        secret_access_key: settings.secret_access_key.expose().to_owned(),
    });
    Archive::open(&longshore_archive::ArchiveSettings {
        url: settings.url.clone(),
        retention: settings.retention,
        endpoint: some(&settings.endpoint),
        region: some(&settings.region),
        credentials,
    })
    .map(Some)
}
