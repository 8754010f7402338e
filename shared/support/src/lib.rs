//! What every Longshore program needs and none of its domain: settings, retry
//! with back-off, clocks, logging, shutdown by signal, exit codes.

pub mod chain;
pub mod clock;
pub mod config;
pub mod exit;
pub mod format;
pub mod retry;
pub mod shutdown;
pub mod telemetry;
pub mod tls;

/// This machine's host name, the default name of a coordinator or worker.
/// Characters that a Kubernetes name can't have become `-`.
pub fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let name = name.trim_matches(['-', '.']);
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}
