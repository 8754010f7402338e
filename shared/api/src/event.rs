//! Events about Jobs and Pods, merged as Kubernetes merges them.

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use longshore_job::Millis;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::time;

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Involved {
    /// `Job`, `Pod` or `Node`.
    pub kind: String,
    /// Empty for a Node.
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// An event as it is stored: one for each object, reason and message, with a count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEvent {
    pub namespace: String,
    /// The event's own name, which is also its id.
    pub name: String,
    pub involved: Involved,
    pub reason: String,
    pub message: String,
    pub warning: bool,
    /// The component that tells it, such as `job-controller`.
    pub source: String,
    pub count: u32,
    pub first: Millis,
    pub last: Millis,
}

impl StoredEvent {
    /// An event told for the first time. Its name follows from what it is about and what it tells, so
    /// that the same event told again gets the same name.
    pub fn new(
        involved: Involved,
        warning: bool,
        reason: &str,
        message: &str,
        source: &str,
        now: Millis,
    ) -> Self {
        let identity = format!("{}\n{warning}\n{reason}\n{message}\n{source}", involved.uid);
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, identity.as_bytes());
        let (id, _) = id.as_u64_pair();
        let namespace = if involved.namespace.is_empty() { "default" } else { &involved.namespace };
        Self {
            namespace: namespace.to_owned(),
            name: format!("{}.{id:016x}", involved.name),
            involved,
            reason: reason.to_owned(),
            message: message.to_owned(),
            warning,
            source: source.to_owned(),
            count: 1,
            first: now,
            last: now,
        }
    }

    /// Counts another event in, if it tells the same about the same object; `false` if it doesn't.
    pub fn merge(&mut self, other: &Self) -> bool {
        let same = self.involved == other.involved
            && self.reason == other.reason
            && self.message == other.message
            && self.warning == other.warning
            && self.source == other.source;
        if same {
            self.count = self.count.saturating_add(other.count);
            self.first = self.first.min(other.first);
            self.last = self.last.max(other.last);
        }
        same
    }
}

/// The Kubernetes Event, complete but for its resourceVersion.
pub fn render_event(event: &StoredEvent) -> Event {
    let involved = &event.involved;
    let uid = format!("{}/{}/{}", involved.uid, event.namespace, event.name);
    Event {
        metadata: ObjectMeta {
            name: Some(event.name.clone()),
            namespace: Some(event.namespace.clone()),
            uid: Some(Uuid::new_v5(&Uuid::NAMESPACE_OID, uid.as_bytes()).to_string()),
            creation_timestamp: Some(time(event.first)),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(if involved.kind == "Job" { "batch/v1" } else { "v1" }.into()),
            kind: Some(involved.kind.clone()),
            namespace: Some(involved.namespace.clone()).filter(|namespace| !namespace.is_empty()),
            name: Some(involved.name.clone()),
            uid: Some(involved.uid.clone()),
            ..ObjectReference::default()
        },
        reason: Some(event.reason.clone()),
        message: Some(event.message.clone()),
        type_: Some(if event.warning { "Warning" } else { "Normal" }.into()),
        count: Some(i32::try_from(event.count).unwrap_or(i32::MAX)),
        first_timestamp: Some(time(event.first)),
        last_timestamp: Some(time(event.last)),
        source: Some(EventSource { component: Some(event.source.clone()), host: None }),
        reporting_component: Some(event.source.clone()),
        reporting_instance: Some(String::new()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str, now: Millis) -> StoredEvent {
        let involved = Involved {
            kind: "Job".into(),
            namespace: "default".into(),
            name: "a".into(),
            uid: "u".into(),
        };
        StoredEvent::new(involved, false, "Completed", message, "job-controller", now)
    }

    #[test]
    fn the_same_event_is_counted_another_is_not() {
        let mut first = event("Job completed", 1_000);
        let again = event("Job completed", 3_000);
        assert_eq!(first.name, again.name);
        assert!(first.merge(&again));
        assert_eq!((first.count, first.first, first.last), (2, 1_000, 3_000));

        let other = event("Something else", 4_000);
        assert_ne!(first.name, other.name);
        assert!(!first.merge(&other));
        assert_eq!(first.count, 2);
    }

    #[test]
    fn an_event_names_what_it_is_about() {
        let rendered = render_event(&event("Job completed", 1_000));
        assert_eq!(rendered.involved_object.api_version.as_deref(), Some("batch/v1"));
        assert_eq!(rendered.type_.as_deref(), Some("Normal"));
        assert_eq!(rendered.count, Some(1));
    }
}
