//! The invariants of ARCHITECTURE.md, each decided from a run's history.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::{AttemptRecord, Ending, Fate, History, JobRecord, Line, Phase, What};

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub invariant: &'static str,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// All violations; the history is one of a run that was healed and waited for.
pub fn check(history: &History) -> Vec<Violation> {
    let mut found = Found::default();
    let world = World::new(&history.lines);
    for (of, lines) in &world.by_index {
        never_twice_at_once(&mut found, *of, lines);
        tokens_grow(&mut found, *of, lines);
    }
    for job in &history.jobs {
        let forgotten = history.is_forgotten(job);
        ends(&mut found, job, forgotten);
        if forgotten {
            continue;
        }
        parallelism_kept(&mut found, job, &world);
        status_forward(&mut found, job);
        if let Some(ending) = &job.ending {
            nothing_lost(&mut found, job, ending, &world);
            one_success(&mut found, job, ending, &world);
            failures_are_the_containers(&mut found, job, ending, &world);
            limits_exact(&mut found, job, ending);
        }
    }
    no_leftovers(&mut found, history);
    found.0
}

#[derive(Default)]
struct Found(Vec<Violation>);

impl Found {
    fn add(&mut self, invariant: &'static str, what: String) {
        self.0.push(Violation { invariant, what });
    }
}

/// The containers' lines, sorted by what they are about; each part in the order of the file.
struct World<'a> {
    by_index: BTreeMap<(&'a str, u32), Vec<&'a Line>>,
    by_job: BTreeMap<&'a str, Vec<&'a Line>>,
    /// How each Pod's containers ended by themselves.
    codes: HashMap<&'a str, Vec<i32>>,
}

impl<'a> World<'a> {
    fn new(lines: &'a [Line]) -> Self {
        let mut world =
            Self { by_index: BTreeMap::new(), by_job: BTreeMap::new(), codes: HashMap::new() };
        for line in lines {
            world.by_index.entry((&line.job, line.index)).or_default().push(line);
            world.by_job.entry(&line.job).or_default().push(line);
            if let What::End(code) = line.what {
                world.codes.entry(&line.pod).or_default().push(code);
            }
        }
        world
    }

    fn ended_with(&self, pod: &str, wanted: impl Fn(i32) -> bool) -> bool {
        self.codes.get(pod).is_some_and(|codes| codes.iter().any(|code| wanted(*code)))
    }
}

/// A container that writes after another of its index has begun was alive beside it.
fn never_twice_at_once(found: &mut Found, of: (&str, u32), lines: &[&Line]) {
    let mut latest: Option<&Line> = None;
    let mut told = BTreeSet::new();
    for line in lines {
        match latest {
            Some(latest) if latest.run == line.run => {}
            _ if line.what == What::Start => latest = Some(line),
            Some(latest) if told.insert(&line.run) => found.add(
                "never-twice-at-once",
                format!(
                    "{}/{}: {} was alive at {:?}, {} had started at {:?}",
                    of.0, of.1, line.pod, line.at, latest.pod, latest.at
                ),
            ),
            _ => {}
        }
    }
}

fn tokens_grow(found: &mut Found, of: (&str, u32), lines: &[&Line]) {
    let mut last: Option<&Line> = None;
    for line in lines.iter().filter(|line| line.what == What::Start) {
        // A restart in place is the same grant.
        if let Some(last) = last
            && line.token <= last.token
            && !(line.token == last.token && line.pod == last.pod)
        {
            found.add(
                "tokens-grow",
                format!(
                    "{}/{}: {} after {} ({} after {})",
                    of.0, of.1, line.token, last.token, line.pod, last.pod
                ),
            );
        }
        last = Some(line);
    }
}

/// What was acknowledged is there, and has ended as it should.
fn ends(found: &mut Found, job: &JobRecord, forgotten: bool) {
    let Some(ending) = &job.ending else {
        if job.acknowledged && job.deleted.is_none() && !forgotten {
            found.add("nothing-lost", format!("{}: it was acknowledged and is gone", job.name));
        }
        return;
    };
    let wanted = match job.fate {
        Fate::Complete => "Complete",
        Fate::Failed => "Failed",
        Fate::Deleted if forgotten => return,
        Fate::Deleted => {
            return found.add("nothing-lost", format!("{}: its deletion was lost", job.name));
        }
    };
    let is = ending.condition.as_ref().map(|(condition, _)| condition.as_str());
    if is != Some(wanted) && !(forgotten && is.is_some()) {
        let is = format!("{:?}, completed {:?}", ending.condition, ending.completed);
        found.add("nothing-lost", format!("{}: not {wanted} but {is}", job.name));
    }
}

