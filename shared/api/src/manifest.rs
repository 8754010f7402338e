//! Manifests: YAML or JSON text, with one or more objects.

use std::cell::Cell;

use serde::Deserialize;
use serde::de::DeserializeSeed;
use serde_json::{Map, Number, Value};
use serde_yaml_ng::Value as Yaml;

use crate::yaml_size::Room;

/// Why a manifest can't be read. The text names the line, or the document, or the field.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("the manifest isn't valid YAML: {source}")]
    NotYaml {
        #[source]
        source: serde_yaml_ng::Error,
    },
    #[error("the manifest isn't valid JSON: {source}")]
    NotJsonText {
        #[source]
        source: serde_json::Error,
    },
    #[error("document {document}: its aliases make too much of it: write out what they stand for")]
    TooLarge { document: usize },
    #[error("document {document}: {path}: {problem}")]
    NotJson { document: usize, path: String, problem: &'static str },
    #[error("document {document} is {found}, not an object with apiVersion and kind")]
    NotAnObject { document: usize, found: &'static str },
    #[error("document {document}: {field}: Required value: every object needs it")]
    Missing { document: usize, field: String },
    #[error("document {document}: {path}: Invalid value: must be a list of objects")]
    NotAList { document: usize, path: String },
    #[error("the manifest holds no object")]
    Empty,
}

/// The objects of a manifest in their order. Documents are separated by `---`, empty ones skipped,
/// and the items of a `List` (or `JobList`) taken one by one. The text may also be JSON.
///
/// # Errors
/// A text that isn't YAML, a key given twice, an object without `apiVersion` or `kind`, and aliases
/// that make far more of the text than it is.
pub fn parse_yaml(text: &str) -> Result<Vec<Value>, ManifestError> {
    let mut objects = Vec::new();
    // Nearly all of JSON is YAML as well, but not its escapes for text beyond 16 bits.
    if text.trim_start().starts_with('{') {
        match serde_json::from_str(text) {
            Ok(object) => {
                add(object, 1, &mut objects)?;
                return Ok(objects);
            }
            // It is JSON, with a key given twice.
            Err(source) if source.is_data() => return Err(ManifestError::NotJsonText { source }),
            // It only looks like JSON.
            Err(_) => {}
        }
    }
    let room = Cell::new(text.len().saturating_mul(2).saturating_add(ALIASED));
    let documents = || serde_yaml_ng::Deserializer::from_str(text);
    // Only aliases make more of a text than it is.
    let mut measured = text.contains('*').then(documents);
    for (at, document) in documents().enumerate() {
        let document_number = at + 1;
        if let Some(same) = measured.as_mut().and_then(Iterator::next) {
            // Whatever else is wrong is told by the second reading.
            let _ = Room(&room).deserialize(same);
        }
        if room.get() == 0 {
            return Err(ManifestError::TooLarge { document: document_number });
        }
        let mut yaml =
            Yaml::deserialize(document).map_err(|source| ManifestError::NotYaml { source })?;
        yaml.apply_merge().map_err(|source| ManifestError::NotYaml { source })?;
        if yaml.is_null() {
            continue;
        }
        add(yaml, document_number, &mut objects)?;
    }
    if objects.is_empty() { Err(ManifestError::Empty) } else { Ok(objects) }
}

/// How much aliases may add to any manifest, in bytes. Without a bound a text of some kilobytes can
/// stand for any amount of memory.
const ALIASED: usize = 1024 * 1024;

/// Adds the objects of a document.
fn add(yaml: Yaml, document: usize, objects: &mut Vec<Value>) -> Result<(), ManifestError> {
    let value = json(yaml).map_err(|Unfit { path, problem }| {
        let path = path.trim_start_matches('.').to_owned();
        ManifestError::NotJson { document, path, problem }
    })?;
    take(value, document, "", objects)
}

fn take(
    value: Value,
    document: usize,
    path: &str,
    objects: &mut Vec<Value>,
) -> Result<(), ManifestError> {
    let found = match &value {
        Value::Object(_) => None,
        Value::Array(_) => Some("a list"),
        Value::String(_) => Some("plain text"),
        _ => Some("a single value"),
    };
    if let Some(found) = found {
        return Err(ManifestError::NotAnObject { document, found });
    }
    for field in ["apiVersion", "kind"] {
        if value[field].as_str().is_none_or(str::is_empty) {
            return Err(ManifestError::Missing { document, field: format!("{path}{field}") });
        }
    }
    let kind = value["kind"].as_str().unwrap_or_default();
    if kind != "List" && kind != "JobList" {
        objects.push(value);
        return Ok(());
    }
    let item_kind = kind.strip_suffix("List").filter(|kind| !kind.is_empty()).map(str::to_owned);
    let version = value["apiVersion"].clone();
    let items = match value {
        Value::Object(mut list) => list.remove("items").unwrap_or(Value::Null),
        _ => Value::Null,
    };
    let items_path = format!("{path}items");
    let Value::Array(items) = items else {
        return Err(ManifestError::NotAList { document, path: items_path });
    };
    for (at, mut item) in items.into_iter().enumerate() {
        // The items of a typed list may leave out what the list says already.
        if let (Some(kind), Value::Object(fields)) = (&item_kind, &mut item) {
            fields.entry("kind").or_insert_with(|| kind.as_str().into());
            fields.entry("apiVersion").or_insert_with(|| version.clone());
        }
        if !item.is_object() {
            return Err(ManifestError::NotAList { document, path: items_path });
        }
        take(item, document, &format!("{items_path}[{at}]."), objects)?;
    }
    Ok(())
}

/// What JSON can't hold, and where it is; the path is put together on the way back.
struct Unfit {
    path: String,
    problem: &'static str,
}

impl Unfit {
    fn here(problem: &'static str) -> Self {
        Self { path: String::new(), problem }
    }

    fn below(self, place: &str) -> Self {
        Self { path: format!("{place}{}", self.path), ..self }
    }
}

fn json(yaml: Yaml) -> Result<Value, Unfit> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(b) => Value::Bool(b),
        Yaml::String(s) => Value::String(s),
        Yaml::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => n.into(),
            (None, Some(n)) => n.into(),
            _ => {
                let n = n.as_f64().and_then(Number::from_f64);
                Value::Number(n.ok_or_else(|| Unfit::here("not a finite number"))?)
            }
        },
        Yaml::Sequence(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (at, item) in items.into_iter().enumerate() {
                list.push(json(item).map_err(|unfit| unfit.below(&format!("[{at}]")))?);
            }
            Value::Array(list)
        }
        Yaml::Mapping(entries) => {
            let mut object = Map::new();
            for (key, entry) in entries {
                let key = match key {
                    Yaml::String(key) => key,
                    Yaml::Bool(key) => key.to_string(),
                    Yaml::Number(key) => key.to_string(),
                    _ => return Err(Unfit::here("a key is neither text nor a number")),
                };
                let place = |unfit: Unfit| unfit.below(&format!(".{key}"));
                let entry = json(entry).map_err(place)?;
                if object.contains_key(&key) {
                    return Err(place(Unfit::here("the key is given twice")));
                }
                object.insert(key, entry);
            }
            Value::Object(object)
        }
        Yaml::Tagged(_) => return Err(Unfit::here("tags such as !name are not supported")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse_yaml(text).expect_err("refused").to_string()
    }

    #[test]
    fn several_documents_and_lists_are_taken_apart() {
        let text = "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\n---\n---\n\
                    apiVersion: v1\nkind: List\nitems:\n- apiVersion: batch/v1\n  kind: Job\n  \
                    metadata: {name: b}\n---\n{\"apiVersion\": \"batch/v1\", \"kind\": \"JobList\", \
                    \"items\": [{\"metadata\": {\"name\": \"c\"}}]}\n";
        let objects = parse_yaml(text).expect("parses");
        let names: Vec<_> =
            objects.iter().map(|o| o["metadata"]["name"].as_str().expect("name")).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(objects[2]["kind"], "Job");
    }

    #[test]
    fn broken_yaml_is_told_with_its_line() {
        let text = error("apiVersion: batch/v1\nkind: Job\n  metadata: x\n");
        assert!(text.contains("line 3"), "{text}");
        let text = error("a: [1, 2\nb: 3\n");
        assert!(text.contains("isn't valid YAML"), "{text}");
    }

    #[test]
    fn a_key_given_twice_is_an_error() {
        let text = error("apiVersion: batch/v1\nkind: Job\nspec:\n  a: 1\n  a: 2\n");
        assert!(text.contains("duplicate") && text.contains("\"a\""), "{text}");
        let text = error("apiVersion: v1\nkind: Job\n1: x\n\"1\": y\n");
        assert!(text.contains("given twice"), "{text}");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(error("hello world").contains("is plain text"));
        assert!(error("- a\n").contains("is a list"));
        assert!(error("kind: Job\n").contains("apiVersion: Required value"));
        assert!(error("# nothing\n").contains("holds no object"));
        assert!(error("apiVersion: v1\nkind: List\nitems: 3\n").contains("items: Invalid value"));
        let text = error("apiVersion: v1\nkind: Job\nx: {y: [1, .nan]}\n");
        assert!(text.contains("document 1: x.y[1]: not a finite number"), "{text}");
    }

    #[test]
    fn json_is_read_as_json() {
        let long = "k".repeat(2_000);
        let text = format!(
            r#"{{"apiVersion": "v1", "kind": "Job", "a": "\ud83d\ude00", "<<": 1, "{long}": 0.5}}"#
        );
        let object = parse_yaml(&text).expect("parses").remove(0);
        assert_eq!((&object["a"], &object["<<"]), (&"😀".into(), &1.into()));
        assert_eq!(object[long], 0.5);
        // The second would be an end of line in YAML.
        for key in ["a", "a\u{2029}b"] {
            let text = error(&format!(r#"{{"apiVersion": "v1", "{key}": 1, "{key}": 2}}"#));
            assert!(text.contains("isn't valid JSON: duplicate entry with key"), "{text}");
        }
    }

    #[test]
    fn anchors_and_merges_are_resolved() {
        let text = "apiVersion: v1\nkind: Job\na: &a {x: 1}\nb: {<<: *a, y: 2}\n";
        let objects = parse_yaml(text).expect("parses");
        assert_eq!(objects[0]["b"], serde_json::json!({"x": 1, "y": 2}));
    }
    #[test]
    fn aliases_cannot_blow_a_manifest_up() {
        let head = "apiVersion: v1\nkind: Job\n";
        let list = |item: &str, count: usize| vec![item; count].join(",");
        let wide = format!("{head}a: &a [{}]\nb: [{}]\n", list("x", 2_000), list("*a", 2_000));
        let long = format!("{head}a: &a {}\nb: [{}]\n", "x".repeat(10_000), list("*a", 2_000));
        let mut deep = format!("{head}a0: &a0 [{}]\n", list("x", 9));
        for level in 1..9 {
            let items = list(&format!("*a{}", level - 1), 9);
            deep.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        for text in [&wide, &long] {
            let text = error(text);
            assert!(text.contains("document 1: its aliases make too much of it"), "{text}");
        }
        assert!(parse_yaml(&deep).is_err());
        let tame = format!("{head}a: &a [{}]\nb: [{}]\n", list("x", 100), list("*a", 100));
        assert_eq!(parse_yaml(&tame).expect("parses")[0]["b"][99][99], "x");
    }

    /// The way to each value is written out only for one that is wrong: here all of them would take
    /// gigabytes.
    #[test]
    fn long_keys_above_many_values_are_read_in_no_time() {
        let key = "k".repeat(1_000);
        let (open, close) = (format!("{{{key}: ").repeat(100), "}".repeat(100));
        let items = "1,".repeat(50_000);
        let text = format!("apiVersion: v1\nkind: Job\na: {open}[{items}]{close}\n");
        assert!(parse_yaml(&text).is_ok());
    }
}
