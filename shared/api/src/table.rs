//! The tables that `kubectl get` prints: `Table` objects of `meta.k8s.io`.

use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use longshore_job::Millis;
use serde::Serialize;
use serde_json::{Value, json};

pub use crate::pod_row::pod_status;
pub use crate::rows::{job_completions, job_duration, job_status};

/// What a row carries beside its cells: the query parameter `includeObject`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    None,
    /// The object's metadata alone.
    #[default]
    Metadata,
    Object,
}

impl IncludeObject {
    /// The parameter's value; without one it is `Metadata`. `None` for any other word.
    pub fn parse(word: Option<&str>) -> Option<Self> {
        match word {
            Some("None") => Some(Self::None),
            None | Some("" | "Metadata") => Some(Self::Metadata),
            Some("Object") => Some(Self::Object),
            Some(_) => None,
        }
    }
}

/// How a table is to be made.
#[derive(Clone, Debug)]
pub struct TableOptions {
    /// The moment to which ages and durations are counted.
    pub now: Millis,
    pub include: IncludeObject,
    /// The version of `meta.k8s.io`: `v1` or `v1beta1`.
    pub version: &'static str,
    /// Whether the columns are described: not needed after the first event of a watch.
    pub columns: bool,
    pub resource_version: String,
    /// For a list cut by its limit: where to go on, and how many objects are left.
    pub continue_token: Option<String>,
    pub remaining: Option<i64>,
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    /// `string` or `integer`.
    pub kind: &'static str,
    /// `name` for the column that names the object, else empty.
    pub format: &'static str,
    /// Whether it is shown with `-o wide` only.
    pub wide: bool,
    pub description: &'static str,
}

impl Column {
    pub(crate) const fn text(name: &'static str, description: &'static str) -> Self {
        Self { name, kind: "string", format: "", wide: false, description }
    }

    pub(crate) const fn name() -> Self {
        Self { format: "name", ..Self::text("Name", "The name of the object.") }
    }

    pub(crate) const fn age() -> Self {
        Self::text("Age", "The time since the object was created.")
    }

    pub(crate) const fn wide(self) -> Self {
        Self { wide: true, ..self }
    }

    pub(crate) const fn integer(self) -> Self {
        Self { kind: "integer", ..self }
    }
}

/// An object that has a row in a table: Jobs, Pods, Nodes, Events and Namespaces.
pub trait TableRow: Serialize + Metadata<Ty = ObjectMeta> {
    fn columns() -> &'static [Column];

    /// One cell for each column.
    fn cells(&self, now: Millis) -> Vec<Value>;
}

/// The `Table` with a row for each object.
pub fn table<T: TableRow>(objects: &[T], options: &TableOptions) -> Value {
    let mut metadata = json!({"resourceVersion": options.resource_version});
    if let Some(token) = &options.continue_token {
        metadata["continue"] = json!(token);
    }
    if let Some(remaining) = options.remaining {
        metadata["remainingItemCount"] = json!(remaining);
    }
    let columns: Vec<Value> =
        if options.columns { T::columns().iter().map(definition).collect() } else { Vec::new() };
    let rows: Vec<Value> = objects.iter().map(|object| row(object, options)).collect();
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{}", options.version),
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    })
}

fn definition(column: &Column) -> Value {
    json!({
        "name": column.name,
        "type": column.kind,
        "format": column.format,
        "description": column.description,
        "priority": i32::from(column.wide),
    })
}

fn row<T: TableRow>(object: &T, options: &TableOptions) -> Value {
    let cells = object.cells(options.now);
    let object = match options.include {
        IncludeObject::None => return json!({"cells": cells}),
        IncludeObject::Metadata => json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": format!("meta.k8s.io/{}", options.version),
            "metadata": object.metadata(),
        }),
        IncludeObject::Object => json!(object),
    };
    json!({"cells": cells, "object": object})
}
