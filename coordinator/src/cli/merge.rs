//! The patch of `apply`: what must change so that an object is as its file
//! says, and no more. Three states decide: the file as it was applied last, the
//! file now, and the object as it is.

use serde_json::{Map, Value};

/// Where `apply` keeps the file as it was applied last; kubectl's own
/// annotation, so that both can be used on one Job.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The JSON merge patch (RFC 7386) that brings `live` to `modified`: fields of
/// `modified` that `live` doesn't have so, and a null for each field that only
/// `original` named. `None` if nothing is to change.
pub(super) fn three_way(original: &Value, modified: &Value, live: &Value) -> Option<Value> {
    let mut patch = Map::new();
    if let (Value::Object(modified), Value::Object(live)) = (modified, live) {
        for (key, wanted) in modified {
            let now = live.get(key).unwrap_or(&Value::Null);
            if covers(now, wanted) {
                // Fields that were taken out of the file may still be to remove.
                if let Some(inner) = three_way(&original[key], wanted, now) {
                    patch.insert(key.clone(), inner);
                }
            } else if wanted.is_object() && now.is_object() {
                if let Some(inner) = three_way(&original[key], wanted, now) {
                    patch.insert(key.clone(), inner);
                }
            } else {
                patch.insert(key.clone(), wanted.clone());
            }
        }
        if let Value::Object(original) = original {
            for key in original.keys() {
                if !modified.contains_key(key) && live.contains_key(key) {
                    patch.insert(key.clone(), Value::Null);
                }
            }
        }
    }
    if patch.is_empty() { None } else { Some(Value::Object(patch)) }
}

/// Whether `live` says all that `wanted` says; the server's defaults come on
/// top of it.
fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| live.get(key).is_some_and(|live| covers(live, wanted))),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(l, w)| covers(l, w))
        }
        (live, wanted) => live == wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_changes_where_the_object_says_all_of_the_file() {
        let file = json!({"spec": {"parallelism": 2, "containers": [{"name": "a"}]}});
        let live = json!({
            "spec": {"parallelism": 2, "containers": [{"name": "a", "tty": false}], "suspend": false}
        });
        assert_eq!(three_way(&file, &file, &live), None);
    }

    #[test]
    fn a_changed_field_is_patched_alone() {
        let before = json!({"spec": {"parallelism": 2, "completions": 4}});
        let after = json!({"spec": {"parallelism": 3, "completions": 4}});
        let patch = three_way(&before, &after, &before);
        assert_eq!(patch, Some(json!({"spec": {"parallelism": 3}})));
    }

    #[test]
    fn a_field_taken_out_of_the_file_is_removed_and_others_stay() {
        let before = json!({"metadata": {"labels": {"a": "1", "b": "2"}}});
        let after = json!({"metadata": {"labels": {"a": "1"}}});
        let live = json!({"metadata": {"labels": {"a": "1", "b": "2", "server": "x"}}});
        assert_eq!(
            three_way(&before, &after, &live),
            Some(json!({"metadata": {"labels": {"b": null}}}))
        );
    }

    #[test]
    fn a_list_that_differs_is_replaced_as_a_whole() {
        let before = json!({"args": ["a"]});
        let after = json!({"args": ["a", "b"]});
        assert_eq!(three_way(&before, &after, &before), Some(json!({"args": ["a", "b"]})));
    }

    #[test]
    fn a_field_that_someone_else_changed_is_set_back() {
        let file = json!({"spec": {"parallelism": 2}});
        let live = json!({"spec": {"parallelism": 5}});
        assert_eq!(three_way(&file, &file, &live), Some(json!({"spec": {"parallelism": 2}})));
    }
}
