//! Waiting until members are ready, bounded, with an error that names the
//! member and shows the end of its log.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client, Config};

use super::UpError;
use super::process::log_tail;
use super::record::{Member, Role};
use super::services::{epmd_answers, rabbitmq_answers, redis_answers};

/// How long a member may take. RabbitMQ's first start on a busy machine is the
/// slowest.
const BOUND: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// Waits until a member is ready. `server` is where the cluster's Nodes are
/// listed.
pub(super) async fn wait(member: &Member, server: &str) -> Result<(), UpError> {
    let deadline = Instant::now() + BOUND;
    let probe = Probe::new(member, server)?;
    while !probe.ready().await {
        // Looked at after the probe, so that the reason is the newest there is.
        if !member.is_alive() {
            return Err(ended(member));
        }
        if Instant::now() >= deadline {
            return Err(UpError::NotReady {
                name: member.name.clone(),
                seconds: BOUND.as_secs(),
                log: member.launch.log.clone(),
                tail: log_tail(&member.launch.log),
            });
        }
        tokio::time::sleep(POLL).await;
    }
    // Another program may answer on the port of a member that has ended.
    if member.is_alive() { Ok(()) } else { Err(ended(member)) }
}

/// An error if the member ends within a moment of its start, as it does when
/// its settings or files are wrong.
pub(super) async fn survives(member: &Member) -> Result<(), UpError> {
    const MOMENT: Duration = Duration::from_millis(300);
    match member.process {
        Some(process) if !process.ended_within(MOMENT).await => Ok(()),
        _ => Err(ended(member)),
    }
}

fn ended(member: &Member) -> UpError {
    UpError::Ended {
        name: member.name.clone(),
        log: member.launch.log.clone(),
        tail: log_tail(&member.launch.log),
    }
}

enum Probe<'a> {
    Epmd(u16),
    Redis(u16),
    Rabbitmq(u16),
    Coordinator(Client),
    Worker(Api<Node>, &'a str),
}

impl<'a> Probe<'a> {
    fn new(member: &'a Member, server: &str) -> Result<Self, UpError> {
        Ok(match &member.role {
            Role::Epmd { port } => Self::Epmd(*port),
            Role::Redis { port } => Self::Redis(*port),
            Role::Rabbitmq { port } => Self::Rabbitmq(*port),
            Role::Coordinator { server } => Self::Coordinator(client(server)?),
            Role::Worker { .. } => Self::Worker(Api::all(client(server)?), &member.name),
        })
    }

    async fn ready(&self) -> bool {
        match self {
            Self::Epmd(port) => epmd_answers(*port).await,
            Self::Redis(port) => redis_answers(*port).await,
            Self::Rabbitmq(port) => rabbitmq_answers(*port).await,
            Self::Coordinator(client) => match http::Request::get("/readyz").body(Vec::new()) {
                Ok(request) => client.request_text(request).await.is_ok(),
                Err(_) => false,
            },
            Self::Worker(nodes, name) => {
                nodes.list(&ListParams::default()).await.is_ok_and(|list| {
                    list.items
                        .iter()
                        .any(|node| node.metadata.name.as_deref() == Some(*name) && is_ready(node))
                })
            }
        }
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

fn client(server: &str) -> Result<Client, UpError> {
    let url = server.parse().map_err(std::io::Error::other)?;
    let mut config = Config::new(url);
    config.default_retry = false;
    config.read_timeout = Some(Duration::from_secs(2));
    Client::try_from(config).map_err(|error| std::io::Error::other(error).into())
}
