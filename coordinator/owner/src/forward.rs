//! Forwards the shard's changes to the log that watches read.

use std::time::Duration;

use longshore_store::{Shard, Store};

use crate::patient::{patiently, pause, waits};

const BLOCK: Duration = Duration::from_secs(1);
const MOST: usize = 500;

/// Never returns. What is forwarded twice at a change of owners tells watchers the same twice.
pub(crate) async fn run(store: &Store, shard: Shard) {
    let mut waits = waits();
    loop {
        match store.read_out(shard, BLOCK, MOST).await {
            Ok(entries) => {
                waits.reset();
                patiently(|| store.forward(shard, &entries)).await;
            }
            Err(error) => pause(&error, &mut waits).await,
        }
    }
}