/// Never more containers than the Job's parallelism, each counted from its first line to its last.
fn parallelism_kept(found: &mut Found, job: &JobRecord, world: &World<'_>) {
    let lines = world.by_job.get(job.name.as_str()).map_or(&[][..], Vec::as_slice);
    let mut last = HashMap::new();
    for (at, line) in lines.iter().enumerate() {
        last.insert(&line.run, at);
    }
    let (mut running, mut most) = (0_u32, 0);
    for (at, line) in lines.iter().enumerate() {
        if line.what == What::Start {
            running += 1;
            most = most.max(running);
        }
        if last.get(&line.run) == Some(&at) {
            running = running.saturating_sub(1);
        }
    }
    if most > job.parallelism {
        let what = format!("{}: {most} at once, parallelism {}", job.name, job.parallelism);
        found.add("parallelism-kept", what);
    }
}

fn status_forward(found: &mut Found, job: &JobRecord) {
    let ending = job.ending.iter().map(|ending| &ending.completed);
    let sights = job.sights.iter().map(|sight| &sight.completed).chain(ending);
    let mut before: &BTreeSet<u32> = &BTreeSet::new();
    for completed in sights {
        let taken_back: Vec<_> = before.difference(completed).collect();
        if !taken_back.is_empty() {
            let what = format!("{}: indexes {taken_back:?} were seen completed", job.name);
            return found.add("status-forward", what);
        }
        before = completed;
    }
}

/// A Complete Job has a success for each index, and each success is one that a container had.
fn nothing_lost(found: &mut Found, job: &JobRecord, ending: &Ending, world: &World<'_>) {
    if job.fate == Fate::Complete {
        let all: BTreeSet<u32> = (0..job.completions).collect();
        let count = ending.succeeded;
        if ending.completed != all || count != job.completions {
            let what = format!("{}: {count} succeeded, {:?}", job.name, ending.completed);
            found.add("nothing-lost", what);
        }
    }
    for pod in succeeded(ending) {
        if !world.ended_with(&pod.pod, |code| code == 0) {
            let what = format!("{}: {} succeeded, but never ended with 0", job.name, pod.pod);
            found.add("nothing-lost", what);
        }
    }
}

/// Of each completed index one success counts, and nothing of it runs after that.
fn one_success(found: &mut Found, job: &JobRecord, ending: &Ending, world: &World<'_>) {
    let mut by_index: BTreeMap<u32, Vec<&AttemptRecord>> = BTreeMap::new();
    for pod in succeeded(ending) {
        by_index.entry(pod.index).or_default().push(pod);
    }
    for index in &ending.completed {
        let of = by_index.get(index).map_or(&[][..], Vec::as_slice);
        let [success] = of else {
            let what = format!("{}/{index}: {} successes are accepted", job.name, of.len());
            found.add("one-success", what);
            continue;
        };
        let lines = world.by_index.get(&(job.name.as_str(), *index));
        let starts = lines.into_iter().flatten().filter(|line| line.what == What::Start);
        if let Some(later) = starts.skip_while(|line| line.pod != success.pod).last()
            && later.pod != success.pod
        {
            let what = format!(
                "{}/{index}: {} ran after the success of {}",
                job.name, later.pod, success.pod
            );
            found.add("one-success", what);
        }
    }
}

/// A Pod that failed through no disruption did so by its container's own doing.
fn failures_are_the_containers(
    found: &mut Found,
    job: &JobRecord,
    ending: &Ending,
    world: &World<'_>,
) {
    for pod in counted(ending) {
        if !world.ended_with(&pod.pod, |code| code != 0) {
            let what = format!("{}: {} counts as failed, but did not fail", job.name, pod.pod);
            found.add("disruptions-free", what);
        }
    }
}

fn limits_exact(found: &mut Found, job: &JobRecord, ending: &Ending) {
    let failures = u32::try_from(counted(ending).count()).unwrap_or(u32::MAX);
    if ending.failed != failures {
        let what = format!("{}: failed {}, {failures} Pods did", job.name, ending.failed);
        found.add("limits-exact", what);
    }
    let beyond = failures > job.backoff_limit;
    let failed = matches!(&ending.condition, Some((condition, _)) if condition == "Failed");
    // Those that were running when the limit was passed may fail too.
    let too_many = failures > job.backoff_limit + job.parallelism;
    if beyond != failed || too_many {
        let what = format!(
            "{}: {failures} failures, backoffLimit {}, {:?}",
            job.name, job.backoff_limit, ending.condition
        );
        found.add("limits-exact", what);
    }
}

fn no_leftovers(found: &mut Found, history: &History) {
    let left = &history.leftovers;
    if *left != super::Leftovers::default() {
        found.add("no-leftovers", format!("{left:?}"));
    }
}

fn succeeded(ending: &Ending) -> impl Iterator<Item = &AttemptRecord> {
    ending.attempts.iter().filter(|pod| pod.phase == Phase::Succeeded)
}

/// The failures that count toward the limits.
fn counted(ending: &Ending) -> impl Iterator<Item = &AttemptRecord> {
    ending.attempts.iter().filter(|pod| pod.phase == Phase::Failed && !pod.disrupted)
}
