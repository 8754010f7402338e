//! Logging: `tracing` to standard error, as text or as JSON.

use std::io::{self, IsTerminal};

use thiserror::Error;
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSettings};

#[derive(Debug, Error)]
pub enum TelemetryError {
    #[error("log.filter: {0:?} is not a filter")]
    Filter(String, #[source] tracing_subscriber::filter::ParseError),
    #[error("logging was already set up")]
    Twice(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends the program's log to standard error. Once per process.
///
/// # Errors
/// A filter that doesn't parse, or a second call.
pub fn init(settings: &LogSettings) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&settings.filter)
        .map_err(|error| TelemetryError::Filter(settings.filter.clone(), error))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    match settings.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(TelemetryError::Twice)
}
