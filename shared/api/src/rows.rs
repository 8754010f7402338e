//! The columns and cells of each kind of object, as Kubernetes' own printers have them.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use longshore_job::Millis;
use serde_json::{Value, json};

use crate::human;
use crate::table::{Column, TableRow};
use crate::time::millis;

pub(crate) const NONE: &str = "<none>";

impl TableRow for Job {
    fn columns() -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            Column::name(),
            Column::text("Status", "Complete, Failed, Terminating, Suspended or Running."),
            Column::text("Completions", "Successes so far, and how many are needed."),
            Column::text("Duration", "The time from the Job's start to its completion, or to now."),
            Column::age(),
            Column::text("Containers", "The names of the Pods' containers.").wide(),
            Column::text("Images", "The images of the Pods' containers.").wide(),
            Column::text("Selector", "The labels by which the Job's Pods are found.").wide(),
        ];
        COLUMNS
    }

    fn cells(&self, now: Millis) -> Vec<Value> {
        let containers = self
            .spec
            .as_ref()
            .and_then(|spec| spec.template.spec.as_ref())
            .map(|pod| pod.containers.as_slice())
            .unwrap_or_default();
        let names: Vec<&str> = containers.iter().map(|c| c.name.as_str()).collect();
        let images: Vec<&str> =
            containers.iter().map(|c| c.image.as_deref().unwrap_or_default()).collect();
        let selector = self.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        vec![
            json!(name(&self.metadata)),
            json!(job_status(self)),
            json!(job_completions(self)),
            json!(job_duration(self, now)),
            json!(age(&self.metadata, now)),
            json!(names.join(",")),
            json!(images.join(",")),
            json!(selector.map_or(NONE.to_owned(), selector_text)),
        ]
    }
}

impl TableRow for ConfigMap {
    fn columns() -> &'static [Column] {
        const COLUMNS: &[Column] =
            &[Column::name(), Column::text("Data", "How many keys it has."), Column::age()];
        COLUMNS
    }

    fn cells(&self, now: Millis) -> Vec<Value> {
        let texts = self.data.as_ref().map_or(0, |data| data.len());
        let bytes = self.binary_data.as_ref().map_or(0, |data| data.len());
        vec![
            json!(name(&self.metadata)),
            json!((texts + bytes).to_string()),
            json!(age(&self.metadata, now)),
        ]
    }
}

impl TableRow for Secret {
    fn columns() -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            Column::name(),
            Column::text("Type", "What it is for."),
            Column::text("Data", "How many keys it has."),
            Column::age(),
        ];
        COLUMNS
    }

    fn cells(&self, now: Millis) -> Vec<Value> {
        vec![
            json!(name(&self.metadata)),
            json!(self.type_),
            json!(self.data.as_ref().map_or(0, |data| data.len()).to_string()),
            json!(age(&self.metadata, now)),
        ]
    }
}

impl TableRow for Node {
    fn columns() -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            Column::name(),
            Column::text("Status", "Whether the worker takes attempts."),
            Column::text("Roles", "Always none."),
            Column::age(),
            Column::text("Version", "The version of the worker."),
            Column::text("Internal-IP", "The worker's address.").wide(),
            Column::text("External-IP", "Always none.").wide(),
            Column::text("OS-Image", "The host's operating system.").wide(),
            Column::text("Kernel-Version", "The host's kernel.").wide(),
            Column::text("Container-Runtime", "What runs the containers, and its version.").wide(),
        ];
        COLUMNS
    }

    fn cells(&self, now: Millis) -> Vec<Value> {
        let status = self.status.as_ref();
        let ready = status
            .and_then(|status| status.conditions.as_ref())
            .and_then(|conditions| conditions.iter().find(|c| c.type_ == "Ready"));
        let mut shown = match ready.map(|condition| condition.status.as_str()) {
            Some("True") => "Ready",
            Some(_) => "NotReady",
            None => "Unknown",
        }
        .to_owned();
        if self.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
            shown.push_str(",SchedulingDisabled");
        }
        let address = |kind: &str| {
            status
                .and_then(|status| status.addresses.as_ref())
                .and_then(|addresses| addresses.iter().find(|address| address.type_ == kind))
                .map_or(NONE, |address| address.address.as_str())
        };
        let info = status.and_then(|status| status.node_info.as_ref());
        let unknown = |text: Option<&String>| match text {
            Some(text) if !text.is_empty() => json!(text),
            _ => json!("<unknown>"),
        };
        vec![
            json!(name(&self.metadata)),
            json!(shown),
            json!(NONE),
            json!(age(&self.metadata, now)),
            json!(info.map_or("", |info| info.kubelet_version.as_str())),
            json!(address("InternalIP")),
            json!(address("ExternalIP")),
            unknown(info.map(|info| &info.os_image)),
            unknown(info.map(|info| &info.kernel_version)),
            unknown(info.map(|info| &info.container_runtime_version)),
        ]
    }
}

