//! `longshore-worker`: runs attempts of Jobs on a Docker host.
//!
//! A slot takes a ticket from RabbitMQ, claims its attempt in Redis, runs the container, reports its
//! outcome, and only then removes what is left of it. A lease gives this worker the right to do so,
//! and each container ends by itself when the lease does.

mod adopt;
mod assignment;
mod attempt;
mod claim;
mod contact;
mod context;
mod control;
mod folder;
mod health;
mod heartbeat;
mod held;
mod lease;
mod note;
mod output;
mod own_folder;
mod pod;
mod pulse;
mod runtime;
mod settings;
mod slots;
mod sources;
mod sweep;
mod worker;

use std::process::ExitCode;

use clap::Parser;
use longshore_support::{exit, shutdown, telemetry};
use tracing::error;

use settings::Flags;

fn main() -> ExitCode {
    let flags = Flags::parse();
    let settings = match flags.settings() {
        Ok(settings) => settings,
        Err(error) => return fail(exit::USAGE, &error),
    };
    if let Err(error) = telemetry::init(&settings.log) {
        return fail(exit::USAGE, &error);
    }
    settings.announce();
    longshore_support::tls::choose_provider();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(exit::FAILED, &error),
    };
    let ended = runtime.block_on(async {
        let shutdown = shutdown::on_signals()?;
        worker::run(settings, shutdown).await.map_err(Box::<dyn std::error::Error>::from)
    });
    match ended {
        Ok(()) => ExitCode::from(exit::DONE),
        Err(cause) => {
            error!(error = &*cause, "ended");
            fail(exit::FAILED, &*cause)
        }
    }
}

/// Prints an error with its causes.
fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(&format!(": {error}"));
        cause = error.source();
    }
    eprintln!("longshore-worker: {message}");
    ExitCode::from(code)
}
