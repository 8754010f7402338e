//! The patches of PATCH requests: JSON patch, merge patch and strategic merge patch.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use crate::accept::MediaType;
use crate::errors::ApiError;
use crate::resource::Resource;
use crate::schema::Schema;
use crate::strategic;

/// The kind of a patch, as its content type names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902: a list of operations.
    Json,
    /// RFC 7386: values to set, null to remove; lists are replaced.
    Merge,
    /// Kubernetes' own: like a merge, but some lists are merged by a key.
    Strategic,
    /// Server-side apply, which isn't supported.
    Apply,
}

impl PatchType {
    /// `None` for a content type that is no patch.
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        match MediaType::parse(content_type).name() {
            "application/json-patch+json" => Some(Self::Json),
            "application/merge-patch+json" => Some(Self::Merge),
            "application/strategic-merge-patch+json" => Some(Self::Strategic),
            "application/apply-patch+yaml" | "application/apply-patch+cbor" => Some(Self::Apply),
            _ => None,
        }
    }
}

/// Why a patch can't be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    #[error("server-side apply is not supported; use a client-side apply")]
    Unsupported,
    #[error("error decoding patch: {0}")]
    Malformed(String),
    /// It is well-formed but doesn't fit the object.
    #[error("{0}")]
    Inapplicable(String),
}

impl From<PatchError> for ApiError {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::Unsupported => Self::unsupported_media_type(&PATCH_TYPES),
            PatchError::Malformed(_) => Self::bad_request(error.to_string()),
            PatchError::Inapplicable(why) => Self {
                code: 422,
                reason: "Invalid",
                message: format!("the patch can't be applied: {why}"),
                details: None,
            },
        }
    }
}

/// The content types of the patches that are supported.
pub const PATCH_TYPES: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// As many operations as a JSON patch may have.
const MAX_OPERATIONS: usize = 1_000;
/// As many values and bytes as a JSON patch may add, copy and move in all, and as deep as an object may
/// be nested while it is patched; so that a patch can't blow an object up by copying it into itself.
const MAX_VALUES: usize = 500_000;
const MAX_BYTES: usize = 3 * 1024 * 1024;
const MAX_DEPTH: usize = 128;

/// The object after the patch. Lists are merged as the object's kind asks for; an object without a
/// known kind is taken for a Job.
pub fn apply_patch(current: &Value, kind: PatchType, body: &[u8]) -> Result<Value, PatchError> {
    match kind {
        PatchType::Json => json_patch(current, body),
        PatchType::Merge => {
            let patch = decode(body)?;
            let mut patched = current.clone();
            json_patch::merge(&mut patched, &patch);
            Ok(patched)
        }
        PatchType::Strategic => {
            let patch = decode(body)?;
            strategic::merge(Schema::of(resource_of(current)), current.clone(), patch)
        }
        PatchType::Apply => Err(PatchError::Unsupported),
    }
}

fn decode(body: &[u8]) -> Result<Value, PatchError> {
    let patch: Value =
        serde_json::from_slice(body).map_err(|error| PatchError::Malformed(error.to_string()))?;
    if patch.is_object() {
        Ok(patch)
    } else {
        Err(PatchError::Malformed("the patch must be an object".into()))
    }
}

fn json_patch(current: &Value, body: &[u8]) -> Result<Value, PatchError> {
    let Patch(operations) =
        serde_json::from_slice(body).map_err(|error| PatchError::Malformed(error.to_string()))?;
    if operations.len() > MAX_OPERATIONS {
        let text = format!("a JSON patch may have {MAX_OPERATIONS} operations at most");
        return Err(PatchError::Malformed(text));
    }
    let mut patched = current.clone();
    let mut room = Room { values: MAX_VALUES, bytes: MAX_BYTES };
    for operation in &operations {
        if !room.take_operation(operation, &patched) {
            return Err(PatchError::Inapplicable("it makes the object too large".into()));
        }
        json_patch::patch_unsafe(&mut patched, std::slice::from_ref(operation))
            .map_err(|error| PatchError::Inapplicable(error.to_string()))?;
    }
    Ok(patched)
}

/// What is left for a JSON patch to put into the object.
struct Room {
    values: usize,
    bytes: usize,
}

impl Room {
    /// Takes the room for what an operation puts into the object; whether there is enough.
    fn take_operation(&mut self, operation: &PatchOperation, object: &Value) -> bool {
        let put = match operation {
            PatchOperation::Add(add) => Some(&add.value),
            PatchOperation::Replace(replace) => Some(&replace.value),
            PatchOperation::Copy(copy) => object.pointer(copy.from.as_str()),
            PatchOperation::Move(moved) => object.pointer(moved.from.as_str()),
            PatchOperation::Remove(_) | PatchOperation::Test(_) => return true,
        };
        // Without a value the operation will fail.
        let Some(put) = put else { return true };
        let depth = MAX_DEPTH.saturating_sub(operation.path().count());
        self.take(put, depth)
    }

