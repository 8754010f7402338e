//! The Jobs that run meanwhile, and the client that asks for them and watches them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use longshore_tests::history::{
    AttemptRecord, Ending, Fate, JobRecord, Phase, SAY, Sight, now, saying,
};
use longshore_tests::{Api, Job, condition};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::chaos::fleet::Fleet;

/// Containers that are wanted at once, somewhat more than there are slots.
const WANTED: u32 = 16;
const LOOK: Duration = Duration::from_millis(700);

/// What a container of the load does, besides saying that it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Short,
    /// Longer than a lease. It ends with 0 when it is told to end, as a container may whose daemon goes
    /// down.
    Long,
    /// The same, not as long.
    Obedient,
    FailsFirst,
    FailsFirstInPlace,
    OutOfMemoryFirst,
    Doomed,
    Deleted,
}

/// Of twenty Jobs.
const MIX: [(Kind, usize); 8] = [
    (Kind::Short, 8),
    (Kind::Long, 3),
    (Kind::Obedient, 2),
    (Kind::FailsFirst, 2),
    (Kind::FailsFirstInPlace, 1),
    (Kind::OutOfMemoryFirst, 2),
    (Kind::Doomed, 1),
    (Kind::Deleted, 1),
];

/// Whether the Job of this name ends with 0 when it is told to end.
pub(crate) fn is_obedient(name: &str) -> bool {
    is_long(name) || name.starts_with("obedient-")
}

/// Whether the containers of the Job of this name run longer than a lease.
pub(crate) fn is_long(name: &str) -> bool {
    name.starts_with("long-")
}

/// Whether the containers of the Job of this name end by themselves well within a lease.
pub(crate) fn is_short(name: &str) -> bool {
    name.starts_with("short-")
}

/// Creates Jobs until `over`, and gives all of them once each has ended. `healed` is set when nothing is
/// broken any more, so that they must.
pub(crate) async fn run(
    fleet: &Arc<Fleet>,
    mut rng: fastrand::Rng,
    over: watch::Receiver<bool>,
) -> Result<Vec<JobRecord>> {
    let room = Arc::new(Semaphore::new(WANTED as usize));
    let mut clients = JoinSet::new();
    for n in 0.. {
        let plan = Plan::new(n, &mut rng, fleet);
        let permits = room.clone().acquire_many_owned(plan.record.parallelism).await?;
        if *over.borrow() {
            break;
        }
        let (fleet, seed, over) = (fleet.clone(), rng.u64(..), over.clone());
        clients.spawn(async move {
            let record = plan.follow(&fleet, fastrand::Rng::with_seed(seed), over).await;
            drop(permits);
            record
        });
    }
    let mut records = Vec::new();
    while let Some(record) = clients.join_next().await {
        records.push(record??);
    }
    records.sort_by_key(|record| record.asked);
    Ok(records)
}

/// How a Job stands at the end of the run.
pub(crate) async fn ending(api: &Api, name: &str) -> Result<Option<Ending>> {
    let reply = api.get(&format!("/apis/batch/v1/namespaces/default/jobs/{name}")).await?;
    if reply.code == 404 {
        return Ok(None);
    }
    let status = &reply.ok()?["status"];
    let over = ["Complete", "Failed"].into_iter().find_map(|kind| {
        let reason = condition(status, kind)?["reason"].as_str().unwrap_or_default();
        Some((kind.to_owned(), reason.to_owned()))
    });
    let pods = api.pods(name).await?;
    Ok(Some(Ending {
        condition: over,
        completed: completed(status)?,
        succeeded: count(&status["succeeded"]),
        failed: count(&status["failed"]),
        attempts: pods.iter().map(attempt).collect::<Result<_>>()?,
    }))
}

struct Plan {
    record: JobRecord,
    job: Job,
}

impl Plan {
    fn new(n: u32, rng: &mut fastrand::Rng, fleet: &Fleet) -> Self {
        let shares: usize = MIX.iter().map(|(_, share)| share).sum();
        let mut at = rng.usize(..shares);
        let kind = MIX.iter().find_map(|(kind, share)| {
            let hit = at < *share;
            at = at.saturating_sub(*share);
            hit.then_some(*kind)
        });
        let kind = kind.unwrap_or(Kind::Short);
        let beats = match kind {
            Kind::Short => rng.u32(1..25),
            Kind::Long => rng.u32(70..100),
            Kind::Obedient | Kind::Deleted => rng.u32(30..60),
            _ => rng.u32(1..15),
        };
        let (completions, parallelism) = match kind {
            Kind::Doomed => (1, 1),
            Kind::Short => (rng.u32(4..12), rng.u32(2..5)),
            _ => (rng.u32(2..5), rng.u32(2..4)),
        };
        let backoff_limit = match kind {
            Kind::Doomed => 2,
            Kind::FailsFirst | Kind::OutOfMemoryFirst => completions,
            Kind::FailsFirstInPlace => 2 * completions,
            _ => 0,
        };
        let name = format!("{kind:?}-{n}").to_lowercase();
        let record = JobRecord {
            name: name.clone(),
            completions,
            parallelism,
            backoff_limit,
            fate: match kind {
                Kind::Doomed => Fate::Failed,
                Kind::Deleted => Fate::Deleted,
                _ => Fate::Complete,
            },
            asked: Duration::ZERO,
            acknowledged: false,
            deleted: None,
            sights: Vec::new(),
            seen_finished: None,
            ending: None,
        };
        let job = Job::new(&name, &script(kind, beats));
        let mut job = saying(job, &name, fleet.world.folder())
            .indexed(completions, parallelism)
            .retries(backoff_limit);
        if kind == Kind::OutOfMemoryFirst {
            job = job.container("resources", json!({ "limits": { "memory": "24Mi" } }));
        }
        if kind == Kind::FailsFirstInPlace {
            job = job.pod("restartPolicy", json!("OnFailure"));
        }
        Self { record, job }
    }

