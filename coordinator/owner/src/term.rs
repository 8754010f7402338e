//! One term of a shard's owner.

use std::sync::Arc;
use std::time::Duration;

use longshore_store::{Epoch, Shard, StreamId};
use longshore_support::chain::Chain;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::owner::Owner;
use crate::patient::patiently;
use crate::supervise::Context;
use crate::{archive, expiry, forward, outbox};

/// How often the owner shows that it is alive.
const BEAT: Duration = Duration::from_secs(1);

/// What is added to a lease before it counts as run out.
pub(crate) const SLACK: Duration = Duration::from_secs(1);

/// A shard as it was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    pub(crate) shard: Shard,
    /// Fences all writes: they fail once another has taken the shard, or Redis was restarted.
    pub(crate) epoch: Epoch,
    /// The position of the shard's stream that is accounted for.
    pub(crate) pos: StreamId,
    /// Whether claims are granted on this run of Redis.
    pub(crate) accepted: bool,
}

/// Serves a shard until `stop`, or until it turns out to be another's.
///
/// The parts run side by side, so that neither a slow RabbitMQ nor a large commit keeps the beat or the
/// leases waiting. Each of them may be dropped at any point: that is no different from a crash.
pub(crate) async fn serve(context: Arc<Context>, term: Term, stop: CancellationToken) {
    let (mail, outbox) = outbox::channel();
    let (archiver, queue) = archive::channel(context.settings.archive.as_ref(), &context.store);
    let (longest_lease, lease_known) = oneshot::channel();
    let (grants, granted) = oneshot::channel();
    tokio::select! {
        () = stop.cancelled() => {
            match context.store.release(term.shard, term.epoch).await {
                Ok(_) => info!(shard = %term.shard, "gave a shard back"),
                Err(error) => warn!(shard = %term.shard, "could not give a shard back: {}", Chain(&error)),
            }
        }
        () = keep(&context, term) => lost(term),
        () = accept(&context, term, lease_known, grants) => lost(term),
        () = expiry::run(&context.store, term) => lost(term),
        () = Owner::run(&context, term, mail, archiver, longest_lease) => lost(term),
        () = forward::run(&context.store, term.shard) => {}
        () = outbox.run(&context.publisher, granted) => {}
        () = queue.run(term.shard) => {}
    }
}

fn lost(term: Term) {
    info!(shard = %term.shard, epoch = term.epoch.number, "the term is over: another owner or another run of Redis");
}

/// Shows that the owner is alive. Returns when it is no more the owner.
async fn keep(context: &Context, term: Term) {
    loop {
        match context.store.beat(term.shard, term.epoch).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) if error.is_transient() => {}
            Err(error) => warn!(shard = %term.shard, "no beat: {}", Chain(&error)),
        }
        tokio::time::sleep(BEAT).await;
    }
}

/// Allows claims on a new run of Redis, once no lease that it may have forgotten can be running, and tells
/// that they are granted. Returns when this is no more the owner.
async fn accept(
    context: &Context,
    term: Term,
    longest_lease: oneshot::Receiver<Option<Duration>>,
    grants: oneshot::Sender<()>,
) {
    // The owner has loaded the shard when it tells.
    let Ok(lease) = longest_lease.await else { return std::future::pending().await };
    if !term.accepted && !accept_run(context, term, lease).await {
        return;
    }
    // Its other end waits for as long as this runs.
    let _ = grants.send(());
    std::future::pending().await
}

async fn accept_run(context: &Context, term: Term, lease: Option<Duration>) -> bool {
    // First: an owner after this one sees by the run whether watchers were told.
    patiently(|| context.store.log_setback(term.shard)).await;
    if let Some(lease) = lease {
        let wait = lease + SLACK;
        info!(shard = %term.shard, "Redis was restarted: nothing is claimed for {} s", wait.as_secs());
        tokio::time::sleep(wait).await;
    }
    let least = context.incarnations.next(term.shard);
    patiently(|| context.store.accept_run(term.shard, term.epoch, least)).await
}
