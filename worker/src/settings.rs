//! The worker's flags, the last layer of its settings.

use std::path::PathBuf;

use clap::Parser;
use longshore_support::config::{ConfigError, Settings};

/// Runs the attempts of Longshore's Jobs on this Docker host.
#[derive(Debug, Parser)]
#[command(name = "longshore-worker", version)]
pub(crate) struct Flags {
    /// The worker's name, unique in the cluster [default: the host's name]
    #[arg(long)]
    name: Option<String>,
    /// How many attempts run here at once
    #[arg(long)]
    slots: Option<u32>,
    /// The folder of the worker's own files
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Where the Docker daemon listens, such as unix:///var/run/docker.sock
    #[arg(long, value_name = "URL")]
    docker_host: Option<String>,
    /// What runs the containers; null runs none and has to be allowed in the settings
    #[arg(long, value_parser = ["docker", "null"])]
    runtime: Option<String>,
    /// A TOML file with settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Flags {
    /// Defaults, file, environment, flags.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        let state_dir = self.state_dir.as_ref().map(|folder| folder.display().to_string());
        let flags: Vec<(&str, String)> = [
            ("worker.name", self.name.clone()),
            ("worker.slots", self.slots.map(|slots| slots.to_string())),
            ("worker.state_dir", state_dir),
            ("worker.docker_host", self.docker_host.clone()),
            ("worker.runtime", self.runtime.clone()),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
        Settings::load(self.config.as_deref(), &flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_the_last_layer() {
        let flags = Flags::parse_from(["longshore-worker", "--name", "w-1", "--slots", "7"]);
        let settings = flags.settings().expect("settings");
        assert_eq!(settings.worker.name_or_host(), "w-1");
        assert_eq!(settings.worker.slots, 7);
    }
}
