//! `create -f` and `apply -f`.

use std::path::PathBuf;

use clap::Args;
use http::Method;
use longshore_api::Resource;
use longshore_support::exit;
use serde_json::{Value, json};

use super::error::CliError;
use super::manifest::{self, Manifest, shown_job};
use super::merge::{LAST_APPLIED, three_way};
use super::names::shown;
use super::session::{Content, Session, collection, object};

/// Tries of an update that others get in the way of, as kubectl has it.
const CONFLICTS: usize = 5;
const STRICT: [(&str, &str); 2] = [("fieldManager", "longshore"), ("fieldValidation", "Strict")];

#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// A file or folder of Jobs, or - for standard input; may be given again
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Creates every Job of the files.
pub(super) async fn create(session: &Session, args: &FileArgs) -> Result<u8, CliError> {
    each(session, args, async |manifest| {
        let created = send(session, manifest).await?;
        println!("{} created", shown_job(&created));
        Ok(())
    })
    .await
}

/// Creates what isn't there, and changes what differs.
pub(super) async fn apply(session: &Session, args: &FileArgs) -> Result<u8, CliError> {
    each(session, args, async |manifest| {
        let verb = apply_one(session, manifest).await?;
        println!("{} {verb}", shown(Resource::Jobs, &manifest.name));
        Ok(())
    })
    .await
}

/// Creates one Job and gives it as the server stored it.
pub(super) async fn send(session: &Session, manifest: &Manifest) -> Result<Value, CliError> {
    let path = collection(Resource::Jobs, Some(&manifest.namespace));
    session.request(Method::POST, &path, &STRICT, Content::Json(&manifest.object)).await
}

/// Reads all files first; then one Job after the other, told one by one, a
/// refusal of one no reason to leave out the rest.
async fn each(
    session: &Session,
    args: &FileArgs,
    act: impl AsyncFn(&Manifest) -> Result<(), CliError>,
) -> Result<u8, CliError> {
    let asked = session.asked_namespace.as_deref();
    let manifests = manifest::read(&args.files, &session.namespace, asked)?;
    let mut failed = None;
    for manifest in &manifests {
        match act(manifest).await {
            Ok(()) => {}
            Err(error @ (CliError::Refused(_) | CliError::Failed(_))) => {
                error.tell();
                failed = Some(CliError::Told);
            }
            Err(error) => return Err(error),
        }
    }
    failed.map_or(Ok(exit::DONE), Err)
}

async fn apply_one(session: &Session, manifest: &Manifest) -> Result<&'static str, CliError> {
    if manifest.name.is_empty() {
        let prefix = manifest.object["metadata"]["generateName"].as_str().unwrap_or_default();
        return Err(CliError::Failed(format!(
            "{}: from {prefix}: cannot use generate name with apply",
            manifest.source
        )));
    }
    let modified = with_annotation(&manifest.object);
    let path = object(Resource::Jobs, &manifest.namespace, &manifest.name);
    let mut last = CliError::Told;
    for _ in 0..CONFLICTS {
        let live = match session.get(&path, &[]).await {
            Ok(live) => live,
            Err(error) if error.is_not_found() => {
                let manifest = Manifest {
                    source: manifest.source.clone(),
                    namespace: manifest.namespace.clone(),
                    name: manifest.name.clone(),
                    object: modified.clone(),
                };
                send(session, &manifest).await?;
                return Ok("created");
            }
            Err(error) => return Err(error),
        };
        let Some(patch) = three_way(&last_applied(&live), &modified, &live) else {
            return Ok("unchanged");
        };
        match session.request(Method::PATCH, &path, &STRICT, Content::MergePatch(&patch)).await {
            Ok(_) => return Ok("configured"),
            Err(error) if error.is_conflict() => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// The object with itself in the annotation, so that the next apply sees which
/// fields were taken out.
fn with_annotation(object: &Value) -> Value {
    let mut object = object.clone();
    let annotations = &mut object["metadata"]["annotations"];
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.remove(LAST_APPLIED);
    }
    let text = format!("{object}\n");
    let annotations = &mut object["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations[LAST_APPLIED] = json!(text);
    object
}

fn last_applied(live: &Value) -> Value {
    live["metadata"]["annotations"][LAST_APPLIED]
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_applied_object_is_unchanged_when_applied_again() {
        let file = json!({"metadata": {"name": "x"}, "spec": {"parallelism": 1}});
        let applied = with_annotation(&file);
        let mut live = applied.clone();
        live["spec"]["suspend"] = json!(false);
        assert_eq!(last_applied(&live)["spec"], file["spec"]);
        assert_eq!(three_way(&last_applied(&live), &with_annotation(&file), &live), None);
    }
}
