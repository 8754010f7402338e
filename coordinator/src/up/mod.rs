//! The local cluster: `longshore up` and `longshore down`.

mod plan;
mod ports;
mod process;
mod ready;
mod record;
mod run;
mod services;

use std::env;
use std::io;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use longshore_support::exit;
use thiserror::Error;

pub(crate) use process::{MEMBER, become_member};

/// Starts a cluster on this machine: Redis, RabbitMQ, coordinators, workers.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    options: UpOptions,
    #[command(flatten)]
    data: DataArg,
    #[command(subcommand)]
    action: Option<MemberAction>,
}

#[derive(Debug, Args)]
pub(crate) struct DataArg {
    /// The cluster's folder [default: $XDG_STATE_HOME/longshore or ~/.local/state/longshore]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct UpOptions {
    /// Workers to start
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=100))]
    workers: u32,
    /// Attempts that each worker may run at once
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    slots: u32,
    /// Coordinators to start
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    coordinators: u32,
    /// Where the first coordinator listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8878")]
    listen: std::net::SocketAddr,
    /// Use this Redis, start none
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
    /// Use this RabbitMQ, start none
    #[arg(long, value_name = "URL")]
    amqp_url: Option<String>,
    /// Where the Docker daemon listens
    #[arg(long, value_name = "URL")]
    docker_host: Option<String>,
    /// Return once the cluster is ready and leave it running
    #[arg(long)]
    detach: bool,
}

#[derive(Debug, Subcommand)]
enum MemberAction {
    /// Start a member that has ended, on the ports it had
    Start { member: String },
    /// Stop one member
    Stop {
        member: String,
        /// With SIGKILL
        #[arg(long)]
        kill: bool,
    },
}

/// Takes a local cluster down; its data and logs stay.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    data: DataArg,
}

/// Why a cluster could not be started, changed or stopped.
#[derive(Debug, Error)]
pub(crate) enum UpError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{} holds no local cluster", .0.display())]
    NoCluster(PathBuf),
    #[error("another command is changing the cluster in {} just now", .0.display())]
    Busy(PathBuf),
    #[error(
        "the cluster in {} is running ({running}); `longshore down` ends it, --data DIR starts another",
        .dir.display()
    )]
    Running { dir: PathBuf, running: String },
    #[error("{} can't be read", .0.display())]
    Record(PathBuf, #[source] serde_json::Error),
    #[error("no member {name}; there are {known}")]
    NoMember { name: String, known: String },
    #[error("--listen {0}: {1}")]
    Listen(std::net::SocketAddr, #[source] io::Error),
    #[error("{program} is not there; it is built along with longshore", program = .0.display())]
    NoWorker(PathBuf),
    #[error("{name} could not be started")]
    Spawn {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("{name} ended; the end of {}:\n{tail}", .log.display())]
    Ended { name: String, log: PathBuf, tail: String },
    #[error("{name} was not ready within {seconds} s; the end of {}:\n{tail}", .log.display())]
    NotReady { name: String, seconds: u64, log: PathBuf, tail: String },
    #[error("interrupted")]
    Interrupted,
}

/// `longshore up`: exit code, or why it failed.
pub(crate) async fn up(args: UpArgs) -> Result<u8, UpError> {
    let dir = args.data.dir();
    match args.action {
        None => run::up(&dir, &args.options).await?,
        Some(MemberAction::Start { member }) => run::start_member(&dir, &member).await?,
        Some(MemberAction::Stop { member, kill }) => run::stop_member(&dir, &member, kill).await?,
    }
    Ok(exit::DONE)
}

/// `longshore down`.
pub(crate) async fn down(args: DownArgs) -> Result<u8, UpError> {
    run::down(&args.data.dir()).await?;
    Ok(exit::DONE)
}

/// The kubeconfig of the local cluster in the default folder, if there is one.
pub(crate) fn default_kubeconfig() -> Option<PathBuf> {
    Some(default_dir().join("kubeconfig")).filter(|path| path.is_file())
}

impl DataArg {
    fn dir(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(default_dir)
    }
}

fn default_dir() -> PathBuf {
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    state.or_else(home).unwrap_or_else(env::temp_dir).join("longshore")
}
