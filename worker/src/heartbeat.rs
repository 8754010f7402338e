//! The worker's Node: what it is, what it runs, and whether it takes tickets.

use std::convert::Infallible;
use std::time::Duration;

use longshore_store::{NodeRecord, StoreError};
use longshore_support::clock::boottime;
use longshore_support::format::Format;
use longshore_support::host_name;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use crate::context::Context;
use crate::runtime::Facts;

/// Between two heartbeats.
const EVERY: Duration = Duration::from_secs(5);
/// The least time between two, when attempts come and go.
const LEAST: Duration = Duration::from_millis(500);

/// Sends heartbeats for as long as the worker lives.
///
/// # Errors
/// [`StoreError::Format`] once the cluster writes a format that this release can't read.
pub(crate) async fn run(context: &Context) -> Result<Infallible, StoreError> {
    let mut running = context.attempts.running();
    let mut node = describe(context);
    loop {
        let begun = Instant::now();
        if let Some(why) = context.health.broken().filter(|_| node.ready) {
            // Before all else, which can take its time.
            not_ready(&mut node, STARTS_FAIL, why);
            beat(context, &node).await?;
        }
        match look(context).await {
            Ok(facts) => ready(&mut node, facts),
            Err((reason, message)) => not_ready(&mut node, reason, message),
        }
        loop {
            node.running = *running.borrow_and_update();
            let beaten = beat(context, &node).await?;
            sleep(LEAST).await;
            tokio::select! {
                () = sleep_until(begun + EVERY) => break,
                () = context.health.broke.notified() => break,
                // A change of what runs is worth a heartbeat of its own, but not a look at the runtime.
                changed = running.changed(), if beaten => if changed.is_err() { break },
            }
        }
    }
}

const STARTS_FAIL: &str = "StartsFail";

/// What the host is, or the reason why it is of no use: its runtime does not answer, or can't start a
/// container any more.
async fn look(context: &Context) -> Result<Facts, (&'static str, String)> {
    let facts = context.runtime.facts().await;
    let facts = facts.map_err(|error| ("RuntimeUnavailable", error.to_string()))?;
    if let Some(why) = context.health.broken() {
        if !context.health.probe_is_due(std::time::Instant::now()) {
            return Err((STARTS_FAIL, why));
        }
        let probed = context.runtime.probe(&context.folders.launcher()).await;
        probed.map_err(|error| (STARTS_FAIL, format!("{why}; a probe: {error}")))?;
        info!("a probe container runs: taking tickets again");
        context.health.probed();
    }
    Ok(facts)
}

/// Says that the worker has gone down of its own accord.
pub(crate) async fn farewell(context: &Context) {
    let node = NodeRecord {
        ready: false,
        reason: "Drained".into(),
        message: "the worker was shut down".into(),
        ..describe(context)
    };
    let store = context.store.with_patience(LEAST);
    if let Err(error) = store.heartbeat(&node).await {
        warn!(%error, "the last heartbeat was not sent");
    }
}

/// Sends one; `false` if Redis did not answer.
async fn beat(context: &Context, node: &NodeRecord) -> Result<bool, StoreError> {
    let (sent, store) = (boottime(), context.store.with_patience(EVERY));
    let beaten = async {
        let cordoned = store.heartbeat(node).await?;
        store.follow_format().await?;
        Ok(cordoned)
    };
    match beaten.await {
        Ok(cordoned) => {
            context.contact.answered(sent);
            let works = context.health.broken().is_none();
            context.contact.set_fit(node.ready && works && !cordoned);
            Ok(true)
        }
        Err(error @ StoreError::Format { .. }) => Err(error),
        Err(error) => {
            warn!(%error, "a heartbeat was not sent");
            Ok(false)
        }
    }
}

fn describe(context: &Context) -> NodeRecord {
    NodeRecord {
        name: context.name.clone(),
        session: context.session.clone(),
        slots: context.slots,
        runtime: context.runtime_name.into(),
        host: host_name(),
        version: env!("CARGO_PKG_VERSION").into(),
        format: Format::newest(),
        started: context.started,
        ..NodeRecord::default()
    }
}

fn not_ready(node: &mut NodeRecord, reason: &str, message: String) {
    if node.ready {
        warn!(reason, message, "taking no tickets");
    }
    node.ready = false;
    node.reason = reason.into();
    node.message = message;
}

fn ready(node: &mut NodeRecord, facts: Facts) {
    node.engine_version = facts.runtime_version;
    node.kernel = facts.kernel;
    node.os = facts.os;
    node.arch = facts.arch;
    node.cpus = facts.cpus;
    node.memory = facts.memory;
    node.ready = true;
    node.reason = String::new();
    node.message = String::new();
}
