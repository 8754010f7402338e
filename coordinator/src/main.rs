//! `longshore`: runs Kubernetes Jobs on a fleet of Docker hosts. One program
//! for the coordinator (`serve`), the local cluster (`up`, `down`) and the
//! command line.

mod cli;
mod serve;
mod up;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use longshore_support::chain::Chain;
use longshore_support::exit;

/// Runs Kubernetes Jobs on a fleet of Docker hosts
#[derive(Debug, Parser)]
#[command(name = "longshore", version, propagate_version = false, max_term_width = 100)]
struct Program {
    #[command(flatten)]
    server: cli::ServerArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a coordinator: the API server and the owners of the Jobs
    Serve(serve::ServeArgs),
    /// Start a cluster on this machine, or one of its members
    Up(up::UpArgs),
    /// Take the cluster on this machine down; its data and logs stay
    Down(up::DownArgs),
    #[command(flatten)]
    Client(cli::ClientCommand),
    /// Print a script that completes this command line
    Completion { shell: Shell },
    /// Starts a member of a local cluster in a session of its own
    #[command(name = up::MEMBER, hide = true)]
    Member {
        #[arg(last = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    let program = Program::parse();
    // These two need no runtime, and the second must not have one.
    match &program.command {
        Command::Completion { shell } => {
            clap_complete::generate(
                *shell,
                &mut Program::command(),
                "longshore",
                &mut io::stdout(),
            );
            return ExitCode::from(exit::DONE);
        }
        Command::Member { command } => {
            eprintln!("error: {}", up::become_member(command));
            return ExitCode::from(127);
        }
        _ => {}
    }
    longshore_support::tls::choose_provider();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the program's threads can't be started: {error}");
            return ExitCode::from(exit::FAILED);
        }
    };
    let code = runtime.block_on(run(program));
    // What still runs, such as a read of standard input, is not waited for.
    runtime.shutdown_background();
    ExitCode::from(code)
}

async fn run(program: Program) -> u8 {
    match program.command {
        Command::Serve(args) => told(serve::serve(args).await),
        Command::Up(args) => told(up::up(args).await),
        Command::Down(args) => told(up::down(args).await),
        Command::Client(command) => {
            cli::run(&program.server, command).await.unwrap_or_else(|error| {
                error.tell();
                error.exit_code()
            })
        }
        Command::Completion { .. } | Command::Member { .. } => exit::DONE,
    }
}

fn told<E: std::error::Error>(result: Result<u8, E>) -> u8 {
    result.unwrap_or_else(|error| {
        eprintln!("error: {}", Chain(&error));
        exit::FAILED
    })
}