impl TableRow for Event {
    fn columns() -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            Column::text("Last Seen", "The time since it happened last."),
            Column::text("Type", "Normal or Warning."),
            Column::text("Reason", "Why, in one word."),
            Column::text("Object", "What it is about."),
            Column::text("Subobject", "The part of the object that it is about.").wide(),
            Column::text("Source", "The component that tells it.").wide(),
            Column::text("Message", "What happened."),
            Column::text("First Seen", "The time since it happened first.").wide(),
            Column::text("Count", "How often it happened.").integer().wide(),
            Column::name().wide(),
        ];
        COLUMNS
    }

    fn cells(&self, now: Millis) -> Vec<Value> {
        let first = self.first_timestamp.as_ref().map(millis);
        let last = self.last_timestamp.as_ref().map(millis).or(first);
        let involved = &self.involved_object;
        let kind = involved.kind.as_deref().unwrap_or_default().to_lowercase();
        let object = match involved.name.as_deref() {
            Some(name) if !name.is_empty() => format!("{kind}/{name}"),
            _ => kind,
        };
        let source = self.source.as_ref().and_then(|source| source.component.as_deref());
        let text = |text: &Option<String>| json!(text.as_deref().unwrap_or_default().trim());
        vec![
            json!(human::age(last, now)),
            text(&self.type_),
            text(&self.reason),
            json!(object),
            text(&involved.field_path),
            json!(source.unwrap_or_default()),
            text(&self.message),
            json!(human::age(first, now)),
            json!(self.count.unwrap_or(1)),
            json!(name(&self.metadata)),
        ]
    }
}

impl TableRow for Namespace {
    fn columns() -> &'static [Column] {
        const COLUMNS: &[Column] =
            &[Column::name(), Column::text("Status", "Always Active."), Column::age()];
        COLUMNS
    }

    fn cells(&self, now: Millis) -> Vec<Value> {
        let phase = self.status.as_ref().and_then(|status| status.phase.as_deref());
        vec![
            json!(name(&self.metadata)),
            json!(phase.unwrap_or("Active")),
            json!(age(&self.metadata, now)),
        ]
    }
}

/// The status of a Job in one word, as `kubectl get` has it.
pub fn job_status(job: &Job) -> &'static str {
    let is_true = |kind: &str| {
        let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions
            .into_iter()
            .any(|condition| condition.type_ == kind && condition.status == "True")
    };
    if is_true("Complete") {
        "Complete"
    } else if is_true("Failed") {
        "Failed"
    } else if job.metadata.deletion_timestamp.is_some() {
        "Terminating"
    } else if is_true("Suspended") {
        "Suspended"
    } else if is_true("FailureTarget") {
        "FailureTarget"
    } else {
        "Running"
    }
}

/// How far a Job has come: `3/5`, or `1/1 of 3` for one without a number of completions.
pub fn job_completions(job: &Job) -> String {
    let succeeded = job.status.as_ref().and_then(|status| status.succeeded).unwrap_or(0);
    let spec = job.spec.as_ref();
    let parallelism = spec.and_then(|spec| spec.parallelism).unwrap_or(0);
    match spec.and_then(|spec| spec.completions) {
        Some(completions) => format!("{succeeded}/{completions}"),
        None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        None => format!("{succeeded}/1"),
    }
}

/// The time from a Job's start to its completion, or to now; empty before its start.
pub fn job_duration(job: &Job, now: Millis) -> String {
    let Some(status) = &job.status else { return String::new() };
    let end = status.completion_time.as_ref().map_or(now, millis);
    let start = status.start_time.as_ref().map(millis);
    start.map(|start| human::duration(end.saturating_sub(start))).unwrap_or_default()
}

pub(crate) fn name(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

pub(crate) fn age(metadata: &ObjectMeta, now: Millis) -> String {
    human::age(metadata.creation_timestamp.as_ref().map(millis), now)
}

fn selector_text(selector: &LabelSelector) -> String {
    let labels =
        selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    let expressions = selector.match_expressions.iter().flatten().map(|expression| {
        let values = expression.values.as_deref().unwrap_or_default().join(",");
        match expression.operator.as_str() {
            "Exists" => expression.key.clone(),
            "DoesNotExist" => format!("!{}", expression.key),
            operator => format!("{} {} ({values})", expression.key, operator.to_lowercase()),
        }
    });
    let all: Vec<String> = labels.chain(expressions).collect();
    if all.is_empty() { NONE.to_owned() } else { all.join(",") }
}
