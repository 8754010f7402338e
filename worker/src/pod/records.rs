//! How each container of a Pod stands, as it is reported.

use std::convert::Infallible;

use k8s_openapi::api::core::v1::PodSpec;
use longshore_job::{Container, Millis, Outcome, Waiting};
use tokio::sync::watch;

use super::resume::{self, Told, standing};
use crate::context::now;
use crate::note::Note;
use crate::runtime::{Ended, Stage};

/// One record per container, in the template's order, init containers first.
pub(super) struct Records {
    all: watch::Sender<Vec<Container>>,
    /// How many of them are init containers.
    init: usize,
    /// How many of the containers were reached before this process.
    pub(super) reached: usize,
}

impl Records {
    /// How the containers stand by their notes, over what has been told of them.
    pub(super) fn new(spec: &PodSpec, notes: &[Note], told: &Told) -> Self {
        let init = spec.init_containers.as_deref().unwrap_or_default();
        let names = init.iter().chain(&spec.containers).map(|container| container.name.clone());
        // With one container that is told by "not started yet".
        let several = init.len() + spec.containers.len() > 1;
        let waiting =
            several.then(|| Waiting { reason: "PodInitializing".into(), message: String::new() });
        let records = names.zip(notes).map(|(name, note)| {
            let before = told.containers.iter().find(|told| told.name == name).cloned();
            let new = || Container {
                name,
                started: told.started.filter(|_| !several),
                waiting: waiting.clone(),
                ..Container::default()
            };
            standing(before.unwrap_or_else(new), note)
        });
        Self {
            all: watch::channel(records.collect()).0,
            init: init.len(),
            reached: resume::reached(notes),
        }
    }

    pub(super) fn are_several(&self) -> bool {
        self.all.borrow().len() > 1
    }

    /// The records of a Pod with several containers; none for a Pod with one, of which its attempt's
    /// record tells all.
    pub(super) fn several(&self) -> Vec<Container> {
        if self.are_several() { self.all.borrow().clone() } else { Vec::new() }
    }

    /// The record of a Pod's only container.
    pub(super) fn only(&self) -> Option<Container> {
        let all = self.all.borrow();
        all.first().filter(|_| all.len() == 1).cloned()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Vec<Container>> {
        self.all.subscribe()
    }

    /// When the last of the containers started, if all have, init containers aside.
    pub(super) fn started(&self) -> Option<Millis> {
        let all = self.all.borrow();
        let started: Option<Vec<Millis>> =
            all.iter().skip(self.init).map(|one| one.started).collect();
        started?.into_iter().max()
    }

    /// Keeps a record up to date with a run of its container; never returns.
    pub(super) async fn follow(&self, n: usize, mut stage: watch::Receiver<Stage>) -> Infallible {
        loop {
            let now = stage.borrow_and_update().clone();
            match now {
                Stage::Starting => {}
                Stage::Waiting { reason, message } => self.waits(n, reason, message),
                Stage::Running => self.runs(n),
            }
            if stage.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }

    pub(super) fn waits(&self, n: usize, reason: &str, message: String) {
        self.change(n, |record| {
            record.waiting = Some(Waiting { reason: reason.into(), message });
        });
    }

    fn runs(&self, n: usize) {
        self.change(n, |record| {
            // One that has run since before this process started then.
            record.started = record.started.filter(|_| record.running).or_else(|| Some(now()));
            record.running = true;
            record.waiting = None;
        });
    }

    /// A run has ended, at the moment given.
    pub(super) fn ended(&self, n: usize, ended: &Ended, at: Millis) {
        let Ended::Outcome(outcome) = ended else { return };
        self.change(n, |record| {
            record.running = false;
            record.finished = Some(at);
            record.waiting = None;
            record.outcome = Some(shown(outcome));
        });
    }

    /// It waits to be run again.
    pub(super) fn backs_off(&self, n: usize) {
        self.waits(n, "CrashLoopBackOff", "back-off restarting failed container".into());
    }

    /// It is not run again after all.
    pub(super) fn gives_up(&self, n: usize) {
        self.change(n, |record| {
            if record.outcome.is_some() {
                record.waiting = None;
            }
        });
    }

    /// It is run again.
    pub(super) fn restarts(&self, n: usize) {
        self.change(n, |record| {
            record.restarts = record.restarts.saturating_add(1);
            record.waiting = None;
        });
    }

    pub(super) fn restarts_of(&self, n: usize) -> u32 {
        self.all.borrow().get(n).map_or(0, |record| record.restarts)
    }

    /// Waits until a container has been up.
    pub(super) async fn until_up(&self, n: usize) {
        let mut all = self.subscribe();
        let is_up = |all: &Vec<Container>| all.get(n).is_some_and(|one| one.started.is_some());
        let up = all.wait_for(is_up).await.is_ok();
        if !up {
            std::future::pending().await
        }
    }

    fn change(&self, n: usize, change: impl FnOnce(&mut Container)) {
        self.all.send_if_modified(|all| {
            let Some(record) = all.get_mut(n) else { return false };
            let before = record.clone();
            change(record);
            *record != before
        });
    }
}

/// How a container's end is shown: one that was told to stop has its exit code.
pub(super) fn shown(outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Stopped { code: Some(code) } => Outcome::Exited {
            code: *code,
            reason: if *code == 0 { "Completed" } else { "Error" }.into(),
            message: String::new(),
        },
        other => other.clone(),
    }
}
