//! `describe`: one object with all that is known of it, and its events.

mod job;
mod node;
mod pod;
mod text;

use clap::Args;
use longshore_api::Resource;
use longshore_support::exit;
use serde_json::Value;

use super::changes::{Selection, list};
use super::error::CliError;
use super::names;
use super::session::{Session, object};
use text::Text;

#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// TYPE NAME or TYPE/NAME; a type alone means all of it
    #[arg(required = true, value_name = "TYPE NAME")]
    what: Vec<String>,
    /// Only objects with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
}

pub(super) async fn describe(session: &Session, args: &DescribeArgs) -> Result<u8, CliError> {
    let mut failed = false;
    let mut printed = false;
    for target in names::parse(&args.what)? {
        let mut objects = Vec::new();
        for name in &target.names {
            match session.get(&object(target.resource, &session.namespace, name), &[]).await {
                Ok(object) => objects.push(object),
                Err(error @ CliError::Refused(_)) => {
                    error.tell();
                    failed = true;
                }
                Err(error) => return Err(error),
            }
        }
        if target.names.is_empty() {
            let labels = args.selector.clone().unwrap_or_default();
            let selection = Selection::labelled(target.resource, &session.namespace, labels);
            objects = list(session, &selection).await?.0;
        }
        for object in objects {
            if printed {
                println!("\n");
            }
            print!("{}", one(session, target.resource, &object).await?);
            printed = true;
        }
    }
    if !printed && !failed {
        eprintln!("No resources found in {} namespace.", session.namespace);
    }
    if failed { Err(CliError::Told) } else { Ok(exit::DONE) }
}

async fn one(session: &Session, resource: Resource, object: &Value) -> Result<String, CliError> {
    let mut text = Text::default();
    match resource {
        Resource::Jobs => job::describe(&mut text, object),
        Resource::Pods => pod::describe(&mut text, object),
        Resource::Nodes => {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let on_node = Selection {
                resource: Resource::Pods,
                namespace: String::new(),
                selectors: Vec::new(),
            }
            .with_fields(format!("spec.nodeName={name}"));
            node::describe(&mut text, object, &list(session, &on_node).await?.0);
        }
        other => {
            return Err(CliError::Failed(format!("{} can't be described", other.plural())));
        }
    }
    events(session, resource, object, &mut text).await?;
    Ok(text.finish())
}

async fn events(
    session: &Session,
    resource: Resource,
    object: &Value,
    text: &mut Text,
) -> Result<(), CliError> {
    let of = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let mut fields =
        format!("involvedObject.name={},involvedObject.kind={}", of("name"), resource.kind());
    if resource.namespaced() {
        fields = format!("{fields},involvedObject.uid={}", of("uid"));
    }
    let selection =
        Selection { resource: Resource::Events, namespace: of("namespace"), selectors: Vec::new() }
            .with_fields(fields);
    let (events, _) = list(session, &selection).await?;
    text.events(events);
    Ok(())
}
