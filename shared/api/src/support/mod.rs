//! Which fields of a Job Longshore honours, which have no effect, and which it refuses.
//!
//! One table says so for every field of the types that a Job is made of; `docs/fields.md` is made of
//! it. A field that can't be honoured is refused with the reason, never dropped in silence.

use serde_json::{Value, json};

use crate::field::{FieldError, Warning};
use crate::resource::Resource;
use crate::schema::{Schema, Shape};

mod container;
#[cfg(test)]
mod document;
mod job;
mod pod;
#[cfg(test)]
mod tests;
mod volume;

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Support {
    /// Honoured, along with what is in it, as far as the table says so for its type.
    Yes,
    /// The same, but not for every value or not everywhere: the rules of validation see to it.
    Within(&'static str),
    /// Without effect, here as with Kubernetes, or of no weight: nothing need be said.
    Harmless(&'static str),
    /// Accepted without effect; the client is told why.
    Ignored(&'static str),
    /// Accepted with one of these values only.
    Only(&'static [&'static str], &'static str),
    /// Refused for this reason, unless it is empty.
    Refused(&'static str),
}

use Support::{Harmless, Ignored, Only, Refused, Within, Yes};

type Fields = &'static [(&'static str, Support)];

/// The fields of types by the types' full names.
type Table = &'static [(&'static str, Fields)];

const TABLES: [Table; 4] = [job::TABLE, pod::TABLE, container::TABLE, volume::TABLE];

/// What the table says about a Job: the fields that are refused, and what the client should know.
/// `spec` is the Job's specification as JSON.
pub(crate) fn check(spec: &Value) -> (Vec<FieldError>, Vec<Warning>) {
    let mut found = Found { errors: Vec::new(), warnings: Vec::new() };
    if let Some(schema) = Schema::of(Resource::Jobs).field("spec") {
        found.walk(schema, spec, "spec");
    }
    (found.errors, found.warnings)
}

struct Found {
    errors: Vec<FieldError>,
    warnings: Vec<Warning>,
}

impl Found {
    fn walk(&mut self, schema: Schema<'_>, value: &Value, path: &str) {
        match (schema.shape(), value) {
            (Shape::Array(items), Value::Array(list)) => {
                for (at, item) in list.iter().enumerate() {
                    self.walk(items, item, &format!("{path}[{at}]"));
                }
            }
            (Shape::Object(_), Value::Object(fields)) => {
                let Some(table_name) = schema.name() else { return };
                let Some(table) = table_of(table_name) else { return };
                for (name, value) in fields {
                    let support = table.iter().find(|(field, _)| field == name);
                    if let (Some((_, support)), Some(schema)) = (support, schema.field(name)) {
                        let path = format!("{path}.{name}");
                        self.judge(*support, schema, value, &path);
                    }
                }
            }
            _ => {}
        }
    }

    fn judge(&mut self, support: Support, schema: Schema<'_>, value: &Value, path: &str) {
        match support {
            Yes | Within(_) => self.walk(schema, value, path),
            Harmless(_) => {}
            _ if is_empty(value) => {}
            Ignored(why) => self.warnings.push(Warning(format!("{path} has no effect: {why}"))),
            Only(values, why) => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                if !values.contains(&text.as_str()) {
                    self.refuse(path, &format!("other than {}; {why}", list(values)));
                }
            }
            Refused(why) => self.refuse(path, why),
        }
    }

    fn refuse(&mut self, path: &str, why: &str) {
        let joint = if why.starts_with("other than") { " " } else { ": " };
        self.errors.push(FieldError::forbidden(path, format!("not supported yet{joint}{why}")));
    }
}

/// Whether a field says nothing, so that it is as good as absent. A number always says something.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        other => *other == json!(false) || *other == json!(""),
    }
}

fn table_of(name: &str) -> Option<Fields> {
    types().find(|(of, _)| *of == name).map(|(_, fields)| fields)
}

/// All types of the table, in the order of the documentation.
fn types() -> impl Iterator<Item = (&'static str, Fields)> {
    TABLES.into_iter().flatten().copied()
}

/// Words as a sentence lists them: `a, b and c`.
fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
