//! A container that runs: waiting for its end, or bringing it about.

use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{
    KillContainerOptions, StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures::StreamExt;
use longshore_job::Outcome;
use longshore_support::retry::Policy;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::engine::{Engine, message, status};
use super::exit::{Record, State, judge, lost};
use crate::control::{Control, Order};
use crate::own_folder::OwnFolder;
use crate::runtime::Ended;

/// How long the daemon may be silent after an exit before the exit is a disruption.
const EXIT_PATIENCE: Duration = Duration::from_secs(10);
/// How long a stopped container may take beyond its grace period.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at whether the launcher has recorded an end, beside the wait for Docker's word.
const LOOK_AT_RECORD: Duration = Duration::from_secs(2);
/// How long a launcher may take to find its deadline passed: it looks each second.
pub(super) const LAUNCHER_PATIENCE: Duration = Duration::from_secs(2);

/// A container that has been started.
pub(super) struct Running<'a> {
    pub(super) engine: &'a Engine,
    pub(super) name: &'a str,
    pub(super) folder: &'a OwnFolder,
}

impl Running<'_> {
    /// Waits for the container's end, and brings it about when ordered to.
    pub(super) async fn watch(&self, control: &mut Control) -> Ended {
        let mut exit = std::pin::pin!(self.exited());
        let order = match self.folder.order() {
            // The process before this one was about to stop it.
            Some(order) => order,
            None => tokio::select! {
                biased;
                outcome = &mut exit => return Ended::Outcome(outcome),
                order = control.above(Order::Run) => order,
            },
        };
        let (Order::Stop { grace } | Order::Drain { grace }) = order else {
            return self.kill().await;
        };
        // One that has ended by itself before it was told to stop has its own outcome.
        if self.folder.order().is_none()
            && let Ok(Some(found)) = inspect(self.engine, self.name).await
            && !found.running
        {
            return Ended::Outcome(exit.await);
        }
        info!(container = self.name, grace, "stopping");
        self.note(order);
        let mut stop = std::pin::pin!(self.stop(grace));
        let (mut heard, mut stopped) = (order, false);
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut exit => break outcome,
                higher = control.above(heard) => match higher {
                    Order::Gone => return self.kill().await,
                    higher => {
                        heard = higher;
                        self.note(heard);
                    }
                },
                () = &mut stop, if !stopped => stopped = true,
            }
        };
        let code = match outcome {
            Outcome::Exited { code, .. } | Outcome::StartError { code, .. } => Some(code),
            Outcome::Disrupted { .. } | Outcome::Stopped { .. } | Outcome::PodFailed { .. } => None,
        };
        match heard {
            Order::Drain { .. } => Ended::Outcome(drained()),
            _ => Ended::Outcome(Outcome::Stopped { code }),
        }
    }

    fn note(&self, order: Order) {
        if let Err(error) = self.folder.write_order(order) {
            warn!(container = self.name, %error, "the order to stop can't be noted");
        }
    }

    /// SIGTERM, and SIGKILL after the grace period; returns when both had their time.
    async fn stop(&self, grace: u32) {
        let grace = i32::try_from(grace).unwrap_or(i32::MAX);
        let whole = Duration::from_secs(grace.unsigned_abs().into()) + STOP_PATIENCE;
        let options = StopContainerOptionsBuilder::default().t(grace).build();
        let docker = self.engine.docker.clone().with_timeout(whole);
        let end = Instant::now() + whole;
        if let Err(error) = docker.stop_container(self.name, Some(options)).await {
            warn!(container = self.name, error = message(&error), "Docker can't stop it");
            if status(&error) != Some(404) {
                sleep_until(end).await;
            }
        }
        // Needs no daemon, where that is what failed.
        end_by_launcher(self.folder, self.name);
    }

    async fn kill(&self) -> Ended {
        info!(container = self.name, "killing a container that is this worker's no more");
        end_by_launcher(self.folder, self.name);
        let killed =
            self.engine.docker.kill_container(self.name, None::<KillContainerOptions>).await;
        if let Err(error) = killed {
            debug!(container = self.name, error = message(&error), "not killed by Docker");
        }
        Ended::Gone
    }

    /// Waits until the container has ended for sure, and judges how.
    async fn exited(&self) -> Outcome {
        let mut delays = Policy::SERVER.delays();
        let mut known = true;
        loop {
            // What comes back after a broken wait may be another instance of the daemon. One that hangs is
            // asked again.
            if !known {
                known = timeout(EXIT_PATIENCE, self.follow_daemon()).await.unwrap_or(false);
            }
            // Not `next-exit` before the start: this one answers at once if the container has ended
            // meanwhile, so nothing can be missed, and it serves adopted containers as well.
            let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
            let wait = self.engine.docker.wait_container(self.name, Some(options));
            let mut wait = std::pin::pin!(wait);
            let answer = tokio::select! {
                answer = wait.next() => answer,
                () = self.recorded() => None,
            };
            let ended = match answer {
                Some(Ok(answer)) => answer.status_code == 0 && answer.error.is_none(),
                // bollard's word for an exit code above 0.
                Some(Err(Error::DockerContainerWaitError { .. })) => true,
                Some(Err(error)) => status(&error) == Some(404),
                None => false,
            };
            known &= ended;
            // A broken wait says nothing: the container may run on without the daemon.
            if (ended || self.folder.exit_record().is_some())
                && let Some(outcome) = self.outcome().await
            {
                return outcome;
            }
            sleep(delays.next().unwrap_or(Duration::from_secs(2))).await;
        }
    }

    /// The outcome of the container, which should have ended; `None` if it runs after all.
    async fn outcome(&self) -> Option<Outcome> {
        let record = self.folder.exit_record().as_deref().and_then(Record::parse);
        if let Some(Record::Deadline | Record::Refused(_) | Record::StartError { .. }) = record {
            return Some(judge(record, None, true));
        }
        let mut delays = Policy::SERVER.delays();
        let answer = timeout(EXIT_PATIENCE, async {
            loop {
                // The instance after the state: the same one has then answered both.
                if let Ok(found) = inspect(self.engine, self.name).await
                    && let Ok(instance) = self.engine.instance().await
                {
                    return (found, instance);
                }
                sleep(delays.next().unwrap_or(Duration::from_secs(2))).await;
            }
        });
        let Ok((found, instance)) = answer.await else {
            if record.is_none() {
                // A daemon that goes down may report the end of a container that runs on.
                end_by_launcher(self.folder, self.name);
                sleep(LAUNCHER_PATIENCE).await;
                return Some(judge(None, None, false));
            }
            // One that hangs still listens; one that goes down doesn't, and is not waited for.
            let listens =
                self.engine.instance().await.is_ok_and(|now| self.is_same(now.as_deref()));
            return Some(judge(record, None, listens));
        };
        if record.is_none() && found.as_ref().is_some_and(|found| found.running) {
            return None;
        }
        Some(judge(record, found.map(|found| found.state), self.is_same(instance.as_deref())))
    }

    /// Whether this is the instance of the daemon that the container is known to have run under.
    fn is_same(&self, instance: Option<&str>) -> bool {
        match (self.folder.engine(), instance) {
            (Some(before), Some(now)) => before == now,
            // It can't be known, so the launcher's record has to do.
            _ => true,
        }
    }

    /// Waits until the launcher has recorded an end: it needs no daemon for that.
    async fn recorded(&self) {
        recorded(self.folder, LOOK_AT_RECORD).await;
        // The daemon's own word, if it has one, comes within a moment.
        sleep(LOOK_AT_RECORD).await;
    }

    /// Takes note of a daemon that came back and finds the container running, as with `live-restore`:
    /// what ends from now on ends under this one. `false` if none answers.
    async fn follow_daemon(&self) -> bool {
        if self.folder.exit_record().is_some() {
            return true;
        }
        let (Ok(before), Ok(found), Ok(after)) = (
            self.engine.instance().await,
            inspect(self.engine, self.name).await,
            self.engine.instance().await,
        ) else {
            return false;
        };
        let runs = found.is_some_and(|found| found.running);
        if runs
            && before == after
            && self.folder.exit_record().is_none()
            && !self.is_same(after.as_deref())
            && let Some(Err(error)) = after.map(|after| self.folder.note_engine(after))
        {
            warn!(container = self.name, %error, "the daemon can't be noted");
        }
        true
    }
}

