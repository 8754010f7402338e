//! The settings of a file and of the environment.

use std::collections::HashMap;
use std::path::Path;

use longshore_support::config::{ConfigError, Settings};

/// `data` is a file of settings; behind a zero byte there may be variables, `NAME=value`, one a line.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (file, variables) = text.split_once('\0').unwrap_or((text, ""));
    let variables: HashMap<String, String> = variables
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    match Settings::parse(Path::new("longshore.toml"), file, variables) {
        Ok(settings) => sound(&settings),
        Err(error) => {
            let text = error.to_string();
            let names_file = text.contains("longshore.toml");
            match error {
                ConfigError::File { .. } | ConfigError::UnknownKey { .. } => assert!(names_file),
                ConfigError::Range { key, .. } => assert!(text.contains(key)),
                ConfigError::Value(_) => assert!(names_setting(&text), "{text:?} names no setting"),
            }
        }
    }
}

fn sound(settings: &Settings) {
    assert!((1..=99).contains(&settings.coordinator.shards) && settings.worker.slots > 0);
    assert!(settings.lease.margin < settings.lease.length);
    assert!(settings.backoff.base <= settings.backoff.cap);
    assert!(settings.worker.host_paths.iter().all(|folder| folder.has_root()));
    // What is logged at the start.
    assert!(serde_json::to_string(settings).is_ok());
    let key = settings.secrets.key.expose();
    if key.len() >= 20 {
        assert!(!format!("{:?}", settings.secrets).contains(key), "the key is shown");
    }
}

fn names_setting(text: &str) -> bool {
    let defaults = serde_json::to_value(Settings::default()).expect("settings are JSON");
    defaults
        .as_object()
        .is_some_and(|sections| sections.keys().any(|section| text.contains(section)))
}
