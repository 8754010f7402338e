//! Slots: each takes a ticket, claims its attempt, runs it, and only then takes another.

use std::sync::Arc;
use std::time::Duration;

use longshore_broker::{Delivery, Slot, Ticket};
use longshore_job::Outcome;
use longshore_store::{AttemptKey, Claimed, Grant, JobRef, Shard};
use longshore_support::clock::boottime_ns;
use longshore_support::retry::Policy;
use tokio::time::sleep;
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::assignment::{Assignment, Granted};
use crate::attempt::{Attempt, Before};
use crate::claim::Claim;
use crate::context::Context;

/// How long to wait after a claim that failed.
const PAUSED: Duration = Duration::from_millis(500);

/// How long a ticket whose claim failed keeps its slot, so that claims don't fail at full speed.
const REFUSED: Duration = Duration::from_secs(2);

/// Runs one slot until the worker drains; `first` is an attempt that it begins with.
pub(crate) async fn run(context: Arc<Context>, first: Option<Attempt>) {
    if let Some(attempt) = first {
        attempt.run(&context).await;
    }
    let mut slot = context.consumer.slot();
    loop {
        let delivery = tokio::select! {
            biased;
            () = context.draining.cancelled() => break,
            delivery = next(&context, &mut slot) => delivery,
        };
        serve(&context, &mut slot, delivery).await;
    }
    slot.pause().await;
}

/// The next ticket. While the worker must take none, the slot's consumer is off, so that tickets go
/// to other workers.
async fn next(context: &Context, slot: &mut Slot) -> Delivery {
    loop {
        context.contact.open().await;
        tokio::select! {
            biased;
            () = context.contact.closed() => slot.pause().await,
            delivery = slot.next() => return delivery,
        }
    }
}

/// Claims and runs a ticket's attempt. The ticket stays unacknowledged meanwhile: it is the slot's
/// credit. A long attempt's is acknowledged early, without taking another.
async fn serve(context: &Context, slot: &mut Slot, delivery: Delivery) {
    let Ticket { shard, uid, index, attempt, .. } = &delivery.ticket;
    let key = JobRef::new(Shard(*shard), uid.as_str()).attempt(*index, *attempt);
    let made = context.folders.claims().begin();
    let Some((grant, sent)) = claim(context, slot, &delivery, &key, &made).await else { return };
    let span = info_span!("attempt", %key);
    let running = begin(context, key, grant, sent, made).instrument(span);
    let mut running = std::pin::pin!(running);
    tokio::select! {
        () = &mut running => delivery.ack().await,
        () = sleep(context.ack_after) => {
            let acknowledge = async {
                // The consumer first: with the acknowledgement the broker would send the next ticket.
                slot.pause().await;
                delivery.ack().await;
            };
            // Side by side: the attempt must not stand still while a broker doesn't answer.
            tokio::join!(running, acknowledge);
        }
    }
}

/// Claims a ticket's attempt and answers the ticket if nothing comes of it. Gives the grant and the
/// moment from which its lease counts.
async fn claim(
    context: &Context,
    slot: &mut Slot,
    delivery: &Delivery,
    key: &AttemptKey,
    made: &Claim,
) -> Option<(Grant, u64)> {
    let mut delays = Policy::SERVER.delays();
    // Before the first send of this claim: a later reply can be to any of them.
    let sent = boottime_ns();
    loop {
        match context.store.claim(key, &made.id, &context.name, &context.session).await {
            Ok(Claimed::Granted(grant)) => return Some((grant, sent)),
            Ok(Claimed::Refused(why)) => {
                debug!(attempt = %key, why, "the ticket is void");
                delivery.ack().await;
                return None;
            }
            Ok(Claimed::Paused) => {
                // Redis has just come back. The shard's owner publishes all that is offered once it grants
                // claims; until then the slot is of use to other shards.
                debug!(attempt = %key, "the shard grants nothing yet; the ticket is dropped");
                delivery.ack().await;
                return None;
            }
            Ok(Claimed::Fenced) => {
                warn!(attempt = %key, "this worker is not enrolled; the ticket waits");
                context.attempts.suspect(key.job.shard);
                // A claim before this one may have been granted: the lease counts from that.
                sleep(PAUSED).await;
            }
            Err(failure) if failure.is_transient() => {
                warn!(attempt = %key, error = %failure, "no answer to a claim");
                sleep(delays.next().unwrap_or(PAUSED)).await;
            }
            Err(failure) => {
                // Not given back: RabbitMQ counts that as it counts workers that were lost with a ticket,
                // and another worker would hear the same. Its owner publishes it again.
                error!(attempt = %key, error = %failure, "a claim failed; the ticket is dropped");
                sleep(REFUSED).await;
                delivery.ack().await;
                return None;
            }
        }
        if context.draining.is_cancelled() {
            // The consumer first, or the ticket would come straight back.
            slot.pause().await;
            delivery.requeue().await;
            return None;
        }
    }
}

async fn begin(context: &Context, key: AttemptKey, grant: Grant, sent: u64, made: Claim) {
    let Grant { token, lease_ms, namespace, name, object, restarts, .. } = grant;
    let lease = Duration::from_millis(lease_ms);
    let granted = Granted {
        key: key.clone(),
        token: token.clone(),
        lease,
        namespace,
        job_name: name,
        worker: &context.name,
        index_failures: grant.index_failures,
        index_ignored: grant.index_ignored,
        object: &object,
    };
    match Assignment::new(granted) {
        Ok(assignment) => {
            info!(pod = assignment.pod_name, token, "claimed");
            let before = Before { restarts, granted: restarts, ..Before::default() };
            let attempt = Attempt::new(context, assignment, before, sent);
            drop(made);
            attempt.run(context).await;
        }
        Err(cause) => {
            error!(error = %cause, "the Job can't be run");
            let outcome = Outcome::StartError {
                reason: "CreateContainerConfigError".into(),
                message: cause.to_string(),
                code: 128,
            };
            context.finish(&key, &token, &outcome, None, &[]).await;
        }
    }
}
