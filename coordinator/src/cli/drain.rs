//! `cordon`, `uncordon` and `drain`: a worker that is to take nothing more, and to be empty.

use std::time::Duration;

use clap::Args;
use http::Method;
use longshore_api::Resource;
use longshore_support::exit;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::changes::{Change, Selection, follow, list};
use super::error::CliError;
use super::names::{self, shown};
use super::session::{Content, Session, object};
use super::wait::{end_of, parse_limit};

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// Workers, by NAME or as node/NAME
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    nodes: NodeArgs,
    /// How long running attempts may go on before they are evicted, to run elsewhere
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_limit)]
    finish: Duration,
    /// How long to wait in all, such as 5m; 0 means without end
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_limit, allow_hyphen_values = true)]
    timeout: Duration,
}

/// `cordon` and `uncordon`.
pub(super) async fn set_unschedulable(
    session: &Session,
    args: &NodeArgs,
    unschedulable: bool,
) -> Result<u8, CliError> {
    for name in named(args)? {
        cordon(session, &name, unschedulable).await?;
    }
    Ok(exit::DONE)
}

/// Cordons the nodes, lets what runs there finish or evicts it, and returns when nothing runs there.
pub(super) async fn drain(session: &Session, args: &DrainArgs) -> Result<u8, CliError> {
    let names = named(&args.nodes)?;
    for name in &names {
        cordon(session, name, true).await?;
    }
    let (evict_at, deadline) = (Instant::now() + args.finish, end_of(args.timeout));
    for name in names {
        empty(session, &name, evict_at, deadline).await?;
        println!("{} drained", shown(Resource::Nodes, &name));
    }
    Ok(exit::DONE)
}

fn named(args: &NodeArgs) -> Result<Vec<String>, CliError> {
    let parse = |node: &String| match names::parse_one(std::slice::from_ref(node), Resource::Nodes)?
    {
        (Resource::Nodes, name) => Ok(name),
        _ => Err(CliError::Usage(format!("{node} is no node"))),
    };
    args.nodes.iter().map(parse).collect()
}

async fn cordon(session: &Session, name: &str, unschedulable: bool) -> Result<(), CliError> {
    let path = object(Resource::Nodes, "", name);
    let node = session.get(&path, &[]).await?;
    let verb = if unschedulable { "cordoned" } else { "uncordoned" };
    if node["spec"]["unschedulable"].as_bool().unwrap_or_default() == unschedulable {
        println!("{} already {verb}", shown(Resource::Nodes, name));
        return Ok(());
    }
    let patch = json!({ "spec": { "unschedulable": unschedulable } });
    session.request(Method::PATCH, &path, &[], Content::MergePatch(&patch)).await?;
    println!("{} {verb}", shown(Resource::Nodes, name));
    Ok(())
}

/// Waits until nothing runs on a node; from `evict_at` on what does is evicted.
async fn empty(
    session: &Session,
    node: &str,
    evict_at: Instant,
    deadline: Instant,
) -> Result<(), CliError> {
    let on_node = format!("spec.nodeName={node}");
    let pods =
        Selection { resource: Resource::Pods, namespace: String::new(), selectors: Vec::new() }
            .with_fields(on_node);
    let mut changes = follow(session, pods.clone());
    let mut evicted = Vec::new();
    loop {
        let (pods, _) = list(session, &pods).await?;
        let running: Vec<Running> = pods.iter().filter_map(running).collect();
        if running.is_empty() {
            return Ok(());
        }
        let evicting = Instant::now() >= evict_at;
        if evicting {
            for pod in &running {
                if !evicted.contains(pod) {
                    evict(session, pod).await?;
                    evicted.push(pod.clone());
                }
            }
        }
        let until = if evicting { deadline } else { evict_at.min(deadline) };
        match timeout_at(until, changes.recv()).await {
            // Nothing follows this.
            Ok(Some(Change::Failed(error))) => return Err(error),
            // Any change may be the end of one.
            Ok(_) => {}
            Err(_) if until < deadline => {}
            Err(_) => {
                let left: Vec<String> = running.iter().map(|pod| pod.name.clone()).collect();
                let left = left.join(", ");
                return Err(CliError::TimedOut(format!("still running on {node}: {left}")));
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Running {
    namespace: String,
    name: String,
}

fn running(pod: &Value) -> Option<Running> {
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default().to_owned();
    (!ended).then(|| Running { namespace: text("namespace"), name: text("name") })
}

async fn evict(session: &Session, pod: &Running) -> Result<(), CliError> {
    let Running { namespace, name } = pod;
    println!("evicting pod {namespace}/{name}");
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "namespace": namespace, "name": name },
    });
    let path = format!("{}/eviction", object(Resource::Pods, namespace, name));
    match session.request(Method::POST, &path, &[], Content::Json(&eviction)).await {
        // It has ended meanwhile.
        Err(error) if error.is_not_found() => Ok(()),
        sent => sent.map(drop),
    }
}
