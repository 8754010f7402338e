//! Removes what nobody holds any more: containers of this cluster whose attempt has gone to someone
//! else or has ended, of this worker and of workers that are dead, and folders left behind.

use std::collections::HashSet;
use std::time::Duration;

use longshore_store::StoreError;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::context::Context;
use crate::runtime::Found;

/// Between two sweeps.
const EVERY: Duration = Duration::from_secs(10);

/// Sweeps for as long as the worker lives.
pub(crate) async fn run(context: &Context) {
    loop {
        sweep(context).await;
        sleep(EVERY).await;
    }
}

async fn sweep(context: &Context) {
    let containers = match context.runtime.containers().await {
        Ok(containers) => containers,
        Err(error) => return warn!(%error, "containers can't be listed"),
    };
    let mut present = HashSet::new();
    for found in containers {
        if context.attempts.contains(&found.local_id()) {
            continue;
        }
        match is_leftover(context, &found).await {
            Ok(true) => remove(context, &found).await,
            Ok(false) => {
                present.insert(found.local_id());
            }
            Err(error) => {
                warn!(container = found.name, %error, "can't tell whether it is a leftover");
                present.insert(found.local_id());
            }
        }
    }
    match context.folders.all() {
        Ok(ids) => {
            for id in ids {
                if !present.contains(&id) && !context.attempts.contains(&id) {
                    remove_folder(context, &id);
                }
            }
        }
        Err(error) => warn!(%error, "the state folder can't be read"),
    }
}

/// Whether Redis no longer counts the container: whatever it does is void.
async fn is_leftover(context: &Context, found: &Found) -> Result<bool, StoreError> {
    Ok(!context.store.attempt_is_current(&found.key, &found.token).await?)
}

async fn remove(context: &Context, found: &Found) {
    info!(container = found.name, worker = found.worker, attempt = %found.key, "removing a leftover");
    if found.worker == context.name
        && let Err(error) = context.folders.attempt(&found.local_id()).end_now()
    {
        warn!(container = found.name, %error, "the deadline can't be written");
    }
    if let Err(error) = context.runtime.remove(&found.name).await {
        warn!(container = found.name, %error, "a leftover can't be removed");
    }
}

fn remove_folder(context: &Context, id: &str) {
    if let Err(error) = context.folders.attempt(id).remove() {
        warn!(id, %error, "an attempt's folder can't be removed");
    }
}
