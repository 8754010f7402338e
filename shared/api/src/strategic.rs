//! Strategic merge patches, as `k8s.io/apimachinery/pkg/util/strategicpatch` applies them.

use serde_json::{Map, Value, json};

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
        current.retain(|key, _| keep.iter().any(|kept| kept == key));
    }

    for (key, value) in patch {
        if key.starts_with(ORDER) {
            list(&key, value)?;
            continue;
        }
        if let Some(field) = key.strip_prefix(DELETE_FROM) {
            let gone = list(&key, value)?;
            if let Some(Value::Array(items)) = current.get_mut(field) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        let field = schema.and_then(|schema| schema.field(&key));
        match value {
            Value::Null => {
                current.shift_remove(&key);
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
        for item in patch {
            if !current.contains(&item) {
                current.push(item);
            }
        }
        return Ok(current);
    };
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
        let directive = item.get(DIRECTIVE).cloned();
        if directive == Some(json!("delete")) {
            current.retain(|existing| existing.get(key) != Some(&identity));
            continue;
        }
        if directive == Some(json!("merge")) {
            item.shift_remove(DIRECTIVE);
        }
        let existing = current.iter_mut().find(|existing| existing.get(key) == Some(&identity));
        match existing {
            Some(Value::Object(existing)) => {
                *existing = merge_map(items, std::mem::take(existing), item)?;
            }
            _ => current.push(Value::Object(merge_map(items, Map::new(), item)?)),
        }
    }
    Ok(current)
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
}
