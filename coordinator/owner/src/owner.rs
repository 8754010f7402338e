//! The owner's loop: read events, apply them, commit what follows, then act.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use longshore_job::{Action, Delta, Event, Phase};
use longshore_store::{Commit, Committed, InEntry, JobRef, LoadedJob, Reported, Store, StreamId};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::{debug, info};

use crate::act::{act, tickets_of};
use crate::archive::Archiver;
use crate::clock::RedisClock;
use crate::compose;
use crate::jobs::Jobs;
use crate::outbox::Mail;
use crate::patient::{patiently, pause, waits};
use crate::supervise::Context;
use crate::term::Term;
use crate::tickets::Tickets;

/// The longest wait for the next event.
const BLOCK: Duration = Duration::from_secs(1);

/// Events read at a time, and Jobs in one commit.
const MOST: usize = 256;

/// Redis' clock is asked again after this long without an answer that told it.
const CLOCK_AGE: Duration = Duration::from_secs(5);

/// Nothing this owner writes counts any more.
struct Fenced;

/// Events by Job, in order; the Jobs are independent of each other.
type Work = BTreeMap<String, Vec<Event>>;

pub(crate) struct Owner<'a> {
    store: &'a Store,
    term: Term,
    mail: Mail,
    archiver: Archiver,
    jobs: Jobs,
    tickets: Tickets,
    clock: RedisClock,
    pos: StreamId,
    /// Removals under way; each gives its Job's uid when done, or `None` if fenced.
    purges: JoinSet<Option<String>>,
}

impl<'a> Owner<'a> {
    /// Loads the shard, tells the longest lease that may be running in it, and serves it. Returns when
    /// this is no more the owner.
    pub(crate) async fn run(
        context: &'a Context,
        term: Term,
        mail: Mail,
        archiver: Archiver,
        longest_lease: oneshot::Sender<Option<Duration>>,
    ) {
        let store = &context.store;
        let heard = patiently(|| store.now_in(term.shard)).await;
        let mut owner = Self {
            store,
            term,
            mail,
            archiver,
            jobs: Jobs::new(context.settings.defaults.clone()),
            tickets: Tickets::default(),
            clock: RedisClock::new(heard),
            pos: term.pos,
            purges: JoinSet::new(),
        };
        let work = owner.load().await;
        let own = context.settings.defaults.lease;
        let unfinished = owner.jobs.iter().filter(|case| !case.job.is_finished());
        // A Job that Redis has forgotten has no attempt left to grant, so only those that it knows count;
        // of these it may have forgotten a change of the lease.
        let lease = unfinished.map(|case| case.lease_ms.max(own)).max();
        // Its other end waits for as long as this runs.
        let _ = longest_lease.send(lease.map(Duration::from_millis));
        // The loop ends only by being fenced; the next owner goes on from what is stored.
        let Err(Fenced) = owner.serve(work).await else { return };
    }

    /// All Jobs of the shard, with what each is to be told first.
    async fn load(&mut self) -> Work {
        let (store, shard) = (self.store, self.term.shard);
        let loaded = patiently(|| store.load_shard(shard)).await;
        let jobs = loaded.len();
        let mut work = Work::new();
        for job in loaded {
            let uid = job.job.job.uid.clone();
            work.extend(self.jobs.load(job).map(|events| (uid, events)));
        }
        info!(%shard, epoch = self.term.epoch.number, jobs, "loaded a shard");
        work
    }

    async fn serve(&mut self, mut first: Work) -> Result<(), Fenced> {
        while !first.is_empty() {
            let rest = first.keys().nth(MOST).cloned();
            let later = rest.map(|uid| first.split_off(&uid)).unwrap_or_default();
            self.process(first, Vec::new()).await?;
            first = later;
        }
        let mut waits = waits();
        loop {
            if self.clock.age() > CLOCK_AGE {
                let store = self.store;
                self.clock.hear(patiently(|| store.now_in(self.term.shard)).await);
            }
            match self.store.read_in(self.term.shard, self.pos, self.patience(), MOST).await {
                Ok(entries) => {
                    waits.reset();
                    self.turn(entries).await?;
                }
                Err(error) => pause(&error, &mut waits).await,
            }
            self.finish_purges()?;
            self.ask_about_tickets();
        }
    }

