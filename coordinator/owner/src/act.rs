//! What is done once it is stored. Each step may be done twice, and after a crash the next owner does it
//! again.

use std::time::Instant;

use futures::{StreamExt, stream};
use longshore_broker::Ticket;
use longshore_job::Action;
use longshore_store::{AttemptKey, Epoch, Granted, JobRef, Stopped, Store};
use longshore_support::format::Format;

use crate::outbox::Mail;
use crate::patient::patiently;
use crate::tickets::{Key, Tickets};

/// Scripts under way at a time.
const SIDE_BY_SIDE: usize = 32;

/// A step that a script carries out.
enum Step {
    Stop { attempt: AttemptKey, grace_seconds: u32 },
    Restart { attempt: AttemptKey, restarts: u32 },
}

/// Carries out the actions of Jobs, in order for each, apart from removing them: the Jobs to be removed
/// are returned. `None` if this is no more the owner.
pub(crate) async fn act(
    store: &Store,
    epoch: Epoch,
    mail: &Mail,
    tickets: &mut Tickets,
    actions: Vec<(JobRef, Action)>,
) -> Option<Vec<JobRef>> {
    let (mut offers, mut steps, mut purges) = (Vec::new(), Vec::new(), Vec::new());
    let now = Instant::now();
    for (job, action) in actions {
        match action {
            Action::Offer { index, attempt } => {
                tickets.sent(now, (job.uid.clone(), index, attempt));
                offers.push(Ticket::new(store.format(), job.shard.0, job.uid, index, attempt));
            }
            Action::Stop { index, attempt, grace_seconds } => {
                steps.push(Step::Stop { attempt: job.attempt(index, attempt), grace_seconds });
            }
            Action::Restart { index, attempt, restarts } => {
                steps.push(Step::Restart { attempt: job.attempt(index, attempt), restarts });
            }
            Action::Purge => purges.push(job),
            Action::Report { .. } => {}
        }
    }
    mail.publish(offers);
    let mut steps = stream::iter(steps)
        .map(|step| async move { take(store, epoch, &step).await })
        .buffer_unordered(SIDE_BY_SIDE);
    while let Some(done) = steps.next().await {
        match done {
            Done::Nudge(worker) => mail.nudge(worker),
            Done::Nothing => {}
            Done::Fenced => return None,
        }
    }
    Some(purges)
}

/// Tickets by the names that their owner has for them.
pub(crate) fn tickets_of(format: Format, shard: u16, keys: Vec<Key>) -> Vec<Ticket> {
    let ticket = |(uid, index, attempt): Key| Ticket::new(format, shard, uid, index, attempt);
    keys.into_iter().map(ticket).collect()
}

enum Done {
    /// This worker has something to hear.
    Nudge(String),
    Nothing,
    Fenced,
}

async fn take(store: &Store, epoch: Epoch, step: &Step) -> Done {
    match step {
        Step::Stop { attempt, grace_seconds } => {
            match patiently(|| store.stop(epoch, attempt, *grace_seconds)).await {
                Stopped::Marked { worker } => Done::Nudge(worker),
                Stopped::Withdrawn | Stopped::None => Done::Nothing,
                Stopped::Fenced => Done::Fenced,
            }
        }
        Step::Restart { attempt, restarts } => {
            match patiently(|| store.grant(epoch, attempt, *restarts)).await {
                Granted::Granted { worker } => Done::Nudge(worker),
                Granted::None => Done::Nothing,
                Granted::Fenced => Done::Fenced,
            }
        }
    }
}
