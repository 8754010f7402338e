//! A witness that trusts Docker's own events and nothing of Longshore's.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use bollard::Docker;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures::StreamExt;
use tokio::task::JoinHandle;

use crate::engine::docker;
use crate::until;

/// One container of an attempt, from start to end, in nanoseconds of the host's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub container: String,
    /// The Job's uid.
    pub uid: String,
    pub index: String,
    pub worker: String,
    pub start: i64,
    /// `None` while it runs.
    pub end: Option<i64>,
}

/// Listens to the container events of engines from its creation on.
pub struct Witness {
    runs: Runs,
    listeners: Vec<JoinHandle<()>>,
}

/// By container and start: one that is restarted in place runs more than once.
type Runs = Arc<Mutex<BTreeMap<(String, i64), Run>>>;

impl Witness {
    /// Listens to the machine's engine.
    pub async fn listen() -> Result<Self> {
        Self::listen_to(&[None]).await
    }

    /// Listens to the engines at the addresses; `None` is the machine's.
    pub async fn listen_to(hosts: &[Option<&str>]) -> Result<Self> {
        let runs = Runs::default();
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
        let mut listeners = Vec::new();
        for host in hosts {
            let engine = docker(*host)?;
            engine.ping().await?;
            listeners.push(tokio::spawn(listen(engine, since, runs.clone())));
        }
        Ok(Self { runs, listeners })
    }

    /// All runs of a Job seen so far, by start.
    pub fn runs(&self, uid: &str) -> Vec<Run> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut runs: Vec<Run> = runs.values().filter(|r| r.uid == uid).cloned().collect();
        runs.sort_by_key(|run| run.start);
        runs
    }

    /// The longest time between two runs of a Job that began one after the other, in seconds.
    pub fn longest_pause(&self, uid: &str) -> f64 {
        let runs = self.runs(uid);
        let pauses = runs.windows(2).map(|pair| pair[1].start - pair[0].start);
        pauses.max().unwrap_or_default() as f64 / 1e9
    }

    /// All runs of a Job, once each has ended: events come a little later than what they tell of.
    pub async fn ended(&self, uid: &str, bound: Duration) -> Result<Vec<Run>> {
        until("every container of the job has ended", bound, async || {
            let runs = self.runs(uid);
            let open: Vec<Run> = runs.iter().filter(|run| run.end.is_none()).cloned().collect();
            Ok(if open.is_empty() { Ok(runs) } else { Err(open) })
        })
        .await
    }

    /// The runs of a Job that go on at the moment.
    pub fn running(&self, uid: &str) -> Vec<Run> {
        self.runs(uid).into_iter().filter(|run| run.end.is_none()).collect()
    }

    /// `never-twice-at-once`: fails if two containers of one index of the Job were alive at a time.
    pub fn never_twice(&self, uid: &str) -> Result<()> {
        never_twice(&self.runs(uid))
    }

    /// The most containers of the Job that were alive at once.
    pub fn most_at_once(&self, uid: &str) -> usize {
        most_at_once(&self.runs(uid))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.listeners.iter().for_each(JoinHandle::abort);
    }
}

/// Notes events for ever. An engine that restarts in mid-test ends the stream; it is asked again for
/// all since the beginning.
async fn listen(engine: Docker, since: u64, runs: Runs) {
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("event".to_owned(), vec!["start".to_owned(), "die".to_owned()]),
    ]);
    let options =
        EventsOptions { since: Some(since.to_string()), until: None, filters: Some(filters) };
    loop {
        let mut events = engine.events(Some(options.clone()));
        while let Some(Ok(event)) = events.next().await {
            note(&mut runs.lock().unwrap_or_else(PoisonError::into_inner), &event);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Notes an event, which may be seen again after a reconnect.
fn note(runs: &mut BTreeMap<(String, i64), Run>, event: &EventMessage) {
    let Some(actor) = &event.actor else { return };
    let (Some(id), Some(labels), Some(at)) = (&actor.id, &actor.attributes, event.time_nano) else {
        return;
    };
    let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
    let uid = label("batch.kubernetes.io/controller-uid");
    if uid.is_empty() {
        return;
    }
    match event.action.as_deref() {
        Some("start") => {
            runs.entry((id.clone(), at)).or_insert_with(|| Run {
                container: id.clone(),
                uid,
                index: label("longshore.dev/index"),
                worker: label("longshore.dev/worker"),
                start: at,
                end: None,
            });
        }
        Some("die") => {
            let before = (id.clone(), i64::MIN)..=(id.clone(), at);
            if let Some((_, run)) = runs.range_mut(before).next_back() {
                run.end.get_or_insert(at);
            }
        }
        _ => {}
    }
}

fn never_twice(runs: &[Run]) -> Result<()> {
    let mut last: HashMap<&str, &Run> = HashMap::new();
    for run in runs {
        if let Some(before) = last.insert(&run.index, run) {
            let ended = before.end.is_some_and(|end| end <= run.start);
            ensure!(ended, "index {} ran twice at once: {before:?} and {run:?}", run.index);
        }
    }
    Ok(())
}

fn most_at_once(runs: &[Run]) -> usize {
    let mut edges: Vec<(i64, i32)> = Vec::new();
    for run in runs {
        edges.push((run.start, 1));
        edges.extend(run.end.map(|end| (end, -1)));
    }
    // An end and a start at the same moment are not at once: -1 sorts first.
    edges.sort_unstable();
    let alive = edges.iter().scan(0, |alive, (_, change)| {
        *alive += change;
        Some(*alive)
    });
    usize::try_from(alive.max().unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(index: &str, start: i64, end: Option<i64>) -> Run {
        let text = String::new;
        Run { container: text(), uid: text(), index: index.to_owned(), worker: text(), start, end }
    }

    fn event(action: &str, at: i64) -> EventMessage {
        let attributes =
            HashMap::from([("batch.kubernetes.io/controller-uid".to_owned(), "u".to_owned())]);
        EventMessage {
            action: Some(action.to_owned()),
            actor: Some(bollard::models::EventActor {
                id: Some("c".to_owned()),
                attributes: Some(attributes),
            }),
            time_nano: Some(at),
            ..EventMessage::default()
        }
    }

    #[test]
    fn overlapping_runs_of_one_index_are_found() {
        assert!(never_twice(&[run("1", 0, Some(5)), run("1", 5, None), run("2", 3, None)]).is_ok());
        assert!(never_twice(&[run("1", 0, Some(5)), run("1", 4, None)]).is_err());
        assert!(never_twice(&[run("1", 0, None), run("1", 4, Some(5))]).is_err());
    }

    #[test]
    fn most_at_once_counts_what_overlaps() {
        assert_eq!(most_at_once(&[]), 0);
        assert_eq!(most_at_once(&[run("1", 0, Some(5)), run("2", 5, Some(9))]), 1);
        assert_eq!(most_at_once(&[run("1", 0, Some(5)), run("2", 4, None), run("3", 4, None)]), 3);
    }

    #[test]
    fn events_seen_twice_count_once() {
        let mut runs = BTreeMap::new();
        for _ in 0..2 {
            for (action, at) in [("start", 10), ("die", 20), ("start", 30)] {
                note(&mut runs, &event(action, at));
            }
        }
        let runs: Vec<(i64, Option<i64>)> = runs.values().map(|run| (run.start, run.end)).collect();
        assert_eq!(runs, [(10, Some(20)), (30, None)]);
    }
}
