//! The Jobs of a shard in memory.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::api::batch::v1::Job as Object;
use longshore_api::spec::{ClusterDefaults, job_spec};
use longshore_job::{Delta, Event, Job, Millis, Spec};
use longshore_store::{JobRef, LoadedJob, StoredJob};
use tracing::error;

use crate::notes::Notes;

/// One Job, and what its owner knows of how it is stored.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) job: Job,
    pub(crate) at: JobRef,
    pub(crate) name: String,
    /// The revision that `job`'s specification is of.
    pub(crate) rev: u64,
    /// Whether claims are granted, as stored.
    pub(crate) active: bool,
    pub(crate) lease_ms: u64,
    pub(crate) notes: Notes,
    wake: Option<Millis>,
}

/// All Jobs of the shard, and when each wants to be looked at.
#[derive(Debug)]
pub(crate) struct Jobs {
    defaults: ClusterDefaults,
    cases: HashMap<String, Case>,
    wakes: BTreeSet<(Millis, String)>,
}

impl Jobs {
    pub(crate) fn new(defaults: ClusterDefaults) -> Self {
        Self { defaults, cases: HashMap::new(), wakes: BTreeSet::new() }
    }

    pub(crate) fn get(&self, uid: &str) -> Option<&Case> {
        self.cases.get(uid)
    }

    pub(crate) fn get_mut(&mut self, uid: &str) -> Option<&mut Case> {
        self.cases.get_mut(uid)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Case> {
        self.cases.values()
    }

    /// Takes a Job as it is stored, in place of what was known of it; the events it must be given first.
    /// `None` if its object can't be read, which is said in the log: it stays as it is.
    pub(crate) fn load(&mut self, loaded: LoadedJob) -> Option<Vec<Event>> {
        let stored = loaded.job;
        self.remove(&stored.job.uid);
        let spec = self.spec(&stored)?;
        let events = match stored.deleted {
            Some(_) => vec![Event::Loaded, Event::DeleteRequested],
            None => vec![Event::Loaded],
        };
        let case = Case {
            job: Job::restore(spec, stored.header, loaded.completed, loaded.failed, loaded.live),
            name: stored.name,
            rev: stored.rev,
            active: stored.active,
            lease_ms: stored.lease_ms,
            notes: Notes::default(),
            wake: None,
            at: stored.job.clone(),
        };
        self.cases.insert(stored.job.uid, case);
        Some(events)
    }

    /// Takes what clients changed of a known Job; the events that follow.
    pub(crate) fn change(&mut self, stored: &StoredJob) -> Vec<Event> {
        let Some(spec) = self.spec(stored) else {
            self.remove(&stored.job.uid);
            return Vec::new();
        };
        let Some(case) = self.cases.get_mut(&stored.job.uid) else { return Vec::new() };
        case.rev = stored.rev;
        case.active = stored.active;
        case.lease_ms = stored.lease_ms;
        let mut events = Vec::new();
        if *case.job.spec() != spec {
            events.push(Event::SpecChanged(Box::new(spec)));
        }
        if stored.deleted.is_some() && !case.job.header().deleting {
            events.push(Event::DeleteRequested);
        }
        events
    }

    /// Applies events to a Job, in order.
    pub(crate) fn apply(&mut self, uid: &str, events: Vec<Event>, now: Millis) -> Delta {
        let mut delta = Delta::default();
        let Some(case) = self.cases.get_mut(uid) else { return delta };
        for event in events {
            delta.merge(case.job.apply(event, now));
        }
        let wake = case.job.next_wake();
        if wake != case.wake {
            if let Some(before) = std::mem::replace(&mut case.wake, wake) {
                self.wakes.remove(&(before, uid.to_owned()));
            }
            self.wakes.extend(wake.map(|wake| (wake, uid.to_owned())));
        }
        delta
    }

    pub(crate) fn remove(&mut self, uid: &str) {
        if let Some(case) = self.cases.remove(uid)
            && let Some(wake) = case.wake
        {
            self.wakes.remove(&(wake, uid.to_owned()));
        }
    }

    /// When the first Job wants to be looked at.
    pub(crate) fn next_wake(&self) -> Option<Millis> {
        self.wakes.first().map(|(wake, _)| *wake)
    }

    /// Up to `most` Jobs whose time has come.
    pub(crate) fn due(&self, now: Millis, most: usize) -> Vec<String> {
        let due = self.wakes.iter().take_while(|(wake, _)| *wake <= now);
        due.take(most).map(|(_, uid)| uid.clone()).collect()
    }

    /// All Jobs that want to be looked at at some time.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &String> {
        self.wakes.iter().map(|(_, uid)| uid)
    }

    fn spec(&self, stored: &StoredJob) -> Option<Spec> {
        match serde_json::from_str::<Object>(&stored.object) {
            Ok(object) => Some(job_spec(&object, &self.defaults)),
            Err(error) => {
                error!(job = %stored.job, "the stored object can't be read, so the Job rests: {error}");
                None
            }
        }
    }
}