    /// How long the next read may wait: until a Job wants to be looked at.
    fn patience(&self) -> Duration {
        let wake = self.jobs.next_wake().map(|wake| wake.saturating_sub(self.clock.now()));
        wake.map_or(BLOCK, Duration::from_millis).min(BLOCK)
    }

    /// One turn of the loop: what was read, and what has become due.
    async fn turn(&mut self, entries: Vec<InEntry>) -> Result<(), Fenced> {
        let mut work = Work::new();
        let mut changed = BTreeSet::new();
        let mut ids = Vec::with_capacity(entries.len());
        for entry in entries {
            ids.push(entry.id);
            match entry.what {
                Some(Reported::Job) => {
                    changed.insert(entry.uid);
                }
                Some(Reported::Attempt(event)) => {
                    self.note_ticket(&entry.uid, &event);
                    work.entry(entry.uid).or_default().push(event);
                }
                None => {}
            }
        }
        let mut due = self.jobs.due(self.clock.now(), MOST);
        if self.clock.stepped_back() {
            // They wait for a time of the clock before.
            due.extend(self.jobs.waiting().cloned());
        }
        for uid in due {
            work.entry(uid).or_default().push(Event::Tick);
        }
        // A change that a client was told of comes first, whatever the stream's order: a limit that was
        // raised must hold for a failure that is only accounted for now.
        for (uid, events) in self.read_changed(changed).await {
            let entry = work.entry(uid).or_default();
            entry.splice(0..0, events);
        }
        self.process(work, ids).await
    }

    /// Reads Jobs that clients created, changed or deleted; what each is to be told.
    async fn read_changed(&mut self, uids: BTreeSet<String>) -> Work {
        let mut work = Work::new();
        let (known, new): (Vec<_>, Vec<_>) =
            uids.into_iter().partition(|uid| self.jobs.get(uid).is_some());
        let refs: Vec<JobRef> =
            known.into_iter().map(|uid| JobRef::new(self.term.shard, uid)).collect();
        let store = self.store;
        for stored in patiently(|| store.load_jobs(&refs)).await {
            work.insert(stored.job.uid.clone(), self.jobs.change(&stored));
        }
        for uid in new {
            if let Some(events) = self.reload(&uid).await {
                work.insert(uid, events);
            }
        }
        work
    }

    /// Takes a Job as it is stored; what it is to be told. `None` if it is gone or can't be read.
    async fn reload(&mut self, uid: &str) -> Option<Vec<Event>> {
        let job = JobRef::new(self.term.shard, uid);
        let store = self.store;
        let loaded: Option<LoadedJob> = patiently(|| store.load_job(&job)).await;
        match loaded {
            Some(loaded) => self.jobs.load(loaded),
            None => {
                self.jobs.remove(uid);
                None
            }
        }
    }

    /// Applies events and commits what follows, together with the position of the stream; then acts.
    async fn process(&mut self, work: Work, ids: Vec<StreamId>) -> Result<(), Fenced> {
        let mut deltas: BTreeMap<String, Delta> = BTreeMap::new();
        for (uid, events) in &work {
            let delta = self.jobs.apply(uid, events.clone(), self.clock.now());
            deltas.insert(uid.clone(), delta);
        }
        let pos = ids.last().copied().unwrap_or(self.pos);
        loop {
            let mut commit = Commit::new();
            commit.ack(ids.iter().copied());
            for (uid, delta) in &deltas {
                if let Some(case) = self.jobs.get_mut(uid)
                    && let Err(error) = compose::add(&mut commit, case, delta)
                {
                    // Numbers and text can always be written as JSON.
                    tracing::error!(%uid, "can't be stored: {error}");
                }
            }
            if commit.is_empty() {
                break;
            }
            let (store, Term { shard, epoch, .. }) = (self.store, self.term);
            match patiently(|| store.commit(shard, epoch, pos, &commit)).await {
                Committed::Stored { at } => {
                    self.clock.hear(at);
                    break;
                }
                Committed::Fenced => return Err(Fenced),
                Committed::Stale(uids) => {
                    for uid in uids {
                        deltas.insert(uid.clone(), self.again(&uid, &work).await);
                    }
                }
            }
        }
        self.pos = pos;
        self.archive_ended(&work);
        self.after(deltas).await
    }

