//! States that a run must have seen, or it has proved less than it seems.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use longshore_tests::history::{AttemptRecord, History, Line, What};

use crate::chaos::lanes::Struck;

/// Each state with how often it was seen.
pub(crate) fn reached(
    history: &History,
    struck: &[Struck],
    logs: &Path,
) -> Result<BTreeMap<&'static str, usize>> {
    let logs = Logs::read(logs)?;
    let attempts: HashMap<&str, &AttemptRecord> = history
        .jobs
        .iter()
        .flat_map(|job| job.ending.iter().flat_map(|ending| &ending.attempts))
        .map(|attempt| (attempt.pod.as_str(), attempt))
        .collect();
    let disrupted = |reason: &str, line: &Line| {
        attempts.get(line.pod.as_str()).is_some_and(|a| a.disrupted && a.reason == reason)
    };
    let ended = history.lines.iter().filter(|line| matches!(line.what, What::End(_)));
    Ok(BTreeMap::from([
        ("a lease that ran out with its container alive", alive_beyond(history, struck)),
        ("a stale finish, refused", logs.count("it is someone else's by now")),
        ("a doubled ticket, refused", logs.count("the ticket is void")),
        ("another run of Redis", logs.count("Redis was restarted")),
        ("a publish without its confirm", logs.count("tickets can't be published")),
        ("a daemon that restarted under an attempt", logs.count("DockerRestarted")),
        ("an adoption", logs.count("taken up again")),
        ("a takeover of a shard", logs.takeovers()),
        (
            "an exit discarded because the daemon changed",
            ended.filter(|line| disrupted("DockerRestarted", line)).count(),
        ),
    ]))
}

/// Containers that lived on while their worker was gone, frozen or cut off, and never ended by themselves.
fn alive_beyond(history: &History, struck: &[Struck]) -> usize {
    let mut last: HashMap<&str, &Line> = HashMap::new();
    for line in &history.lines {
        last.insert(&line.run, line);
    }
    let kinds = ["WorkerGone", "WorkerFrozen", "ProcessesGone", "RedisCut", "BothCut"];
    let faults = || struck.iter().filter(|fault| kinds.contains(&fault.kind.as_str()));
    let outlived = |line: &&&Line| {
        !matches!(line.what, What::End(_))
            && faults().any(|fault| {
                let within = fault.at + Duration::from_secs(1)..fault.until;
                fault.on == line.node && within.contains(&line.at)
            })
    };
    last.values().filter(outlived).count()
}

/// What all programs have logged.
struct Logs(Vec<String>);

impl Logs {
    fn read(folder: &Path) -> Result<Self> {
        let mut lines = Vec::new();
        for entry in fs::read_dir(folder)? {
            let text = fs::read(entry?.path())?;
            lines.extend(String::from_utf8_lossy(&text).lines().map(str::to_owned));
        }
        Ok(Self(lines))
    }

    fn count(&self, what: &str) -> usize {
        self.0.iter().filter(|line| line.contains(what)).count()
    }

    /// Shards taken from another that had not given them back.
    fn takeovers(&self) -> usize {
        let from =
            |line: &&String| line.contains("took a shard") && line.contains("before=coordinator");
        self.0.iter().filter(from).count()
    }
}
