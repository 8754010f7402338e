//! One attempt, from its grant to the moment when nothing of it is left on this host.

use std::mem;

use futures::FutureExt;
use futures::future::join_all;
use longshore_job::{Millis, Outcome};
use longshore_store::Written;
use tracing::{error, info, warn};

use crate::assignment::Assignment;
use crate::context::{Context, now};
use crate::control::{Control, Order};
use crate::folder::Folder;
use crate::output::{self, Output, Recent};
use crate::pod::{Pod, PodEnd, Told};
use crate::runtime::Ended;

/// An attempt that is among those this worker has.
pub(crate) struct Attempt {
    assignment: Assignment,
    folder: Folder,
    control: Control,
    before: Before,
}

/// What is known of an attempt from before it was taken up.
#[derive(Default)]
pub(crate) struct Before {
    /// How often containers of it have failed in place, and how many restarts the owner has granted.
    pub(crate) restarts: u32,
    pub(crate) granted: u32,
    /// When this worker claimed it, if that was before.
    pub(crate) claimed: Option<Millis>,
    /// What has been told of its containers.
    pub(crate) told: Told,
    /// The last of its output that is stored.
    pub(crate) output: Recent,
}

impl Attempt {
    /// Takes an attempt up. Its lease counts from `sent`, in nanoseconds of CLOCK_BOOTTIME.
    pub(crate) fn new(
        context: &Context,
        assignment: Assignment,
        before: Before,
        sent: u64,
    ) -> Self {
        let folder = context.folders.attempt(&assignment.local_id());
        let control = context.attempts.add(&assignment, &folder, before.granted, sent);
        if let Err(error) = folder.take().and_then(|()| folder.write_deadline(control.deadline())) {
            warn!(attempt = %assignment.key, %error, "the attempt's folder can't be written to");
        }
        Self { assignment, folder, control, before }
    }

    /// Runs it to its end, reports that, and removes what is left of it.
    pub(crate) async fn run(mut self, context: &Context) {
        let key = self.assignment.key.clone();
        let Before { restarts, claimed, told, output: stored, .. } = mem::take(&mut self.before);
        let output = Output::start(context.store.clone(), key.clone(), context.log_bytes, stored);
        let Self { assignment, folder, control, .. } = &self;
        let pod = Pod::new(context, assignment, folder, &output, control, restarts, &told);
        let end = pod.run(claimed.unwrap_or_else(now)).boxed().await;
        match &end.ended {
            _ if end.started.is_some() => context.health.started(),
            Ended::Outcome(outcome) => context.health.ended_before_its_start(outcome),
            Ended::Gone => {}
        }
        if context.health.broken().is_some() {
            // At once: a slot takes its next ticket as soon as this one has ended.
            context.contact.set_fit(false);
        }
        let late = output.end().await;
        let mut taken = false;
        if let Ended::Outcome(outcome) = &end.ended {
            taken = self.finish(context, outcome, &end).await == Some(Written::Ok);
            match taken {
                true => info!(attempt = %key, ?outcome, "ended"),
                false => warn!(attempt = %key, ?outcome, "ended, but it is someone else's by now"),
            }
        }
        // A Job stays until its attempts have ended, and only until then.
        if late.is_some() || !taken {
            tokio::spawn(output::tidy(context.store.clone(), key, late));
        }
        self.clean_up(context).await;
    }

    /// Reports the outcome; `None` if the attempt is ordered to be gone before that succeeds.
    async fn finish(&self, context: &Context, outcome: &Outcome, end: &PodEnd) -> Option<Written> {
        let mut control = self.control.clone();
        let gone = async {
            let mut known = Order::Run;
            while known != Order::Gone {
                known = control.above(known).await;
            }
        };
        let Assignment { key, token, .. } = &self.assignment;
        tokio::select! {
            biased;
            written = context.finish(key, token, outcome, end.started, &end.containers) => {
                Some(written)
            }
            () = gone => None,
        }
    }

    /// Removes the containers and the folders; what can't be removed now is swept later.
    async fn clean_up(&self, context: &Context) {
        let names = self.assignment.container_names();
        let removals: Vec<_> = names.iter().map(|name| context.runtime.remove(name)).collect();
        for error in join_all(removals).await.into_iter().filter_map(Result::err) {
            warn!(attempt = %self.assignment.key, %error, "a container can't be removed now");
        }
        if let Err(error) = self.folder.remove() {
            error!(attempt = %self.assignment.key, %error, "the attempt's folder can't be removed");
        }
        context.attempts.remove(&self.assignment.local_id());
    }
}
