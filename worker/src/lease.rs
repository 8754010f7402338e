//! The lease keeper: renews what this worker holds, and passes on what the replies say.
//!
//! It has a thread, a runtime and a connection of its own, so that no load on the rest of the worker
//! can starve it. While the rest hangs it renews nothing.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures::future::join_all;
use longshore_job::Outcome;
use longshore_store::{Held, Kept, Renewed, Shard, Store, StoreError, StoreSettings};
use longshore_support::clock::{boottime, boottime_ns};
use longshore_support::retry::{self, Failure, Policy};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::context::Context;
use crate::health::START_FAILED;
use crate::held::local_id;

/// The least time between two rounds, however short a lease is.
const LEAST: Duration = Duration::from_millis(200);

/// Starts the keeper; `end` ends it.
pub(crate) fn start(
    context: Arc<Context>,
    redis: StoreSettings,
    end: CancellationToken,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("lease".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = keep(&context, &redis) => {}
                () = end.cancelled() => {}
            }
        });
    })
}

async fn keep(context: &Context, redis: &StoreSettings) {
    let third = context.lease / 3;
    let never = CancellationToken::new();
    let connected = retry::forever(context.store.server(), Policy::SERVER, &never, || async {
        Ok::<_, Failure<StoreError>>(Store::connect(redis).await?)
    });
    let Ok(store) = connected.await else { return };
    // A round that fails is begun anew, so that it names what is held then.
    let mut keeper = Keeper { context, store: store.with_patience(third), unnamed: HashMap::new() };
    loop {
        let begun = Instant::now();
        if !context.pulse.beats() {
            error!("the worker hangs: its leases are not renewed");
            while !context.pulse.beats() {
                sleep(LEAST).await;
            }
            warn!("the worker goes on");
            continue;
        }
        let renewed = keeper.round().await;
        if context.fenced.is_cancelled() {
            return;
        }
        if !renewed {
            sleep_until(begun + LEAST).await;
            continue;
        }
        loop {
            let lease = context.attempts.shortest_lease().unwrap_or(context.lease);
            tokio::select! {
                () = sleep_until(begun + (lease / 3).max(LEAST)) => break,
                () = context.consumer.nudged() => break,
                () = context.attempts.suspected.notified() => break,
                () = context.attempts.added.notified() => {}
            }
        }
    }
}

struct Keeper<'a> {
    context: &'a Context,
    store: Store,
    /// Attempts that Redis says this session has and that it hasn't, and since when.
    unnamed: HashMap<Held, Instant>,
}

impl Keeper<'_> {
    /// Renews once in every shard where something is held; `false` if a shard did not answer.
    async fn round(&mut self) -> bool {
        let shards = self.context.attempts.by_shard();
        let sent = (boottime(), boottime_ns());
        let renewals = shards.iter().map(|(shard, kept)| self.renew(*shard, kept, sent.1));
        let replies = join_all(renewals).await;
        let answered = replies.iter().all(Option::is_some);
        if answered && !replies.is_empty() {
            self.context.contact.answered(sent.0);
        }
        self.settle(replies.into_iter().flatten().flatten().collect()).await;
        answered
    }

    /// Renews in one shard and does what the reply says; gives the attempts that it lists and that
    /// weren't named, or `None` if there was no reply.
    async fn renew(&self, shard: Shard, kept: &[Kept], sent: u64) -> Option<Vec<Held>> {
        let Context { name, session, .. } = self.context;
        match self.store.renew(shard, name, session, kept).await {
            Ok(Renewed::Renewed(renewal)) => {
                for (kept, verdict) in kept.iter().zip(renewal.verdicts) {
                    self.context.attempts.apply(
                        &local_id(&kept.attempt, &kept.token),
                        verdict,
                        sent,
                    );
                }
                Some(renewal.unnamed)
            }
            Ok(Renewed::Fenced { by: None }) => {
                warn!(%shard, "Redis has forgotten this worker; enrolling anew");
                let enrolled = self.store.enroll(shard, name, session).await;
                enrolled.inspect_err(|error| warn!(%shard, %error, "not enrolled")).ok()
            }
            Ok(Renewed::Fenced { by: Some(other) }) => {
                error!(%shard, other, "another process has this worker's name");
                self.context.attempts.give_up();
                self.context.fenced.cancel();
                None
            }
            Err(error) => {
                debug!(%shard, %error, "not renewed");
                None
            }
        }
    }

    /// Hands back what Redis has given to this worker for longer than a lease without the worker
    /// having it: the reply to a claim got lost, or its predecessor left nothing of it here.
    async fn settle(&mut self, unnamed: Vec<Held>) {
        let now = Instant::now();
        self.unnamed.retain(|held, _| unnamed.contains(held));
        for held in unnamed {
            if self.context.attempts.contains(&local_id(&held.attempt, &held.token)) {
                continue;
            }
            let since = *self.unnamed.entry(held.clone()).or_insert(now);
            if now - since < Duration::from_millis(held.lease_ms) {
                continue;
            }
            let outcome = Outcome::Disrupted {
                reason: START_FAILED.into(),
                message: "the worker has nothing of the attempt".into(),
                // Its predecessor may have ended of the claim itself.
                host_lost: true,
            };
            let finished =
                self.store.finish(&held.attempt, &held.token, &outcome, None, None, &[]).await;
            match finished {
                Ok(_) => warn!(attempt = %held.attempt, "handed back an attempt never started"),
                // Another round tries again: the leases of the rest must not wait for this.
                Err(error) => {
                    return warn!(attempt = %held.attempt, %error, "not handed back");
                }
            }
        }
    }
}