    fn take(&mut self, value: &Value, depth: usize) -> bool {
        let length = match value {
            Value::String(text) => text.len(),
            Value::Object(fields) => fields.keys().map(String::len).sum(),
            _ => 0,
        };
        if depth == 0 || self.values == 0 || self.bytes < length {
            return false;
        }
        self.values -= 1;
        self.bytes -= length;
        match value {
            Value::Array(items) => items.iter().all(|item| self.take(item, depth - 1)),
            Value::Object(fields) => fields.values().all(|field| self.take(field, depth - 1)),
            _ => true,
        }
    }
}

fn resource_of(object: &Value) -> Resource {
    let kind = object["kind"].as_str().unwrap_or_default();
    Resource::ALL.into_iter().find(|resource| resource.kind() == kind).unwrap_or(Resource::Jobs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn patched(kind: PatchType, current: Value, patch: Value) -> Result<Value, PatchError> {
        apply_patch(&current, kind, patch.to_string().as_bytes())
    }

    #[test]
    fn content_types_are_told_apart() {
        let of = PatchType::from_content_type;
        assert_eq!(of("application/merge-patch+json; charset=utf-8"), Some(PatchType::Merge));
        assert_eq!(of("application/strategic-merge-patch+json"), Some(PatchType::Strategic));
        assert_eq!(of("application/apply-patch+yaml"), Some(PatchType::Apply));
        assert_eq!(of("application/json"), None);
    }

    #[test]
    fn a_merge_patch_sets_and_removes() {
        let current = json!({"spec": {"a": 1, "b": [1, 2]}});
        let patch = json!({"spec": {"a": null, "b": [3], "c": true}});
        assert_eq!(
            patched(PatchType::Merge, current, patch),
            Ok(json!({"spec": {"b": [3], "c": true}}))
        );
    }

    #[test]
    fn a_json_patch_is_applied_whole_or_not_at_all() {
        let current = json!({"spec": {"suspend": true}});
        let patch = json!([{"op": "replace", "path": "/spec/suspend", "value": false}]);
        assert_eq!(
            patched(PatchType::Json, current.clone(), patch),
            Ok(json!({"spec": {"suspend": false}}))
        );
        let patch = json!([{"op": "test", "path": "/spec/suspend", "value": false}]);
        let error = patched(PatchType::Json, current.clone(), patch).expect_err("refused");
        assert!(matches!(error, PatchError::Inapplicable(_)), "{error}");
        let error = patched(PatchType::Json, current, json!({"op": 1})).expect_err("refused");
        assert_eq!(ApiError::from(error).code, 400);
    }

    #[test]
    fn an_object_cannot_be_blown_up_by_copying_it_into_itself() {
        let copies: Vec<Value> =
            (0..60).map(|n| json!({"op": "copy", "from": "", "path": format!("/x{n}")})).collect();
        let error = patched(PatchType::Json, json!({"a": 1}), json!(copies)).expect_err("refused");
        assert!(matches!(error, PatchError::Inapplicable(_)), "{error}");
        // Few values, but long ones.
        let copies: Vec<Value> = (0..900)
            .map(|n| json!({"op": "copy", "from": "/long", "path": format!("/x{n}")}))
            .collect();
        let object = json!({"long": "x".repeat(100_000)});
        let error = patched(PatchType::Json, object, json!(copies)).expect_err("refused");
        assert!(matches!(error, PatchError::Inapplicable(_)), "{error}");
    }

    #[test]
    fn an_object_cannot_be_nested_ever_deeper() {
        let deeper = json!([
            {"op": "copy", "from": "", "path": "/a"}, {"op": "move", "from": "/a", "path": "/b"}
        ]);
        assert!(patched(PatchType::Json, json!({"c": 1}), deeper).is_ok());
        let moves: Vec<Value> = (0..200)
            .flat_map(|_| {
                [
                    json!({"op": "add", "path": "/new", "value": {}}),
                    json!({"op": "move", "from": "/old", "path": "/new/old"}),
                    json!({"op": "move", "from": "/new", "path": "/old"}),
                ]
            })
            .collect();
        let error = patched(PatchType::Json, json!({"old": 1}), json!(moves)).expect_err("refused");
        assert!(matches!(error, PatchError::Inapplicable(_)), "{error}");
    }

    #[test]
    fn server_side_apply_is_answered_with_415() {
        let error = apply_patch(&json!({}), PatchType::Apply, b"{}").expect_err("refused");
        assert_eq!(ApiError::from(error).code, 415);
    }

    proptest! {
        #[test]
        fn any_patch_is_applied_or_refused(
            current in crate::testing::any_json(),
            patch in crate::testing::any_json(),
        ) {
            for kind in [PatchType::Json, PatchType::Merge, PatchType::Strategic] {
                let _ = patched(kind, current.clone(), patch.clone());
            }
        }
    }
}