    /// Creates the Job and watches it to its end.
    async fn follow(
        mut self,
        fleet: &Fleet,
        mut rng: fastrand::Rng,
        mut over: watch::Receiver<bool>,
    ) -> Result<JobRecord> {
        let Self { record, job } = &mut self;
        record.asked = now()?;
        loop {
            let api = &fleet.apis[rng.usize(..fleet.apis.len())];
            match api.post("/apis/batch/v1/namespaces/default/jobs", job.value()).await {
                // One that was stored although its client was not told has the name.
                Ok(reply) if matches!(reply.code, 201 | 409) => break,
                Ok(reply) if reply.code < 500 => bail!("{}: {}", record.name, reply.text),
                Ok(_) | Err(_) => sleep(LOOK).await,
            }
        }
        record.acknowledged = true;
        if record.fate == Fate::Deleted {
            sleep(Duration::from_millis(rng.u64(300..4000))).await;
            record.deleted = Some(now()?);
        }
        let mut left = AFTER;
        loop {
            let api = &fleet.apis[rng.usize(..fleet.apis.len())];
            if let Ok(true) = look(api, record).await {
                return Ok(self.record);
            }
            if *over.borrow_and_update() {
                match left.checked_sub(LOOK) {
                    Some(less) => left = less,
                    // Not ended: the checker says so.
                    None => return Ok(self.record),
                }
            }
            sleep(LOOK).await;
        }
    }
}

/// How long Jobs may go on when nothing is broken any more.
const AFTER: Duration = Duration::from_secs(180);

/// One look at a Job's status, or one try to delete it; `true` if there is nothing more to see.
async fn look(api: &Api, record: &mut JobRecord) -> Result<bool> {
    let path = format!("/apis/batch/v1/namespaces/default/jobs/{}", record.name);
    if record.deleted.is_some() {
        let reply = api.request(hyper::Method::DELETE, &path, "application/json", "").await?;
        return Ok(reply.code == 404);
    }
    let reply = api.get(&path).await?;
    if reply.code == 404 {
        // Redis may have forgotten it; whether that is allowed is judged at the end.
        return Ok(true);
    }
    let status = &reply.ok()?["status"];
    record.sights.push(Sight { at: now()?, completed: completed(status)? });
    let over = ["Complete", "Failed"].iter().any(|kind| condition(status, kind).is_some());
    if over {
        record.seen_finished = Some(now()?);
    }
    Ok(over)
}

/// What a container runs.
fn script(kind: Kind, beats: u32) -> String {
    let ends = |code: i32| format!("say E {code}; exit {code}");
    let (success, mark) = (ends(0), "/world/$JOB-$JOB_COMPLETION_INDEX");
    let first = |how: String| format!("[ -e {mark} ] && {{ {success}; }}; : > {mark}; {how}");
    let end = match kind {
        Kind::FailsFirst | Kind::FailsFirstInPlace => first(ends(1)),
        Kind::OutOfMemoryFirst => first("say E 137; x=xxxxxxxx; while :; do x=$x$x; done".into()),
        Kind::Doomed => ends(3),
        _ => success.clone(),
    };
    let trap = match kind {
        Kind::Long | Kind::Obedient => format!("trap '{success}' TERM"),
        _ => String::new(),
    };
    format!(
        "{SAY}{trap}\nn=0\nwhile [ $n -lt {beats} ]; do usleep 100000; say B; n=$((n+1)); done\n{end}"
    )
}

fn completed(status: &Value) -> Result<BTreeSet<u32>> {
    let mut all = BTreeSet::new();
    for part in status["completedIndexes"].as_str().unwrap_or_default().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if !part.is_empty() {
            all.extend(first.parse::<u32>()?..=last.parse()?);
        }
    }
    Ok(all)
}

fn attempt(pod: &Value) -> Result<AttemptRecord> {
    let index = &pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"];
    let disruption = condition(&pod["status"], "DisruptionTarget");
    let reason = disruption.map_or(&pod["status"]["reason"], |condition| &condition["reason"]);
    Ok(AttemptRecord {
        pod: pod["metadata"]["name"].as_str().context("name")?.to_owned(),
        index: index.as_str().context("its index")?.parse()?,
        phase: match pod["status"]["phase"].as_str() {
            Some("Succeeded") => Phase::Succeeded,
            Some("Failed") => Phase::Failed,
            _ => Phase::Unfinished,
        },
        disrupted: disruption.is_some(),
        reason: reason.as_str().unwrap_or_default().to_owned(),
    })
}

fn count(value: &Value) -> u32 {
    value.as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
}
