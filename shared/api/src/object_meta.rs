//! What a server fills into the metadata of an object, whatever its kind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use longshore_job::{Millis, name_suffix};

use crate::field::FieldError;
use crate::time::time;

/// Kubernetes cuts the base of a generated name so that it fits a label with its five characters.
const MAX_GENERATED_BASE: usize = 58;

/// Fills in the metadata of a new object, and takes out what isn't the client's to say. `uid` must be
/// random; the generated part of a name is taken from it.
pub(crate) fn new_metadata(metadata: &mut ObjectMeta, namespace: &str, uid: &str, now: Millis) {
    if metadata.name.as_ref().is_none_or(String::is_empty)
        && let Some(base) = metadata.generate_name.as_deref().filter(|base| !base.is_empty())
    {
        let kept: String = base.chars().take(MAX_GENERATED_BASE).collect();
        metadata.name = Some(format!("{kept}{}", name_suffix(uid, 0, 0)));
    }
    metadata.namespace = Some(namespace.to_owned());
    metadata.uid = Some(uid.to_owned());
    metadata.creation_timestamp = Some(time(now));
    metadata.resource_version = None;
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
    metadata.self_link = None;
    metadata.managed_fields = None;
}

/// Gives changed metadata what isn't the client's to change.
pub(crate) fn changed_metadata(stored: &ObjectMeta, metadata: &mut ObjectMeta) {
    for (new, old) in [
        (&mut metadata.name, &stored.name),
        (&mut metadata.namespace, &stored.namespace),
        (&mut metadata.uid, &stored.uid),
    ] {
        if new.as_ref().is_none_or(String::is_empty) {
            new.clone_from(old);
        }
    }
    metadata.creation_timestamp.clone_from(&stored.creation_timestamp);
    metadata.deletion_timestamp.clone_from(&stored.deletion_timestamp);
    metadata.deletion_grace_period_seconds = stored.deletion_grace_period_seconds;
    metadata.managed_fields = None;
    metadata.self_link = None;
}

/// What a change would alter of the metadata though it is fixed.
pub(crate) fn fixed_metadata(old: &ObjectMeta, new: &ObjectMeta, errors: &mut Vec<FieldError>) {
    for (field, before, after) in [
        ("metadata.name", &old.name, &new.name),
        ("metadata.namespace", &old.namespace, &new.namespace),
        ("metadata.uid", &old.uid, &new.uid),
    ] {
        if before != after {
            errors.push(FieldError::invalid(field, after.as_deref(), IMMUTABLE));
        }
    }
}

pub(crate) const IMMUTABLE: &str = "field is immutable";
