//! The OpenAPI v3 documents.
//!
//! kubectl looks in them for two things: whether PATCH on a kind takes `fieldValidation`, so that it
//! leaves strict validation to the server; and the fields of a kind, for `explain` and to work out
//! strategic merge patches.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::patch::PATCH_TYPES;
use crate::resource::Resource;
use crate::schema::definitions;

/// The document at `/openapi/v3`: where the others are.
pub fn index() -> &'static Value {
    &DOCUMENTS.index
}

/// A document by its path below `/openapi/v3/` (`api/v1` or `apis/batch/v1`), as JSON text.
pub fn document(path: &str) -> Option<&'static str> {
    match path {
        CORE => Some(&DOCUMENTS.core),
        BATCH => Some(&DOCUMENTS.batch),
        _ => None,
    }
}

const CORE: &str = "api/v1";
const BATCH: &str = "apis/batch/v1";

struct Documents {
    index: Value,
    core: String,
    batch: String,
}

static DOCUMENTS: LazyLock<Documents> = LazyLock::new(|| {
    let core = group_document(CORE, "").to_string();
    let batch = group_document(BATCH, "batch").to_string();
    let place = |path: &str, text: &str| json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={:016X}", hash(text))});
    let index = json!({"paths": {CORE: place(CORE, &core), BATCH: place(BATCH, &batch)}});
    Documents { index, core, batch }
});

fn group_document(path: &str, group: &str) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in Resource::ALL.into_iter().filter(|resource| resource.group() == group) {
        let scope = if resource.namespaced() { "namespaces/{namespace}/" } else { "" };
        let collection = format!("/{path}/{scope}{}", resource.plural());
        paths.insert(format!("{collection}/{{name}}"), object_path(resource));
        paths.insert(collection, collection_path(resource));

        let name = schema_name(resource);
        collect(&name, &mut schemas);
        if let Some(Value::Object(schema)) = schemas.get_mut(&name) {
            schema.insert(GVK.into(), json!([gvk(resource)]));
        }
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Longshore", "version": "v1.34.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

const GVK: &str = "x-kubernetes-group-version-kind";
const ACTION: &str = "x-kubernetes-action";

fn gvk(resource: Resource) -> Value {
    json!({"group": resource.group(), "version": "v1", "kind": resource.kind()})
}

fn schema_name(resource: Resource) -> String {
    let group = if resource.group().is_empty() { "core" } else { resource.group() };
    format!("io.k8s.api.{group}.v1.{}", resource.kind())
}

fn collection_path(resource: Resource) -> Value {
    let mut path = json!({
        "get": operation(resource, "list", &[]),
        "parameters": [query("pretty")],
    });
    if resource.verbs().contains(&"create") {
        path["post"] = operation(resource, "post", &["application/json"]);
    }
    if resource.verbs().contains(&"deletecollection") {
        path["delete"] = operation(resource, "deletecollection", &[]);
    }
    path
}

fn object_path(resource: Resource) -> Value {
    let mut path = json!({
        "get": operation(resource, "get", &[]),
        "parameters": [query("pretty")],
    });
    for (verb, method, body) in [
        ("update", "put", ["application/json"].as_slice()),
        ("patch", "patch", PATCH_TYPES.as_slice()),
        ("delete", "delete", &[]),
    ] {
        if resource.verbs().contains(&verb) {
            let action = if verb == "update" { "put" } else { verb };
            path[method] = operation(resource, action, body);
        }
    }
    path
}

fn operation(resource: Resource, action: &str, body: &[&str]) -> Value {
    let schema = json!({"$ref": format!("#/components/schemas/{}", schema_name(resource))});
    let mut operation = json!({
        "operationId": format!("{action}{}{}", resource.group(), resource.kind()),
        "responses": {"200": {
            "description": "OK",
            "content": {"application/json": {"schema": schema}},
        }},
        ACTION: action,
        GVK: gvk(resource),
    });
    if !body.is_empty() {
        operation["parameters"] =
            json!([query("dryRun"), query("fieldManager"), query("fieldValidation")]);
        let content: Map<String, Value> =
            body.iter().map(|media| ((*media).to_owned(), json!({"schema": schema}))).collect();
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

fn query(name: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}})
}

/// Takes a schema with all that it refers to.
fn collect(name: &str, schemas: &mut Map<String, Value>) {
    if schemas.contains_key(name) {
        return;
    }
    let Some(schema) = definitions().get(name) else { return };
    schemas.insert(name.to_owned(), schema.clone());
    let mut references = Vec::new();
    find_references(schema, &mut references);
    for reference in references {
        collect(reference, schemas);
    }
}

fn find_references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.extend(reference.rsplit('/').next());
            }
            fields.values().for_each(|field| find_references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| find_references(item, found)),
        _ => {}
    }
}

/// FNV-1a: enough to tell one version of a document from another.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(path: &str) -> Value {
        serde_json::from_str(document(path).expect("a document")).expect("JSON")
    }

    #[test]
    fn the_index_leads_to_the_documents() {
        for path in [CORE, BATCH] {
            let url = index()["paths"][path]["serverRelativeURL"].as_str().expect("url");
            let path = url.strip_prefix("/openapi/v3/").and_then(|url| url.split('?').next());
            assert!(path.and_then(document).is_some(), "{url}");
        }
        assert_eq!(document("apis/apps/v1"), None);
    }

    #[test]
    fn patch_takes_field_validation() {
        let batch = parsed(BATCH);
        let patch = &batch["paths"]["/apis/batch/v1/namespaces/{namespace}/jobs/{name}"]["patch"];
        assert_eq!(patch[GVK]["kind"], "Job");
        let parameters = patch["parameters"].as_array().expect("parameters");
        assert!(parameters.iter().any(|p| p["name"] == "fieldValidation" && p["in"] == "query"));
        let content = &patch["requestBody"]["content"];
        assert!(content.get("application/strategic-merge-patch+json").is_some());
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        for path in [CORE, BATCH] {
            let document = parsed(path);
            let mut references = Vec::new();
            find_references(&document, &mut references);
            assert!(!references.is_empty());
            for reference in references {
                assert!(document["components"]["schemas"].get(reference).is_some(), "{reference}");
            }
        }
    }
}