    /// A client changed the Job while its events were applied: they are applied anew to the Job as it is
    /// stored, whose state is still that from before them.
    async fn again(&mut self, uid: &str, work: &Work) -> Delta {
        debug!(%uid, "changed meanwhile: applying the events again");
        let Some(mut events) = self.reload(uid).await else { return Delta::default() };
        let before = work.get(uid).into_iter().flatten();
        events.extend(before.filter(|event| !is_of_client(event)).cloned());
        self.jobs.apply(uid, events, self.clock.now())
    }

    /// What is left to do when the changes are stored.
    async fn after(&mut self, deltas: BTreeMap<String, Delta>) -> Result<(), Fenced> {
        let mut actions: Vec<(JobRef, Action)> = Vec::new();
        for (uid, delta) in deltas {
            let Some(case) = self.jobs.get_mut(&uid) else { continue };
            case.active = case.job.grants_claims();
            actions.extend(delta.actions.into_iter().map(|action| (case.at.clone(), action)));
        }
        let Self { store, mail, tickets, term, .. } = self;
        let purges = act(store, term.epoch, mail, tickets, actions).await.ok_or(Fenced)?;
        for job in purges {
            let (store, epoch) = (self.store.clone(), self.term.epoch);
            let archiver = self.archiver.clone();
            self.purges.spawn(async move {
                archiver.before_purge(&job).await;
                let purged = patiently(|| store.purge(epoch, &job)).await;
                purged.then_some(job.uid)
            });
        }
        Ok(())
    }

    fn finish_purges(&mut self) -> Result<(), Fenced> {
        while let Some(purged) = self.purges.try_join_next() {
            let uid = purged.ok().flatten().ok_or(Fenced)?;
            self.jobs.remove(&uid);
            info!(%uid, "removed a Job");
        }
        Ok(())
    }

    /// Hands the attempts that have ended to the archive.
    fn archive_ended(&self, work: &Work) {
        for (uid, events) in work {
            let Some(case) = self.jobs.get(uid) else { continue };
            for event in events {
                if let Event::Finished { index, attempt, .. } = event {
                    self.archiver.ended(case.at.attempt(*index, *attempt));
                }
            }
        }
    }

    fn note_ticket(&mut self, uid: &str, event: &Event) {
        if let Event::Claimed { index, attempt, .. } = event {
            self.tickets.claimed(&(uid.to_owned(), *index, *attempt));
        }
    }

    /// Publishes tickets again that may have been lost.
    fn ask_about_tickets(&mut self) {
        let jobs = &self.jobs;
        let suspects = self.tickets.suspects(Instant::now(), |(uid, index, attempt)| {
            let live = jobs.get(uid).and_then(|case| case.job.live(*index));
            live.is_some_and(|live| {
                live.attempt.number == *attempt
                    && live.phase == Phase::Offered
                    && live.stop.is_none()
            })
        });
        if !suspects.lost.is_empty() {
            info!(shard = %self.term.shard, "{} tickets were lost: publishing them again", suspects.lost.len());
        }
        let (format, shard) = (self.store.format(), self.term.shard.0);
        self.mail.publish(tickets_of(format, shard, suspects.lost));
        self.mail.publish_if_idle(tickets_of(format, shard, suspects.doubtful));
    }
}

/// What a reload already knows.
fn is_of_client(event: &Event) -> bool {
    matches!(event, Event::Loaded | Event::SpecChanged(_) | Event::DeleteRequested)
}
