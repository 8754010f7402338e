//! What holds for ConfigMaps and Secrets.

use longshore_api::config::ConfigObject;
use longshore_api::decode::{FieldValidation, decode};
use longshore_api::{ApiError, Resource};
use serde_json::Value;

use crate::job::{NOW, UID, json, told};

/// The way of a new object.
pub(crate) fn decoded<T>(resource: Resource, value: Value)
where
    T: ConfigObject + PartialEq + std::fmt::Debug,
{
    let hidden = if resource == Resource::Secrets { secrets(&value) } else { Vec::new() };
    let silent = |errors: &[longshore_api::FieldError]| {
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let text = text.join("\n");
        let shown = hidden.iter().find(|value| text.contains(value.as_str()));
        assert_eq!(shown, None, "an error shows a value of a Secret");
    };
    let mut object: T = match decode(resource, value, FieldValidation::Strict) {
        Ok((object, _)) => object,
        Err(errors) => {
            silent(&errors);
            told(&ApiError::undecodable(resource, &errors), &errors);
            return;
        }
    };
    object.set_defaults();
    let mut twice = object.clone();
    twice.set_defaults();
    assert_eq!(twice, object, "defaults of an object that has them");
    object.prepare_create("default", UID, NOW);
    let errors = object.validate();
    if errors.is_empty() {
        valid(&object);
    } else {
        silent(&errors);
        told(&ApiError::invalid(resource, "", &errors), &errors);
    }
}

/// An object that was accepted.
pub(crate) fn valid<T: ConfigObject + PartialEq + std::fmt::Debug>(object: &T) {
    let read: T = serde_json::from_value(json(&object.stored())).expect("a stored object");
    assert_eq!(read, *object, "an object that was stored");
    let mut new = read;
    new.prepare_update(object);
    assert_eq!(new, *object, "no change");
    assert_eq!(new.validate_update(object), [], "no change");
}

/// The values of a Secret that are nowhere else in it, so that whoever shows one gives it away.
fn secrets(value: &Value) -> Vec<String> {
    const LEAST: usize = 8;
    let mut rest = value.clone();
    let mut found = Vec::new();
    for field in ["data", "stringData"] {
        let entries = rest.get_mut(field).and_then(Value::as_object_mut);
        for entry in entries.into_iter().flat_map(|entries| entries.values_mut()) {
            if let Value::String(text) = entry.take() {
                found.push(text);
            }
        }
    }
    let rest = rest.to_string();
    let plain = |text: &String| {
        text.len() >= LEAST && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    found.retain(|text| plain(text) && !rest.contains(text.as_str()));
    found
}
