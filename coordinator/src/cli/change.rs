//! `delete`, `suspend` and `resume`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::Method;
use longshore_api::Resource;
use longshore_support::exit;
use serde_json::{Value, json};

use super::changes::{Selection, list};
use super::error::CliError;
use super::names::{self, shown};
use super::session::{Content, Session, object};
use super::{manifest, wait};

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// TYPE NAME or TYPE/NAME
    #[arg(value_name = "TYPE NAME", required_unless_present = "files")]
    what: Vec<String>,
    /// The Jobs of a file or folder, or - for standard input; may be given again
    #[arg(short, long = "filename", value_name = "FILE", conflicts_with = "what")]
    files: Vec<PathBuf>,
    /// Every object of the type in the namespace
    #[arg(long)]
    all: bool,
    /// Every object of the type with these labels
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "all")]
    selector: Option<String>,
    /// No error if there is no such object
    #[arg(long)]
    ignore_not_found: bool,
    /// Seconds that containers get to end
    #[arg(long, value_name = "SECONDS")]
    grace_period: Option<u32>,
    /// Wait until the objects are gone
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    wait: bool,
    /// How long to wait, such as 30s; 0 means without end
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = wait::parse_limit, allow_hyphen_values = true)]
    timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// Jobs, by NAME or as job/NAME
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<String>,
}

/// One object to delete.
struct Doomed {
    resource: Resource,
    namespace: String,
    name: String,
}

pub(super) async fn delete(session: &Session, args: &DeleteArgs) -> Result<u8, CliError> {
    let doomed = find(session, args).await?;
    if doomed.is_empty() {
        println!("No resources found");
    }
    let mut failed = false;
    let mut going = Vec::new();
    for one in doomed {
        match send_delete(session, args, &one).await {
            Ok(()) => {
                println!("{} deleted", quoted(one.resource, &one.name));
                going.push(one);
            }
            Err(error) if error.is_not_found() && args.ignore_not_found => {}
            Err(error @ CliError::Refused(_)) => {
                error.tell();
                failed = true;
            }
            Err(error) => return Err(error),
        }
    }
    if args.wait {
        let deadline = wait::end_of(args.timeout);
        for one in going {
            let session = session.in_namespace(&one.namespace);
            wait::until_gone(&session, one.resource, &one.name, deadline).await?;
        }
    }
    if failed { Err(CliError::Told) } else { Ok(exit::DONE) }
}

/// `suspend` and `resume`.
pub(super) async fn set_suspend(
    session: &Session,
    args: &JobArgs,
    suspend: bool,
) -> Result<u8, CliError> {
    let verb = if suspend { "suspended" } else { "resumed" };
    let patch = json!({ "spec": { "suspend": suspend } });
    let mut failed = false;
    for job in &args.jobs {
        let (resource, name) = names::parse_one(std::slice::from_ref(job), Resource::Jobs)?;
        if resource != Resource::Jobs {
            return Err(CliError::Usage(format!("{job} is no Job")));
        }
        match set(session, &name, suspend, &patch).await {
            Ok(true) => println!("{} {verb}", shown(resource, &name)),
            Ok(false) => println!("{} unchanged: {verb} already", shown(resource, &name)),
            Err(error @ CliError::Refused(_)) => {
                error.tell();
                failed = true;
            }
            Err(error) => return Err(error),
        }
    }
    if failed { Err(CliError::Told) } else { Ok(exit::DONE) }
}

async fn set(
    session: &Session,
    name: &str,
    suspend: bool,
    patch: &Value,
) -> Result<bool, CliError> {
    let path = object(Resource::Jobs, &session.namespace, name);
    let job = session.get(&path, &[]).await?;
    if job["spec"]["suspend"].as_bool().unwrap_or(false) == suspend {
        return Ok(false);
    }
    let query = [("fieldManager", "longshore")];
    session.request(Method::PATCH, &path, &query, Content::MergePatch(patch)).await?;
    Ok(true)
}

async fn find(session: &Session, args: &DeleteArgs) -> Result<Vec<Doomed>, CliError> {
    if !args.files.is_empty() {
        let asked = session.asked_namespace.as_deref();
        let manifests = manifest::read(&args.files, &session.namespace, asked)?;
        return Ok(manifests
            .into_iter()
            .map(|m| Doomed { resource: Resource::Jobs, namespace: m.namespace, name: m.name })
            .collect());
    }
    let mut doomed = Vec::new();
    for target in names::parse(&args.what)? {
        let mut names = target.names;
        if names.is_empty() {
            if !args.all && args.selector.is_none() {
                return Err(CliError::Usage(
                    "resource(s) were provided, but no name was specified".to_owned(),
                ));
            }
            let labels = args.selector.clone().unwrap_or_default();
            let selection = Selection::labelled(target.resource, &session.namespace, labels);
            let (items, _) = list(session, &selection).await?;
            let found = items.iter().filter_map(|item| item["metadata"]["name"].as_str());
            names = found.map(str::to_owned).collect();
        }
        doomed.extend(names.into_iter().map(|name| Doomed {
            resource: target.resource,
            namespace: session.namespace.clone(),
            name,
        }));
    }
    Ok(doomed)
}

async fn send_delete(session: &Session, args: &DeleteArgs, one: &Doomed) -> Result<(), CliError> {
    let mut options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
    });
    if let Some(seconds) = args.grace_period {
        options["gracePeriodSeconds"] = json!(seconds);
    }
    let path = object(one.resource, &one.namespace, &one.name);
    session.request(Method::DELETE, &path, &[], Content::Json(&options)).await.map(drop)
}

/// kubectl's way to name what it deletes: `job.batch "x"`.
fn quoted(resource: Resource, name: &str) -> String {
    shown(resource, "").trim_end_matches('/').to_owned() + &format!(" \"{name}\"")
}
