//! Strategic merge patches, as `k8s.io/apimachinery/pkg/util/strategicpatch` applies them.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::patch::PatchError;
use crate::schema::Schema;

/// What a patch says about itself, in a map or in an item of a list: `replace`, `delete`, `merge`.
const DIRECTIVE: &str = "$patch";
/// The keys that a map keeps; all others go.
const RETAIN_KEYS: &str = "$retainKeys";
/// Before the name of a list of plain values: what is to be taken out of it.
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
/// Before the name of a list: the order of its items. Accepted, but the order stays as it was, with
/// new items at the end.
const ORDER: &str = "$setElementOrder/";

/// The value after the patch.
pub(crate) fn merge(schema: Schema<'_>, current: Value, patch: Value) -> Result<Value, PatchError> {
    match (current, patch) {
        (Value::Object(current), Value::Object(patch)) => {
            merge_map(Some(schema), current, patch).map(Value::Object)
        }
        (_, Value::Object(patch)) => merge_map(Some(schema), Map::new(), patch).map(Value::Object),
        _ => Err(PatchError::Malformed("the patch must be an object".into())),
    }
}

fn merge_map(
    schema: Option<Schema<'_>>,
    mut current: Map<String, Value>,
    mut patch: Map<String, Value>,
) -> Result<Map<String, Value>, PatchError> {
    match patch.remove(DIRECTIVE) {
        None => {}
        Some(directive) if directive == "merge" => {}
        Some(directive) if directive == "replace" => current = Map::new(),
        Some(directive) if directive == "delete" => return Ok(Map::new()),
        Some(other) => return Err(unknown_directive(&other)),
    }
    if let Some(keep) = patch.remove(RETAIN_KEYS) {
        let keep = list(RETAIN_KEYS, keep)?;
        let keep: HashSet<&str> = keep.iter().filter_map(Value::as_str).collect();
        current.retain(|key, _| keep.contains(key.as_str()));
    }

    let mut removed = HashSet::new();
    for (key, value) in patch {
        if key.starts_with(ORDER) {
            list(&key, value)?;
            continue;
        }
        if let Some(field) = key.strip_prefix(DELETE_FROM) {
            let gone: HashSet<Value> = list(&key, value)?.into_iter().collect();
            if let Some(Value::Array(items)) = current.get_mut(field) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        let field = schema.and_then(|schema| schema.field(&key));
        match value {
            Value::Null => {
                removed.insert(key);
            }
            Value::Object(patch) => {
                let before = match current.get_mut(&key) {
                    Some(Value::Object(before)) => std::mem::take(before),
                    _ => Map::new(),
                };
                current.insert(key, Value::Object(merge_map(field, before, patch)?));
            }
            Value::Array(patch) => {
                let before = match current.get_mut(&key) {
                    Some(Value::Array(before)) => std::mem::take(before),
                    _ => Vec::new(),
                };
                let after = merge_list(&key, field, before, patch)?;
                current.insert(key, Value::Array(after));
            }
            plain => {
                current.insert(key, plain);
            }
        }
    }
    current.retain(|key, _| !removed.contains(key));
    Ok(current)
}

fn merge_list(
    name: &str,
    schema: Option<Schema<'_>>,
    mut current: Vec<Value>,
    patch: Vec<Value>,
) -> Result<Vec<Value>, PatchError> {
    let items = schema.and_then(Schema::items);
    let merged = schema.filter(|schema| schema.merges());
    let replaces = patch.iter().any(|item| is_directive(item, "replace"));
    let Some(merged) = merged.filter(|_| !replaces) else {
        // The list is replaced; what its items say about themselves is still obeyed.
        return patch
            .into_iter()
            .filter(|item| !is_directive(item, "replace"))
            .map(|item| match item {
                Value::Object(item) => merge_map(items, Map::new(), item).map(Value::Object),
                other => Ok(other),
            })
            .collect();
    };

    let Some(key) = merged.merge_key() else {
        let mut known: HashSet<Value> = current.iter().cloned().collect();
        current.extend(patch.into_iter().filter(|item| known.insert(item.clone())));
        return Ok(current);
    };
    let mut merged = Keyed::new(key, current);
    for item in patch {
        let Value::Object(mut item) = item else {
            return Err(PatchError::Inapplicable(format!("{name}: the items must be objects")));
        };
        let Some(identity) = item.get(key).cloned() else {
            let text = format!("{name}: map: {} does not contain declared merge key: {key}", {
                Value::Object(item)
            });
            return Err(PatchError::Inapplicable(text));
        };
        match item.get(DIRECTIVE).and_then(Value::as_str) {
            Some("delete") => {
                merged.remove(&identity);
                continue;
            }
            Some("merge") => {
                item.shift_remove(DIRECTIVE);
            }
            _ => {}
        }
        match merged.find(&identity) {
            Some(Value::Object(existing)) => {
                *existing = merge_map(items, std::mem::take(existing), item)?;
            }
            _ => {
                let item = merge_map(items, Map::new(), item)?;
                merged.push(identity, Value::Object(item));
            }
        }
    }
    Ok(merged.items())
}

/// A list whose items are found by the value of a key. A list of a patch may be as long as a body, so
/// that a search through all items for each of them takes hours.
struct Keyed {
    /// `None` where an item was removed.
    items: Vec<Option<Value>>,
    /// The places of the items by that value; there may be several, as in a list of ports.
    places: HashMap<Value, Vec<usize>>,
}

impl Keyed {
    fn new(key: &str, list: Vec<Value>) -> Self {
        let mut places: HashMap<Value, Vec<usize>> = HashMap::new();
        for (at, item) in list.iter().enumerate() {
            if let Some(identity) = item.get(key) {
                places.entry(identity.clone()).or_default().push(at);
            }
        }
        Self { items: list.into_iter().map(Some).collect(), places }
    }

    /// The first item of an identity.
    fn find(&mut self, identity: &Value) -> Option<&mut Value> {
        let first = *self.places.get(identity)?.first()?;
        self.items[first].as_mut()
    }

    fn push(&mut self, identity: Value, item: Value) {
        self.places.entry(identity).or_default().push(self.items.len());
        self.items.push(Some(item));
    }

    fn remove(&mut self, identity: &Value) {
        for place in self.places.remove(identity).unwrap_or_default() {
            self.items[place] = None;
        }
    }

    fn items(self) -> Vec<Value> {
        self.items.into_iter().flatten().collect()
    }
}

/// Whether an item of a list is nothing but a directive for the whole list.
fn is_directive(item: &Value, directive: &str) -> bool {
    item.as_object().is_some_and(|item| {
        item.len() == 1 && item.get(DIRECTIVE).is_some_and(|value| value == directive)
    })
}

fn list(key: &str, value: Value) -> Result<Vec<Value>, PatchError> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(PatchError::Malformed(format!("{key} must be a list"))),
    }
}

