//! Jobs as tests write them.

use serde_json::{Value, json};

/// A Job of one busybox container, to be refined.
#[derive(Clone, Debug)]
pub struct Job(Value);

impl Job {
    /// A Job that runs a shell script once and isn't tried again.
    pub fn new(name: &str, script: &str) -> Self {
        Self(json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {
                "backoffLimit": 0,
                "template": {"spec": {
                    "restartPolicy": "Never",
                    "containers": [{
                        "name": "main",
                        "image": "busybox:1.36",
                        "command": ["sh", "-c", script],
                    }],
                }},
            },
        }))
    }

    /// `completionMode: Indexed`, with so many indexes, so many at once.
    pub fn indexed(self, completions: u32, parallelism: u32) -> Self {
        self.spec("completionMode", json!("Indexed"))
            .spec("completions", json!(completions))
            .spec("parallelism", json!(parallelism))
    }

    /// A field of `spec`.
    pub fn spec(self, field: &str, value: Value) -> Self {
        self.set(&format!("/spec/{field}"), value)
    }

    /// A field of the Pod template's spec.
    pub fn pod(self, field: &str, value: Value) -> Self {
        self.set(&format!("/spec/template/spec/{field}"), value)
    }

    /// A field of the container.
    pub fn container(self, field: &str, value: Value) -> Self {
        self.set(&format!("/spec/template/spec/containers/0/{field}"), value)
    }

    pub fn annotate(self, key: &str, value: &str) -> Self {
        // In a JSON pointer, `~1` stands for a slash.
        self.set(&format!("/metadata/annotations/{}", key.replace('/', "~1")), json!(value))
    }

    /// Failed attempts are tried again up to `limit` times, at once.
    pub fn retries(self, limit: u32) -> Self {
        self.spec("backoffLimit", json!(limit)).annotate("longshore.dev/backoff-base", "100ms")
    }

    /// Any field, by its JSON pointer; objects on the way are made.
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        let mut at = &mut self.0;
        for part in pointer.trim_start_matches('/').split('/') {
            let part = part.replace("~1", "/");
            at = match part.parse::<usize>() {
                Ok(position) if at.is_array() => &mut at[position],
                _ => &mut at[part],
            };
        }
        *at = value;
        self
    }

    pub fn value(&self) -> &Value {
        &self.0
    }

    pub fn yaml(&self) -> String {
        serde_yaml_ng::to_string(&self.0).unwrap_or_default()
    }
}
