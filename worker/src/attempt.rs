//! One attempt, from its grant to the moment when nothing of it is left on this host.

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
use crate::pod::{Pod, PodEnd};
use crate::runtime::Ended;

/// An attempt that is among those this worker has.
pub(crate) struct Attempt {
    assignment: Assignment,
    folder: Folder,
    control: Control,
    /// How often containers of it have failed and been restarted in place.
    restarts: u32,
    /// When it began here, by this host's time.
    begun: Millis,
    /// Set for one whose container is there already: what is stored of its output, and when it
    /// started.
    adopted: Option<Adopted>,
}

/// What is known of a container from before this process.
pub(crate) struct Adopted {
    pub(crate) output: Recent,
    /// When its worker claimed it, and when its container started.
    pub(crate) claimed: Option<Millis>,
    pub(crate) started: Option<Millis>,
}

impl Attempt {
    /// Takes an attempt up. Its lease counts from `sent`, in nanoseconds of CLOCK_BOOTTIME.
    pub(crate) fn new(
        context: &Context,
        assignment: Assignment,
        restarts: u32,
        sent: u64,
        adopted: Option<Adopted>,
    ) -> Self {
        let folder = context.folders.attempt(&assignment.local_id());
        let control = context.attempts.add(&assignment, &folder, restarts, sent);
        if adopted.is_some()
            && let Err(error) = folder.write_deadline(control.deadline())
        {
            warn!(attempt = %assignment.key, %error, "the deadline can't be written");
        }
        let begun = adopted.as_ref().and_then(|adopted| adopted.claimed).unwrap_or_else(now);
        Self { assignment, folder, control, restarts, begun, adopted }
    }

    /// Runs it to its end, reports that, and removes what is left of it.
    pub(crate) async fn run(mut self, context: &Context) {
        let key = self.assignment.key.clone();
        let (adopted, started, stored) = match self.adopted.take() {
            Some(adopted) => (true, adopted.started, adopted.output),
            None => (false, None, Recent::default()),
        };
        let output = Output::start(context.store.clone(), key.clone(), context.log_bytes, stored);
        let Self { assignment, folder, control, restarts, begun, .. } = &self;
        let pod = Pod::new(context, assignment, folder, &output, control, *restarts, started);
        let end = pod.run(adopted, *begun).boxed().await;
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