fn unknown_directive(directive: &Value) -> PatchError {
    PatchError::Malformed(format!("unknown patch type {directive}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::Resource;

    fn merged(current: Value, patch: Value) -> Value {
        merge(Schema::of(Resource::Jobs), current, patch).expect("applies")
    }

    fn job(containers: Value) -> Value {
        json!({"spec": {"template": {"spec": {"containers": containers}}}})
    }

    #[test]
    fn containers_are_merged_by_name_and_env_within() {
        let current = job(json!([
            {"name": "a", "image": "x:1", "env": [{"name": "A", "value": "1"}]},
            {"name": "b", "image": "y:1"}
        ]));
        let patch = job(json!([
            {"name": "a", "image": "x:2", "env": [{"name": "B", "value": "2"}], "command": ["s"]},
            {"name": "b", "$patch": "delete"}
        ]));
        assert_eq!(
            merged(current, patch),
            job(json!([{"name": "a", "image": "x:2",
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "command": ["s"]}]))
        );
    }

    #[test]
    fn other_lists_are_replaced() {
        let current = job(json!([{"name": "a", "args": ["1", "2"]}]));
        let patch = job(json!([{"name": "a", "args": ["3"]}]));
        assert_eq!(merged(current, patch), job(json!([{"name": "a", "args": ["3"]}])));
    }

    #[test]
    fn directives_replace_retain_and_delete() {
        let current = job(json!([{"name": "a"}, {"name": "b"}]));
        let patch = job(json!([{"name": "c"}, {"$patch": "replace"}]));
        assert_eq!(merged(current, patch), job(json!([{"name": "c"}])));

        let current =
            json!({"metadata": {"labels": {"a": "1", "b": "2"}, "finalizers": ["x", "y"]}});
        let patch = json!({"metadata": {
            "labels": {"$patch": "replace", "c": "3"},
            "$deleteFromPrimitiveList/finalizers": ["x"],
            "$setElementOrder/finalizers": ["z", "y"],
            "finalizers": ["z"]}});
        assert_eq!(
            merged(current, patch),
            json!({"metadata": {"labels": {"c": "3"}, "finalizers": ["y", "z"]}})
        );

        let current = json!({"spec": {"template": {"spec": {"volumes": [
            {"name": "v", "emptyDir": {}}]}}}});
        let patch = json!({"spec": {"template": {"spec": {"volumes": [
            {"name": "v", "hostPath": {"path": "/x"}, "$retainKeys": ["name", "hostPath"]}]}}}});
        assert_eq!(
            merged(current, patch),
            json!({"spec": {"template": {"spec": {"volumes": [
                {"name": "v", "hostPath": {"path": "/x"}}]}}}})
        );
    }

    #[test]
    fn null_removes_and_an_unknown_item_is_refused() {
        assert_eq!(
            merged(json!({"spec": {"a": 1, "b": 2}}), json!({"spec": {"a": null}})),
            json!({"spec": {"b": 2}})
        );
        let error = merge(Schema::of(Resource::Jobs), json!({}), job(json!([{"image": "x"}])));
        let text = error.expect_err("refused").to_string();
        assert!(text.contains("does not contain declared merge key: name"), "{text}");
    }
    #[test]
    fn items_that_are_there_twice_are_removed_together() {
        let ports = |list: Value| job(json!([{"name": "a", "ports": list}]));
        let current = ports(json!([
            {"containerPort": 1, "protocol": "TCP"}, {"containerPort": 2},
            {"containerPort": 1, "protocol": "UDP"}
        ]));
        let patch = ports(json!([
            {"containerPort": 1, "$patch": "delete"}, {"containerPort": 1, "name": "x"}
        ]));
        let after = ports(json!([{"containerPort": 2}, {"containerPort": 1, "name": "x"}]));
        assert_eq!(merged(current, patch), after);
    }

    #[test]
    fn long_lists_are_merged_in_no_time() {
        let texts: Vec<String> = (0..20_000).map(|n| format!("x{n}")).collect();
        let keys = |value: Value| -> Value {
            texts.iter().map(|text| (text.clone(), value.clone())).collect::<Map<_, _>>().into()
        };
        let named = |rest: Value| -> Value {
            let item = |name: &String| json!({"name": name, "$patch": rest});
            texts.iter().map(item).collect()
        };
        let patch = json!({"metadata": {"finalizers": texts, "labels": keys(json!("y"))}});
        let current = merged(json!({}), patch.clone());
        assert_eq!(merged(current.clone(), patch), current);
        let patch = json!({"metadata": {
            "$deleteFromPrimitiveList/finalizers": texts, "labels": keys(Value::Null)}});
        let empty = json!({"metadata": {"finalizers": [], "labels": {}}});
        assert_eq!(merged(current, patch), empty);

        let current = merged(job(json!([])), job(named(json!("merge"))));
        assert_eq!(merged(current.clone(), job(named(json!("merge")))), current);
        assert_eq!(merged(current, job(named(json!("delete")))), job(json!([])));
    }
}
