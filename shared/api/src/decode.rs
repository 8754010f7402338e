//! Decoding of objects: wrong types and unknown fields, each with its path, all in one reply.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value, json};

use crate::field::{FieldError, MOST_TOLD, Warning};
use crate::resource::Resource;
use crate::schema::{Schema, Shape};

/// What is to happen with unknown fields: the query parameter `fieldValidation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are errors.
    #[default]
    Strict,
    /// They are dropped with a warning.
    Warn,
    /// They are dropped.
    Ignore,
}

impl FieldValidation {
    /// The parameter's value; without one it is `Warn`, as in Kubernetes. `None` for any other word.
    pub fn parse(word: Option<&str>) -> Option<Self> {
        match word {
            Some("Strict") => Some(Self::Strict),
            None | Some("" | "Warn") => Some(Self::Warn),
            Some("Ignore") => Some(Self::Ignore),
            Some(_) => None,
        }
    }
}

/// Decodes a Job. `apiVersion` and `kind` may be left out, as the path of the request tells them.
///
/// # Errors
/// The fields of a wrong type and, with [`FieldValidation::Strict`], the unknown ones, up to
/// [`MOST_TOLD`] of each; with their paths, in the order of the text.
/// [`ApiError::undecodable`](crate::ApiError::undecodable) makes the reply of it.
pub fn decode_job(
    value: Value,
    mode: FieldValidation,
) -> Result<(Job, Vec<Warning>), Vec<FieldError>> {
    decode(Resource::Jobs, value, mode)
}

