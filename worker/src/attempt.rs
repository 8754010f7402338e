//! One attempt, from its grant to the moment when nothing of it is left on this host.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use longshore_job::{Millis, Outcome, Waiting};
use longshore_store::{Progress, Written};
use longshore_support::retry::Policy;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::assignment::Assignment;
use crate::context::{Context, now};
use crate::control::{Control, Order};
use crate::folder::Folder;
use crate::output::{self, Output, Recent};
use crate::runtime::{Ended, Run, Stage};

/// A container that ends sooner is not reported as running, only as ended.
const BRIEF: Duration = Duration::from_millis(50);

/// An attempt that is among those this worker has.
pub(crate) struct Attempt {
    assignment: Assignment,
    folder: Folder,
    control: Control,
    /// How often a container of it has failed and been restarted in place.
    restarts: u32,
    /// Set for one whose container is there already: what is stored of its output, and when it
    /// started.
    adopted: Option<Adopted>,
}

/// What is known of a container from before this process.
pub(crate) struct Adopted {
    pub(crate) output: Recent,
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
        Self { assignment, folder, control, restarts, adopted }
    }

    /// Runs it to its end, reports that, and removes what is left of it.
    pub(crate) async fn run(mut self, context: &Context) {
        let key = self.assignment.key.clone();
        let started =
            AtomicU64::new(self.adopted.as_ref().and_then(|adopted| adopted.started).unwrap_or(0));
        let (adopted, stored) = match self.adopted.take() {
            Some(adopted) => (true, adopted.output),
            None => (false, Recent::default()),
        };
        let output = Output::start(context.store.clone(), key.clone(), context.log_bytes, stored);
        let ended = self.containers(context, &output, &started, adopted).await;
        let late = output.end().await;
        let mut taken = false;
        if let Ended::Outcome(outcome) = ended {
            let started = Some(started.into_inner()).filter(|started| *started > 0);
            taken = self.finish(context, &outcome, started).await == Some(Written::Ok);
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

    /// Runs container after container until the attempt itself ends.
    async fn containers(
        &mut self,
        context: &Context,
        output: &Output,
        started: &AtomicU64,
        mut adopted: bool,
    ) -> Ended {
        loop {
            let (progress, stage) = watch::channel(Stage::Starting);
            let run = context.runtime.run(Run {
                assignment: &self.assignment,
                folder: &self.folder,
                restarts: self.restarts,
                adopted,
                control: self.control.clone(),
                progress,
                output: output.writer(),
            });
            let reported = adopted && started.load(Ordering::Relaxed) > 0;
            let ended = tokio::select! {
                biased;
                ended = run => ended,
                () = self.report(context, stage, started, reported) => Ended::Gone,
            };
            let failed = match &ended {
                Ended::Outcome(outcome @ Outcome::Exited { code, .. })
                    if *code != 0 && self.assignment.restart_on_failure =>
                {
                    outcome.clone()
                }
                _ => return ended,
            };
            if let Some(ended) = self.wait_for_restart(context, failed).await {
                return ended;
            }
            self.remove_container(context).await;
            adopted = false;
        }
    }

    /// Tells Redis where the attempt stands, as it changes; never returns. `reported` is set if the
    /// container's start has been told before.
    async fn report(
        &self,
        context: &Context,
        mut stage: watch::Receiver<Stage>,
        started: &AtomicU64,
        reported: bool,
    ) {
        let Assignment { key, token, .. } = &self.assignment;
        while stage.changed().await.is_ok() {
            let stage = stage.borrow_and_update().clone();
            let progress = match stage {
                Stage::Starting => continue,
                Stage::Waiting { reason, message } => {
                    Progress::Waiting(Waiting { reason: reason.into(), message })
                }
                Stage::Running if reported => continue,
                Stage::Running => {
                    let at = now();
                    started.store(at, Ordering::Relaxed);
                    sleep(BRIEF).await;
                    Progress::Started(at)
                }
            };
            if let Err(error) = context.store.start(key, token, &progress).await {
                warn!(attempt = %key, %error, "progress is not reported");
            }
        }
        std::future::pending().await
    }

    /// Records a failure and waits for the owner's leave to restart in place; gives the attempt's end
    /// if that comes instead.
    async fn wait_for_restart(&mut self, context: &Context, failed: Outcome) -> Option<Ended> {
        let Assignment { key, token, .. } = &self.assignment;
        self.restarts += 1;
        info!(attempt = %key, restarts = self.restarts, outcome = ?failed, "failed; waiting to restart in place");
        let mut delays = Policy::SERVER.delays();
        loop {
            match context.store.fail(key, token, self.restarts, &failed).await {
                Ok(Written::Ok) => break,
                Ok(Written::Refused) => return Some(Ended::Gone),
                Err(error) => warn!(attempt = %key, %error, "the failure is not reported yet"),
            }
            sleep(delays.next().unwrap_or(Duration::from_secs(2))).await;
        }
        let mut orders = self.control.clone();
        tokio::select! {
            biased;
            order = orders.above(Order::Run) => Some(match order {
                Order::Gone => Ended::Gone,
                Order::Drain { .. } => Ended::Outcome(Outcome::Disrupted {
                    reason: "Drained".into(),
                    message: "the worker is going down".into(),
                    host_lost: false,
                }),
                Order::Run | Order::Stop { .. } => {
                    let code = match failed {
                        Outcome::Exited { code, .. } => Some(code),
                        _ => None,
                    };
                    Ended::Outcome(Outcome::Stopped { code })
                }
            }),
            () = self.control.granted(self.restarts) => None,
        }
    }

    /// Reports the outcome; `None` if the attempt is ordered to be gone before that succeeds.
    async fn finish(
        &self,
        context: &Context,
        outcome: &Outcome,
        started: Option<Millis>,
    ) -> Option<Written> {
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
            written = context.finish(key, token, outcome, started) => Some(written),
            () = gone => None,
        }
    }

    /// Removes the container and the folders; what can't be removed now is swept later.
    async fn clean_up(&self, context: &Context) {
        self.remove_container(context).await;
        if let Err(error) = self.folder.remove() {
            error!(attempt = %self.assignment.key, %error, "the attempt's folder can't be removed");
        }
        context.attempts.remove(&self.assignment.local_id());
    }

    async fn remove_container(&self, context: &Context) {
        let name = self.assignment.container_name();
        if let Err(error) = context.runtime.remove(&name).await {
            warn!(attempt = %self.assignment.key, %error, "the container can't be removed now");
        }
    }
}
