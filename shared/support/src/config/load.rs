//! Putting the layers together, and judging the result.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Config, Environment, File, FileFormat, Source};
use serde_json::Value;
use thiserror::Error;
use tracing::{info, warn};

use super::sections::{Runtime, Settings};

const PREFIX: &str = "LONGSHORE";

#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("{}: {reason}", .file.display())]
    File { file: PathBuf, reason: String },
    #[error("{}: unknown setting {key}{}", .file.display(), hint(.key))]
    UnknownKey { file: PathBuf, key: String },
    #[error("settings: {0}")]
    Value(config::ConfigError),
    #[error("setting {key}: {reason}")]
    Range { key: &'static str, reason: &'static str },
}

impl Settings {
    /// Reads the layers: defaults, `file`, the environment, `flags` as pairs
    /// such as `("worker.slots", "4")`; the later wins.
    ///
    /// # Errors
    /// A file that can't be read or parsed, or that has an unknown key; a value
    /// of the wrong type or out of range. The message names the key, and never
    /// a secret's value.
    pub fn load(file: Option<&Path>, flags: &[(&str, String)]) -> Result<Self, ConfigError> {
        let text = file.map(read).transpose()?;
        Self::layered(file.zip(text.as_deref()), flags, environment())
    }

    /// Reads the same layers from what is given: the text of a file, with its name for messages, and
    /// variables in place of the environment's.
    ///
    /// # Errors
    /// As [`Settings::load`], but for those of reading a file.
    pub fn parse(
        file: &Path,
        text: &str,
        variables: HashMap<String, String>,
    ) -> Result<Self, ConfigError> {
        Self::layered(Some((file, text)), &[], variables)
    }

    /// Logs the settings in force, secrets redacted, and warns of variables that
    /// look like settings and are none. Call it once logging is set up.
    pub fn announce(&self) {
        let text = serde_json::to_string(self).unwrap_or_default();
        info!("settings: {text}");
        for name in unknown_variables(environment().into_keys()) {
            warn!("{name} is no setting of Longshore: ignored");
        }
    }

    fn layered(
        file: Option<(&Path, &str)>,
        flags: &[(&str, String)],
        variables: HashMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let mut builder = Config::builder();
        if let Some((file, text)) = file {
            let source = File::from_str(text, FileFormat::Toml);
            refuse_unknown(file, &source)?;
            builder = builder.add_source(source);
        }
        // Nothing is guessed from the look of a value: a password of digits
        // stays text, and the setting's own type says how to read it.
        builder = builder.add_source(
            Environment::with_prefix(PREFIX)
                .prefix_separator("__")
                .separator("__")
                .ignore_empty(true)
                .source(Some(known_variables(variables))),
        );
        for (key, value) in flags {
            builder = builder.set_override(*key, value.clone()).map_err(ConfigError::Value)?;
        }
        let settings: Self =
            builder.build().and_then(Config::try_deserialize).map_err(|error| match file {
                // An origin that is text and not a file has no name of its own.
                Some((file, _)) if from_text(&error) => file_error(file, error.to_string()),
                _ => ConfigError::Value(error),
            })?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let range = |key, reason| Err(ConfigError::Range { key, reason });
        if !self.rabbitmq.names_single_nodes() {
            return range(
                "rabbitmq.url",
                "must be a URL for each node, separated by commas: amqp://…,amqp://…",
            );
        }
        if !(1..=99).contains(&self.coordinator.shards) {
            return range("coordinator.shards", "must be between 1 and 99");
        }
        if self.worker.slots == 0 {
            return range("worker.slots", "must be at least 1");
        }
        if self.worker.runtime == Runtime::Null && !self.worker.allow_null {
            return range(
                "worker.runtime",
                "the null runtime runs no container; set worker.allow_null = true as well to measure with it",
            );
        }
        if !(0.0..=1.0).contains(&self.worker.null.fail_rate) {
            return range("worker.null.fail_rate", "must be between 0 and 1");
        }
        if self.lease.length < Duration::from_secs(3) {
            return range("lease.length", "must be at least 3s");
        }
        if self.lease.margin >= self.lease.length / 2 {
            return range("lease.margin", "must be less than half of lease.length");
        }
        let is_place = |place: &String| {
            let share = place.strip_prefix("nfs://").and_then(|share| share.split_once('/'));
            place.starts_with('/') || share.is_some_and(|(server, _)| !server.is_empty())
        };
        if !self.policy.claims.values().all(is_place) {
            return range(
                "policy.claims",
                "must map each name to an absolute folder or to nfs://server/path",
            );
        }
        if self.backoff.base > self.backoff.cap {
            return range("backoff.base", "must not be more than backoff.cap");
        }
        Ok(())
    }
}

