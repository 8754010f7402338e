//! A worker that comes back takes up what its predecessor ran, from the notes in its state folder.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use longshore_job::{Live, Outcome};
use longshore_store::{AttemptKey, Held, Store, StoreError, StreamId};
use longshore_support::clock::boottime_ns;
use longshore_support::retry::{self, Failure, Policy};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::assignment::{Assignment, Granted};
use crate::attempt::{Attempt, Before};
use crate::context::Context;
use crate::held::local_id;
use crate::output::Recent;
use crate::pod::{self, Told};
use crate::runtime::{Found, RuntimeError};

/// Gives this session the worker's name in every shard, and takes over what the session before held:
/// attempts that were claimed from its state folder are taken up, wherever they are between their claim
/// and their end; the others are handed back, at once if this host was the one that ran them.
///
/// # Errors
/// [`StoreError`] for what trying again can't change.
pub(crate) async fn adopt(context: &Arc<Context>) -> Result<Vec<Attempt>, StoreError> {
    // The lease is renewed by enrolling, so it counts from before that.
    let sent = boottime_ns();
    let mut held = Vec::new();
    for shard in context.store.all_shards() {
        let enroll = || context.store.enroll(shard, &context.name, &context.session);
        held.extend(until_answered(&context.store, enroll).await?);
    }
    let mut adopted = Vec::new();
    if !held.is_empty() {
        let mut containers = containers(context).await;
        for held in held {
            let id = local_id(&held.attempt, &held.token);
            let found = containers.remove(&id).unwrap_or_default();
            adopted.extend(take_up_or_leave(context, held, found, sent).await?);
        }
    }
    if let Err(error) = context.folders.claims().forget_all() {
        warn!(%error, "the notes of claims before this start can't be removed");
    }
    Ok(adopted)
}

/// This worker's containers by [`local_id`], however long the runtime takes to answer.
async fn containers(context: &Context) -> HashMap<String, Vec<Found>> {
    let mut delays = Policy::SERVER.delays();
    loop {
        match context.runtime.containers().await {
            Ok(found) => {
                let mut mine: HashMap<_, Vec<_>> = HashMap::new();
                for found in found.into_iter().filter(|found| found.worker == context.name) {
                    mine.entry(found.local_id()).or_default().push(found);
                }
                return mine;
            }
            Err(error) => log_silence(&error),
        }
        tokio::time::sleep(delays.next().unwrap_or(Duration::from_secs(2))).await;
    }
}

fn log_silence(error: &RuntimeError) {
    warn!(%error, "containers can't be listed yet");
}

async fn take_up_or_leave(
    context: &Arc<Context>,
    held: Held,
    found: Vec<Found>,
    sent: u64,
) -> Result<Option<Attempt>, StoreError> {
    let key = &held.attempt;
    let live = until_answered(&context.store, || context.store.live_one(&key.job, key.index));
    let live = live.await?;
    let exists = context.folders.attempt(&local_id(key, &held.token)).exists();
    let claim = live.as_ref().and_then(|live| live.claim.as_deref());
    if exists || found.is_empty() && claim.is_some_and(|id| context.folders.claims().is_noted(id)) {
        return take_up(context, held, live, found, sent).await;
    }
    if found.is_empty() {
        // A worker of this name may have run it on another host, where it may run until its lease
        // ends. The lease keeper or the owner hands it on then.
        warn!(attempt = %key, "nothing of it is on this host; left to its lease");
    } else {
        // Its deadline is in another state folder, where this worker can't move it.
        hand_back(context, held, found);
    }
    Ok(None)
}

async fn take_up(
    context: &Arc<Context>,
    held: Held,
    live: Option<Live>,
    found: Vec<Found>,
    sent: u64,
) -> Result<Option<Attempt>, StoreError> {
    let key = &held.attempt;
    let job = until_answered(&context.store, || context.store.get_job_by_uid(&key.job)).await?;
    let Some(job) = job else {
        hand_back(context, held, found);
        return Ok(None);
    };
    let (granted, attempt) = live.map(|live| (live.granted, live.attempt)).unwrap_or_default();
    let assignment = Assignment::new(Granted {
        key: key.clone(),
        token: held.token.clone(),
        lease: Duration::from_millis(held.lease_ms),
        namespace: job.namespace,
        job_name: job.name,
        worker: &context.name,
        index_failures: attempt.index_failures,
        index_ignored: attempt.index_ignored,
        object: &job.object,
    });
    let assignment = match assignment {
        Ok(assignment) => assignment,
        Err(error) => {
            warn!(attempt = %key, %error, "the Job can't be read");
            hand_back(context, held, found);
            return Ok(None);
        }
    };
    let folder = context.folders.attempt(&assignment.local_id());
    if let Err(why) = pod::is_clear(&assignment, &folder, &found) {
        warn!(attempt = %key, error = &why as &dyn std::error::Error, "it can't be taken up");
        hand_back(context, held, found);
        return Ok(None);
    }
    info!(attempt = %key, pod = assignment.pod_name, "taken up again");
    let before = Before {
        restarts: attempt.restarts,
        granted,
        claimed: attempt.claimed,
        told: Told { started: attempt.started, containers: attempt.containers },
        output: last_output(&context.store, key).await?,
    };
    Ok(Some(Attempt::new(context, assignment, before, sent)))
}

/// Finishes an attempt that can't go on as a disruption, in the background. Its containers are removed
/// first, if it has any.
fn hand_back(context: &Arc<Context>, held: Held, containers: Vec<Found>) {
    let context = context.clone();
    tokio::spawn(async move {
        let folder = context.folders.attempt(&local_id(&held.attempt, &held.token));
        if let Err(error) = folder.end_now() {
            warn!(attempt = %held.attempt, %error, "the deadline can't be written");
        }
        // A process that ended before it had made a container of it may have ended of it.
        let host_lost = containers.is_empty();
        for Found { name, .. } in containers {
            if let Err(error) = context.runtime.remove(&name).await {
                return warn!(attempt = %held.attempt, %error, "not removed; left to its lease");
            }
        }
        warn!(attempt = %held.attempt, "it can't go on; handed back");
        let outcome = Outcome::Disrupted {
            reason: "WorkerRestarted".into(),
            message: "the worker restarted and could not go on with the attempt".into(),
            host_lost,
        };
        context.finish(&held.attempt, &held.token, &outcome, None, &[]).await;
    });
}

/// The last of what is stored of an attempt's output.
async fn last_output(store: &Store, key: &AttemptKey) -> Result<Recent, StoreError> {
    let (mut after, mut recent) = (StreamId::START, Recent::default());
    loop {
        let read = || store.read_output(key, after, Duration::ZERO);
        let batch = until_answered(store, read).await?;
        after = batch.next;
        batch.chunks.iter().for_each(|chunk| recent.remember(chunk));
        if batch.chunks.is_empty() || batch.ended {
            return Ok(recent);
        }
    }
}

/// Calls until Redis answers.
async fn until_answered<T, F, Fut>(store: &Store, mut call: F) -> Result<T, StoreError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, StoreError>>,
{
    let never = CancellationToken::new();
    let answer = retry::forever(store.server(), Policy::SERVER, &never, || {
        let call = call();
        async {
            call.await.map_err(|error| match error.is_transient() {
                true => Failure::Transient(error),
                false => Failure::Permanent(error),
            })
        }
    });
    match answer.await {
        Ok(value) => Ok(value),
        Err(retry::GaveUp::Permanent(error)) => Err(error),
        Err(_) => std::future::pending().await,
    }
}