/// Has the launcher end the container within [`LAUNCHER_PATIENCE`], or not start its command at all.
pub(super) fn end_by_launcher(folder: &OwnFolder, name: &str) {
    if let Err(error) = folder.end_now() {
        warn!(container = name, %error, "the deadline can't be written");
    }
}

/// Waits until the launcher has recorded an end, looking for it `every` so often.
pub(super) async fn recorded(folder: &OwnFolder, every: Duration) {
    while folder.exit_record().is_none() {
        sleep(every).await;
    }
}

pub(super) fn drained() -> Outcome {
    lost("Drained", "the worker is going down", false)
}

/// What Docker knows of a container.
pub(super) struct Inspected {
    running: bool,
    /// Whether it was ever started.
    pub(super) has_run: bool,
    pub(super) state: State,
}

/// Asks over a fresh connection; `None` if there is no such container.
pub(super) async fn inspect(engine: &Engine, name: &str) -> Result<Option<Inspected>, Error> {
    let found = match engine.docker.inspect_container(name, None).await {
        Ok(found) => found.state.unwrap_or_default(),
        Err(error) if status(&error) == Some(404) => return Ok(None),
        Err(error) => return Err(error),
    };
    let code = found.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1);
    let running = found.running.unwrap_or(false);
    // Docker's zero time, in the year 1.
    let started = found.started_at.is_some_and(|at| !at.starts_with("0001-"));
    Ok(Some(Inspected {
        running,
        has_run: running || started,
        state: State {
            code,
            oom_killed: found.oom_killed.unwrap_or(false),
            error: found.error.unwrap_or_default(),
        },
    }))
}
