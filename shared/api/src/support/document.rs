//! The table as the page `docs/fields.md`.

use std::fmt::Write;
use std::path::Path;

use super::*;

const INTRODUCTION: &str = "\
# The fields of a Job

What Longshore does with each field of a `batch/v1` Job. A field is

- **honoured**: it does what it does in Kubernetes, within what the last column says;
- **no effect**: accepted, and nothing follows from it, here as in Kubernetes or because nothing can;
- **ignored**: accepted without effect, and the client is told so by a warning;
- **refused**: the Job is not accepted. The error names the field and the reason. A field that is
  empty, `false` or null is as good as absent and is never refused.

Fields of a type below a refused one are not listed. Fields that Kubernetes 1.34 doesn't know are
errors, warnings or dropped, as the client's `fieldValidation` says.

Of the metadata of the Job itself, `finalizers` are refused, as a deletion waits for the containers
alone, and `ownerReferences` are ignored, as a Job isn't deleted with its owner. The annotations that
Longshore knows are `longshore.dev/backoff-base`, `longshore.dev/backoff-cap`, `longshore.dev/lease`
and `longshore.dev/allow-overlap`.

This page is made from the table that the server itself goes by, with
`UPDATE_DOCS=1 cargo test -p longshore-api fields_md`.
";

#[test]
fn fields_md_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fields.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "run UPDATE_DOCS=1 cargo test -p longshore-api fields_md");
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (name, fields) in types() {
        let short = name.rsplit('.').next().unwrap_or(name);
        let note = if short == "ObjectMeta" { " (of the template)" } else { "" };
        let _ = write!(page, "\n## {short}{note}\n\n| field | | |\n| --- | --- | --- |\n");
        for (field, support) in fields {
            let (word, text) = match support {
                Yes => ("honoured", String::new()),
                Within(text) => ("honoured", (*text).to_owned()),
                Harmless(why) => ("no effect", (*why).to_owned()),
                Ignored(why) => ("ignored", (*why).to_owned()),
                Only(values, why) => ("honoured", format!("only {}: {why}", list(values))),
                Refused(why) => ("refused", (*why).to_owned()),
            };
            let _ = writeln!(page, "| `{field}` | {word} | {text} |");
        }
    }
    page
}
