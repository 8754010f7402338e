//! Reading Jobs from files. All of them are checked before any is sent, so that
//! a mistake in the last leaves nothing stored.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use k8s_openapi::api::batch::v1::Job;
use longshore_api::decode::{FieldValidation, decode_job};
use longshore_api::field::aggregate;
use longshore_api::manifest::parse_yaml;
use longshore_api::{FieldError, Resource, defaults, validate};
use serde_json::Value;

use super::error::CliError;

/// A Job from a file, as it is to be sent.
#[derive(Debug)]
pub(super) struct Manifest {
    /// The file's name, for messages.
    pub(super) source: String,
    pub(super) namespace: String,
    /// Empty with generateName.
    pub(super) name: String,
    pub(super) object: Value,
}

/// Reads and checks the Jobs of `files`: a file, a folder of them, or `-` for
/// standard input.
pub(super) fn read(
    files: &[PathBuf],
    namespace: &str,
    asked_namespace: Option<&str>,
) -> Result<Vec<Manifest>, CliError> {
    let mut manifests = Vec::new();
    for file in files {
        for (source, text) in texts(file)? {
            let objects = parse_yaml(&text)
                .map_err(|error| CliError::Failed(format!("{source}: {error}")))?;
            for object in objects {
                manifests.push(check(&source, object, namespace, asked_namespace)?);
            }
        }
    }
    Ok(manifests)
}

fn check(
    source: &str,
    object: Value,
    namespace: &str,
    asked_namespace: Option<&str>,
) -> Result<Manifest, CliError> {
    let (kind, version) = (text_of(&object["kind"]), text_of(&object["apiVersion"]));
    let name = text_of(&object["metadata"]["name"]);
    if (kind.as_str(), version.as_str()) != ("Job", "batch/v1") {
        return Err(CliError::Failed(format!(
            "{source}: {kind} of {version}{}: only Jobs of batch/v1 can be given",
            if name.is_empty() { String::new() } else { format!(" ({name})") },
        )));
    }
    let invalid = |name: &str, errors: &[FieldError]| {
        let name = if name.is_empty() { String::new() } else { format!(" {name:?}") };
        CliError::Failed(format!("{source}: Job{name} is invalid: {}", aggregate(errors)))
    };
    let (mut job, _) =
        decode_job(object, FieldValidation::Strict).map_err(|e| invalid(&name, &e))?;

    let own = job.metadata.namespace.clone();
    if let (Some(own), Some(asked)) = (&own, asked_namespace)
        && own != asked
    {
        return Err(CliError::Failed(format!(
            "the namespace from the provided object {own:?} does not match the namespace \
             {asked:?}. You must pass '--namespace={own}' to perform this operation."
        )));
    }
    let namespace = own.unwrap_or_else(|| namespace.to_owned());
    job.metadata.namespace = Some(namespace.clone());

    let errors = problems(job.clone(), &namespace);
    if !errors.is_empty() {
        return Err(invalid(&name, &errors));
    }
    let object = serde_json::to_value(&job).map_err(io::Error::other)?;
    Ok(Manifest { source: source.to_owned(), namespace, name, object })
}

/// What the server would say against this Job.
fn problems(mut job: Job, namespace: &str) -> Vec<FieldError> {
    defaults::set_defaults(&mut job);
    defaults::prepare_create(&mut job, namespace, "00000000-0000-0000-0000-000000000000", 0);
    validate::validate(&job)
}

fn texts(file: &Path) -> Result<Vec<(String, String)>, CliError> {
    if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        return Ok(vec![("standard input".to_owned(), text)]);
    }
    let failed = |error: io::Error| CliError::Failed(format!("{}: {error}", file.display()));
    if !file.is_dir() {
        let bytes = fs::read(file).map_err(failed)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| CliError::Failed(format!("{}: not UTF-8 text", file.display())))?;
        return Ok(vec![(file.display().to_string(), text)]);
    }
    let mut files: Vec<PathBuf> = fs::read_dir(file)
        .map_err(failed)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            path.is_file() && matches!(extension, "yaml" | "yml" | "json")
        })
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(CliError::Failed(format!(
            "{}: no .yaml, .yml or .json files in it",
            file.display()
        )));
    }
    let mut all = Vec::new();
    for file in files {
        all.extend(texts(&file)?);
    }
    Ok(all)
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The name kubectl would show for an object of the server.
pub(super) fn shown_job(object: &Value) -> String {
    super::names::shown(Resource::Jobs, object["metadata"]["name"].as_str().unwrap_or_default())
}
