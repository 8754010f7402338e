//! Tickets that no worker survives: from where RabbitMQ sets them aside to the owners of their shards.

use longshore_broker::{Publisher, SetAside, Ticket, hear_set_aside};
use longshore_store::{JobRef, Shard, Store};
use longshore_support::chain::Chain;
use tracing::{error, info, warn};

use crate::patient::{pause, waits};

/// Tells owners of their tickets that were set aside; never returns. Any coordinator does it for all
/// shards, as it only passes on what the owner decides about.
pub(crate) async fn run(store: &Store, publisher: &Publisher) {
    hear_set_aside(publisher, |ticket| tell(store.clone(), ticket)).await;
}

async fn tell(store: Store, set_aside: SetAside) {
    let SetAside { ticket, readers } = set_aside;
    let Ticket { shard, uid, index, attempt, .. } = ticket;
    let shard = Shard(shard);
    if !store.all_shards().any(|known| known == shard) {
        return warn!(%shard, uid, "a ticket was set aside that is of no shard of this cluster");
    }
    let key = JobRef::new(shard, uid).attempt(index, attempt);
    let mut waits = waits();
    loop {
        match store.tell_set_aside(&key, readers).await {
            Ok(true) => {
                return warn!(attempt = %key, readers, "no worker has survived reading this ticket: set aside");
            }
            Ok(false) => {
                return info!(attempt = %key, "a ticket was set aside whose attempt is offered no more");
            }
            Err(error) if error.is_transient() => pause(&error, &mut waits).await,
            // Its owner publishes it again, and so it may be told of another time.
            Err(error) => {
                return error!(attempt = %key, "a ticket was set aside, and its owner can't be told: {}", Chain(&error));
            }
        }
    }
}