/// Decodes an object of any kind as [`decode_job`] does a Job. No error shows a value of a Secret.
///
/// # Errors
/// As [`decode_job`].
pub fn decode<T: DeserializeOwned>(
    resource: Resource,
    mut value: Value,
    mode: FieldValidation,
) -> Result<(T, Vec<Warning>), Vec<FieldError>> {
    let mut found = Found::default();
    if value.is_object() {
        check_kind(&value, resource, &mut found);
    }
    check(Schema::of(resource), &mut value, "", &mut found);
    let Found { mut errors, unknown, .. } = found;
    let secret = resource == Resource::Secrets;
    if secret {
        errors.iter_mut().for_each(|error| error.value = None);
    }

    let mut warnings = Vec::new();
    match mode {
        FieldValidation::Strict => errors.extend(unknown),
        FieldValidation::Warn => {
            warnings.extend(unknown.iter().map(|error| Warning(error.to_string())));
        }
        FieldValidation::Ignore => {}
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    match serde_json::from_value(value) {
        Ok(object) => Ok((object, warnings)),
        Err(_) if secret => {
            Err(vec![FieldError::invalid_object("data", "values must be in base64")])
        }
        // The walk above is stricter than the struct, but for base64.
        Err(error) => Err(vec![FieldError::wrong_type("", Value::Null, error.to_string())]),
    }
}

/// As many items as the lists of an object may have in all, where the items are objects themselves: a
/// container takes two bytes of a body, and some thousand times that once it is decoded.
const MAX_ITEMS: usize = 10_000;

/// What was found, the first of each sort: there is no use in keeping a million errors.
#[derive(Default)]
struct Found {
    errors: Vec<FieldError>,
    unknown: Vec<FieldError>,
    items: usize,
}

impl Found {
    fn wrong(&mut self, path: &str, value: &Value, expected: &str) {
        if self.errors.len() < MOST_TOLD {
            let text = format!("must be {expected}");
            self.errors.push(FieldError::wrong_type(path, shown(value), text));
        }
    }

    /// Counts the items of a list; whether there may be so many.
    fn items(&mut self, path: &str, count: usize) -> bool {
        self.items = self.items.saturating_add(count);
        let few = self.items <= MAX_ITEMS;
        if !few {
            let text = format!("an object may have at most {MAX_ITEMS} items in all its lists");
            self.errors.push(FieldError::invalid_object(path, text));
        }
        few
    }

    fn unknown(&mut self, path: &str, key: &str) {
        if self.unknown.len() < MOST_TOLD {
            self.unknown.push(FieldError::unknown(join(path, key)));
        }
    }
}

fn check_kind(value: &Value, resource: Resource, found: &mut Found) {
    for (field, expected) in [("apiVersion", resource.api_version()), ("kind", resource.kind())] {
        match value.get(field) {
            Some(Value::String(text)) if text != expected => {
                found.errors.push(FieldError::invalid(
                    field,
                    text.as_str(),
                    format!("must be {expected:?}"),
                ));
            }
            _ => {}
        }
    }
}

/// Holds a value against its schema and takes out what means "not set", so that the structs can
/// decode the rest.
fn check(schema: Schema<'_>, value: &mut Value, path: &str, found: &mut Found) {
    match schema.shape() {
        Shape::Object(fields) => match value {
            Value::Object(entries) => check_fields(fields, schema, entries, path, found),
            _ => found.wrong(path, value, "an object"),
        },
        Shape::Map(values) => match value {
            Value::Object(entries) => {
                for (key, entry) in entries.iter_mut() {
                    // A null in a map of strings is the empty string, as Go decodes it.
                    if entry.is_null() && matches!(values.shape(), Shape::String) {
                        *entry = json!("");
                    }
                    check(values, entry, &format!("{path}[{key}]"), found);
                }
            }
            _ => found.wrong(path, value, "an object"),
        },
        Shape::Array(items) => match value {
            Value::Array(list) => {
                let objects = matches!(items.shape(), Shape::Object(_));
                if objects && !found.items(path, list.len()) {
                    return;
                }
                for (at, item) in list.iter_mut().enumerate() {
                    check(items, item, &format!("{path}[{at}]"), found);
                }
            }
            _ => found.wrong(path, value, "a list"),
        },
        Shape::String if !value.is_string() => found.wrong(path, value, "a string"),
        Shape::Boolean if !value.is_boolean() => found.wrong(path, value, "a boolean"),
        Shape::Number if !value.is_number() => found.wrong(path, value, "a number"),
        Shape::IntOrString if !value.is_string() && !value.is_number() => {
            found.wrong(path, value, "a string or a number");
        }
        Shape::Integer { narrow } => check_integer(value, narrow, path, found),
        Shape::Time if value.as_str().is_none_or(|text| text.parse::<Timestamp>().is_err()) => {
            found.wrong(path, value, "a time such as 2006-01-02T15:04:05Z");
        }
        _ => {}
    }
}

fn check_fields(
    fields: &Map<String, Value>,
    schema: Schema<'_>,
    entries: &mut Map<String, Value>,
    path: &str,
    found: &mut Found,
) {
    for (key, _) in entries.iter() {
        if !fields.contains_key(key) {
            found.unknown(path, key);
        }
    }
    entries.retain(|key, value| !value.is_null() && fields.contains_key(key));
    for (key, value) in entries.iter_mut() {
        if let Some(schema) = schema.field(key) {
            check(schema, value, &join(path, key), found);
        }
    }
}

fn check_integer(value: &Value, narrow: bool, path: &str, found: &mut Found) {
    match value.as_number().map(Number::as_i64) {
        Some(Some(n)) if narrow && i32::try_from(n).is_err() => {
            found.wrong(path, value, "a 32-bit integer");
        }
        Some(Some(_)) => {}
        Some(None) if value.is_u64() => found.wrong(path, value, "a 64-bit integer"),
        _ => found.wrong(path, value, "an integer"),
    }
}

/// The value for the message: whole if it is short, else only what it is.
fn shown(value: &Value) -> Value {
    match value {
        Value::Object(_) => json!("object"),
        Value::Array(_) => json!("list"),
        Value::String(text) if text.chars().count() > 100 => {
            json!(text.chars().take(100).chain("…".chars()).collect::<String>())
        }
        other => other.clone(),
    }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(value: Value) -> Vec<String> {
        match decode_job(value, FieldValidation::Strict) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(FieldError::to_string).collect(),
        }
    }

    #[test]
    fn all_errors_are_told_at_once_with_their_paths() {
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": 3, "labels": {"a": 1}},
            "spec": {
                "completions": "x", "parallelism": 3000000000u64, "paralelism": 1,
                "suspend": "yes", "backoffLimit": 1.5,
                "template": {"spec": {"containers": [
                    {"name": "a", "imagee": "x", "command": "sh", "env": [{"value": true}]}, 7
                ]}}
            }
        });
        assert_eq!(
            errors(job),
            [
                r#"metadata.name: Invalid value: 3: must be a string"#,
                r#"metadata.labels[a]: Invalid value: 1: must be a string"#,
                r#"spec.completions: Invalid value: "x": must be an integer"#,
                r#"spec.parallelism: Invalid value: 3000000000: must be a 32-bit integer"#,
                r#"spec.suspend: Invalid value: "yes": must be a boolean"#,
                r#"spec.backoffLimit: Invalid value: 1.5: must be an integer"#,
                r#"spec.template.spec.containers[0].command: Invalid value: "sh": must be a list"#,
                r#"spec.template.spec.containers[0].env[0].value: Invalid value: true: must be a string"#,
                r#"spec.template.spec.containers[1]: Invalid value: 7: must be an object"#,
                r#"unknown field "spec.paralelism""#,
                r#"unknown field "spec.template.spec.containers[0].imagee""#,
            ]
        );
    }

    #[test]
    fn of_very_many_errors_the_first_are_told() {
        let unknown: Map<String, Value> = (0..1_000).map(|n| (n.to_string(), json!(1))).collect();
        let mut job = json!({"spec": unknown});
        job["spec"]["template"] = json!({"spec": {"containers": vec![1; 1_000]}});
        let errors = errors(job);
        assert_eq!(errors.len(), 2 * MOST_TOLD);
        assert!(errors[0].contains("containers[0]: Invalid value: 1"), "{}", errors[0]);
        assert_eq!(errors[MOST_TOLD], r#"unknown field "spec.0""#);
    }

    #[test]
    fn lists_are_not_decoded_to_many_times_their_size() {
        let job = |count: usize| {
            let containers = vec![json!({}); count];
            json!({"spec": {"template": {"spec": {
                "containers": containers, "initContainers": [{"name": "a"}]}}}})
        };
        assert_eq!(
            errors(job(MAX_ITEMS)),
            ["spec.template.spec.initContainers: Invalid value: an object may have at most 10000 \
              items in all its lists"]
        );
        assert!(errors(job(MAX_ITEMS - 1)).is_empty());
    }

    #[test]
    fn another_kind_is_refused() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod"});
        assert_eq!(
            errors(pod),
            [
                r#"apiVersion: Invalid value: "v1": must be "batch/v1""#,
                r#"kind: Invalid value: "Pod": must be "Job""#
            ]
        );
        assert_eq!(errors(json!([1])), [r#": Invalid value: "list": must be an object"#]);
    }

    #[test]
    fn nulls_and_numbers_as_quantities_are_taken_as_kubernetes_takes_them() {
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "a", "creationTimestamp": null, "labels": {"x": null}},
            "spec": {"completions": null, "template": {"spec": {"containers": [
                {"name": "a", "resources": {"limits": {"cpu": 0.5, "memory": "1Gi"}}}
            ]}}}
        });
        let (job, warnings) = decode_job(job, FieldValidation::Strict).expect("decodes");
        assert!(warnings.is_empty());
        let labels = job.metadata.labels.expect("labels");
        assert_eq!(labels.get("x").map(String::as_str), Some(""));
        let spec = job.spec.expect("spec");
        assert_eq!(spec.completions, None);
        let pod = spec.template.spec.expect("pod");
        let limits = pod.containers[0].resources.clone().and_then(|r| r.limits).expect("limits");
        assert_eq!(limits["cpu"].0, "0.5");
    }

    #[test]
    fn unknown_fields_warn_or_are_ignored_when_asked() {
        let job = json!({"spec": {"foo": 1}});
        let (_, warnings) = decode_job(job.clone(), FieldValidation::Warn).expect("decodes");
        assert_eq!(warnings, [Warning(r#"unknown field "spec.foo""#.into())]);
        let (_, warnings) = decode_job(job, FieldValidation::Ignore).expect("decodes");
        assert!(warnings.is_empty());
    }

    #[test]
    fn the_mode_is_warn_without_a_word() {
        assert_eq!(FieldValidation::parse(None), Some(FieldValidation::Warn));
        assert_eq!(FieldValidation::parse(Some("Strict")), Some(FieldValidation::Strict));
        assert_eq!(FieldValidation::parse(Some("strict")), None);
    }
}
