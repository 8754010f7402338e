//! Texts of queries and headers.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use longshore_api::accept::representation;
use longshore_api::decode::FieldValidation;
use longshore_api::discovery::Discovery;
use longshore_api::human::parse_duration;
use longshore_api::patch::PatchType;
use longshore_api::quantity::{bytes, nano_cpus, parse_milli};
use longshore_api::selector::{FieldSelector, LabelSelector, Selectable};
use longshore_api::table::IncludeObject;
use longshore_api::{Resource, Warning, names};
use longshore_job::{CompletionMode, parse_pod_name, pod_name};

use crate::job::UID;

const YEAR: u64 = 366 * 24 * 3_600 * 1_000;

/// `data` is a selector, the value of a parameter or header, a name, a quantity or a duration.
pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    labels(text);
    fields::<Job>(Resource::Jobs, text);
    fields::<Pod>(Resource::Pods, text);
    fields::<Node>(Resource::Nodes, text);
    fields::<Event>(Resource::Events, text);
    let _ = (representation(Some(text)), Discovery::from_accept(Some(text)));
    let _ = (FieldValidation::parse(Some(text)), IncludeObject::parse(Some(text)));
    let _ = PatchType::from_content_type(text);
    pod_name_of(text);
    let _ = (names::qualified_name(text), names::dns1123_subdomain(text), names::env_name(text));
    assert!(parse_duration(text).is_none_or(|length| length <= YEAR));
    quantity(text);
    let header = Warning(text.to_owned()).header();
    assert!(header.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
}

/// A Pod's name in a path: whatever it is taken for has that name.
fn pod_name_of(text: &str) {
    for mode in [CompletionMode::Indexed, CompletionMode::NonIndexed] {
        for (index, attempt) in parse_pod_name("a", UID, mode, text) {
            assert_eq!(pod_name("a", UID, mode, index, attempt), text);
        }
    }
}

fn labels(text: &str) {
    let Ok(selector) = LabelSelector::parse(text) else { return };
    assert_eq!(selector.is_empty(), text.trim().is_empty());
    let _ = selector.matches(None);
    for key in ["a", "app", "batch.kubernetes.io/job-name"] {
        if let Some(value) = selector.exact(key) {
            assert_eq!(names::label_value(value), None);
        }
    }
}

fn fields<T: Selectable + Default>(resource: Resource, text: &str) {
    let Ok(selector) = FieldSelector::parse(resource, text) else { return };
    let object = T::default();
    assert!(!selector.is_empty() || selector.matches(&object));
    if selector.exact("metadata.name").is_some_and(|name| !name.is_empty()) {
        assert!(!selector.matches(&object), "the object has no name");
    }
}

/// The same quantity in each of the units it is read in.
fn quantity(text: &str) {
    if let Some(milli) = parse_milli(text) {
        if let Some(bytes) = bytes(text) {
            let least = i128::from(bytes).saturating_mul(1_000);
            assert!((least - milli).abs() < 1_000, "{bytes} bytes are not {milli} thousandths");
        }
        if let Some(nano) = nano_cpus(text) {
            let least = milli.saturating_mul(1_000_000);
            assert!((least - i128::from(nano)).abs() < 1_000_000, "{nano} of {milli}");
        }
    }
}