fn read(file: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(file).map_err(|error| file_error(file, error.to_string()))
}

fn file_error(file: &Path, reason: String) -> ConfigError {
    ConfigError::File { file: file.to_owned(), reason }
}

fn from_text(error: &config::ConfigError) -> bool {
    use config::ConfigError::{At, Type};
    match error {
        At { origin, .. } | Type { origin, .. } => {
            origin.as_deref().is_none_or(|origin| origin != "the environment")
        }
        _ => false,
    }
}

/// Every setting's key, `section.key`.
fn known_keys() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    collect_keys(&defaults, "", &mut keys);
    keys
}

/// Tables whose keys are the user's own.
const FREE: [&str; 1] = ["policy.claims"];

fn collect_keys(value: &Value, path: &str, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) if !FREE.contains(&path) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect_keys(value, &path, keys);
            }
        }
        _ => {
            keys.insert(path.to_owned());
        }
    }
}

/// Refuses a file with a key that is no setting, before any of it is taken: to the library a key may
/// also be a path, such as `a[4000000000]`, for which it makes all that room.
fn refuse_unknown(
    file: &Path,
    source: &File<config::FileSourceString, FileFormat>,
) -> Result<(), ConfigError> {
    let invalid = |error: config::ConfigError| file_error(file, error.to_string());
    let mut given = BTreeSet::new();
    for (key, value) in source.collect().map_err(invalid)? {
        let value = value.try_deserialize().map_err(invalid)?;
        collect_keys(&value, &key, &mut given);
    }
    match given.difference(&known_keys()).next() {
        None => Ok(()),
        Some(key) => Err(ConfigError::UnknownKey { file: file.to_owned(), key: key.clone() }),
    }
}

/// The process's variables that are text.
fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The variables that are settings. Any other could be a path to the library, as a key of a file can.
fn known_variables(variables: HashMap<String, String>) -> HashMap<String, String> {
    let known = known_keys();
    variables
        .into_iter()
        .filter(|(name, _)| setting_of(name).is_some_and(|key| is_known(&key, &known)))
        .collect()
}

/// The variables that look like settings and are none.
fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let known = known_keys();
    names.filter(|name| setting_of(name).is_some_and(|key| !is_known(&key, &known))).collect()
}

/// The key that a variable's name stands for, whether there is such a setting or not.
fn setting_of(variable: &str) -> Option<String> {
    let name = variable.to_ascii_lowercase();
    name.strip_prefix("longshore__").map(|key| key.replace("__", "."))
}

fn is_known(key: &str, known: &BTreeSet<String>) -> bool {
    known.contains(key) || is_free(key)
}

/// Whether the key is one of the user's own, in a table of such.
fn is_free(key: &str) -> bool {
    let own = FREE.iter().find_map(|table| key.strip_prefix(table)?.strip_prefix('.'));
    own.is_some_and(|own| !own.is_empty() && !own.contains(['[', ']', '.']))
}

/// `; did you mean worker.slots?` for a key that is close to a known one.
fn hint(key: &str) -> String {
    known_keys()
        .into_iter()
        .map(|known| (distance(key, &known), known))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, known)| format!("; did you mean {known}?"))
        .unwrap_or_default()
}

/// Edits that turn `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
