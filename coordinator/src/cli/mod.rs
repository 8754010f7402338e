//! The command line: an ordinary Kubernetes client with kubectl's words.

mod apply;
mod change;
mod changes;
mod describe;
mod drain;
mod error;
mod get;
mod logs;
mod manifest;
mod merge;
mod names;
mod progress;
mod run;
mod session;
mod table;
mod wait;

use clap::{Args, Subcommand};
use longshore_support::exit;

pub(crate) use error::CliError;
pub(crate) use session::ServerArgs;
use session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Create Jobs from a file, or change them to be as it says
    Apply(apply::FileArgs),
    /// Create Jobs from a file
    Create(apply::FileArgs),
    /// Show jobs, pods, nodes or events
    Get(get::GetArgs),
    /// Show one job, pod or node with all that is known of it
    Describe(describe::DescribeArgs),
    /// Print the output of a Pod, or of all of a Job
    Logs(logs::LogsArgs),
    /// Wait for a condition
    Wait(wait::WaitArgs),
    /// Delete Jobs
    Delete(change::DeleteArgs),
    /// Stop a Job's containers and start none until it is resumed
    Suspend(change::JobArgs),
    /// Let a suspended Job go on
    Resume(change::JobArgs),
    /// Have workers take nothing more
    Cordon(drain::NodeArgs),
    /// Have workers take attempts again
    Uncordon(drain::NodeArgs),
    /// Cordon workers, and return when nothing runs there any more
    Drain(drain::DrainArgs),
    /// Create a Job, show its progress, and end as it ends
    Run(run::RunArgs),
    /// Show the versions of this program and of the server
    Version(VersionArgs),
}

#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// Only of this program, without asking the server
    #[arg(long)]
    client: bool,
}

/// Runs a command of the client; its exit code, or why it failed.
pub(crate) async fn run(server: &ServerArgs, command: ClientCommand) -> Result<u8, CliError> {
    if let ClientCommand::Version(args) = &command {
        println!("Client Version: v{}", env!("CARGO_PKG_VERSION"));
        if args.client {
            return Ok(exit::DONE);
        }
    }
    let session = Session::open(server).await?;
    match command {
        ClientCommand::Apply(args) => apply::apply(&session, &args).await,
        ClientCommand::Create(args) => apply::create(&session, &args).await,
        ClientCommand::Get(args) => get::get(&session, &args).await,
        ClientCommand::Describe(args) => describe::describe(&session, &args).await,
        ClientCommand::Logs(args) => logs::logs(&session, &args).await,
        ClientCommand::Wait(args) => wait::wait(&session, &args).await,
        ClientCommand::Delete(args) => change::delete(&session, &args).await,
        ClientCommand::Suspend(args) => change::set_suspend(&session, &args, true).await,
        ClientCommand::Resume(args) => change::set_suspend(&session, &args, false).await,
        ClientCommand::Cordon(args) => drain::set_unschedulable(&session, &args, true).await,
        ClientCommand::Uncordon(args) => drain::set_unschedulable(&session, &args, false).await,
        ClientCommand::Drain(args) => drain::drain(&session, &args).await,
        ClientCommand::Run(args) => run::run(&session, &args).await,
        ClientCommand::Version(_) => {
            let version = session.get("/version", &[]).await?;
            let version = version["gitVersion"].as_str().unwrap_or("unknown");
            println!("Server Version: {version} ({})", session.server());
            Ok(exit::DONE)
        }
    }
}
