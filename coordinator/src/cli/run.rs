//! `run`: creates a Job, shows its progress, and ends as it ends.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use longshore_api::{Resource, human};
use longshore_support::exit;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::changes::{Change, Selection, follow, list};
use super::error::CliError;
use super::logs::{JOB_NAME, index_of, pod_name, print_tail};
use super::names::shown;
use super::progress::{Counts, Progress};
use super::session::Session;
use super::wait::{has_condition, parse_limit};
use super::{apply, manifest};

/// Failed attempts whose logs are printed, and lines of each.
const FAILURES: usize = 20;
const TAIL: i64 = 50;
const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The Job's file, or - for standard input
    #[arg(short, long = "filename", value_name = "FILE")]
    file: PathBuf,
    /// Give up after this time, such as 10m, and leave the Job running
    #[arg(long, value_name = "TIME", value_parser = parse_limit)]
    timeout: Option<Duration>,
}

pub(super) async fn run(session: &Session, args: &RunArgs) -> Result<u8, CliError> {
    let begin = Instant::now();
    let deadline = begin + args.timeout.unwrap_or(YEAR);
    let files = std::slice::from_ref(&args.file);
    let manifests = manifest::read(files, &session.namespace, session.asked_namespace.as_deref())?;
    let [manifest] = manifests.as_slice() else {
        return Err(CliError::Failed(format!(
            "{}: run takes one Job, there are {}",
            args.file.display(),
            manifests.len()
        )));
    };
    let job = apply::send(session, manifest).await?;
    let session = session.in_namespace(&manifest.namespace);
    let mut running = Running {
        name: job["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        uid: job["metadata"]["uid"].clone(),
        session,
        progress: Progress::start(),
        failed: 0,
        told: HashSet::new(),
    };
    running.progress.say(&format!("{} created", running.shown()))?;
    let result = tokio::select! {
        result = running.watch() => result,
        () = sleep_until(deadline) => Ok(End::TimedOut),
    };
    running.progress.finish()?;
    running.end(result?, begin.elapsed())
}

struct Running {
    session: Session,
    name: String,
    uid: Value,
    progress: Progress,
    /// Failures when their logs were looked for last.
    failed: u64,
    /// Pods whose logs have been printed.
    told: HashSet<String>,
}

enum End {
    Complete,
    Failed(Value),
    TimedOut,
}

impl Running {
    fn shown(&self) -> String {
        shown(Resource::Jobs, &self.name)
    }

    async fn watch(&mut self) -> Result<End, CliError> {
        let selection = Selection::one(Resource::Jobs, &self.session.namespace, &self.name);
        let mut changes = follow(&self.session, selection);
        let mut ticks = interval(SECOND);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                _ = ticks.tick() => {
                    self.progress.tick()?;
                    continue;
                }
            };
            match change {
                Some(Change::Is(job)) if job["metadata"]["uid"] == self.uid => {
                    if let Some(end) = self.take(job).await? {
                        return Ok(end);
                    }
                }
                Some(Change::Known) => {}
                Some(Change::Failed(error)) => return Err(error),
                Some(Change::Is(_) | Change::Gone) | None => {
                    return Err(CliError::Failed(format!("{} was deleted", self.shown())));
                }
            }
        }
    }

    async fn take(&mut self, job: Value) -> Result<Option<End>, CliError> {
        let counts = Counts::of(&job);
        let failed = counts.failed;
        self.progress.update(counts)?;
        if failed > self.failed {
            self.failed = failed;
            self.tell_failures().await?;
        }
        if has_condition(&job, "Complete", "True") {
            return Ok(Some(End::Complete));
        }
        Ok(has_condition(&job, "Failed", "True").then_some(End::Failed(job)))
    }

    /// Prints the logs of attempts that failed since the last time. What was
    /// lost with its worker is no failure of the Job's.
    async fn tell_failures(&mut self) -> Result<(), CliError> {
        if self.told.len() >= FAILURES {
            return Ok(());
        }
        let labels = format!("{JOB_NAME}={}", self.name);
        let selection = Selection::labelled(Resource::Pods, &self.session.namespace, labels)
            .with_fields("status.phase=Failed".to_owned());
        let pods = match list(&self.session, &selection).await {
            Ok((pods, _)) => pods,
            // The progress matters more; the logs can be read later.
            Err(error) => return self.note(&error),
        };
        for pod in pods {
            let name = pod_name(&pod).to_owned();
            if has_condition(&pod, "DisruptionTarget", "True") || self.told.contains(&name) {
                continue;
            }
            if self.told.len() >= FAILURES {
                let text = format!("more have failed: longshore logs job/{}", self.name);
                return Ok(self.progress.say(&text)?);
            }
            self.tell_failure(&pod, &name).await?;
            self.told.insert(name);
        }
        Ok(())
    }

    async fn tell_failure(&self, pod: &Value, name: &str) -> Result<(), CliError> {
        let index = index_of(pod);
        let of = if index == name { String::new() } else { format!(" (index {index})") };
        self.progress.say(&format!("pod/{name}{of} failed: {}", reason_of(pod)))?;
        let mut lines = Vec::new();
        let printed =
            print_tail(&self.session, pod, TAIL, |line| lines.push(line.to_owned())).await;
        for line in lines {
            self.progress.say(&format!("{index} | {line}"))?;
        }
        printed.or_else(|error| self.note(&error))
    }

    fn note(&self, error: &CliError) -> Result<(), CliError> {
        Ok(self.progress.say(&format!("its log can't be read: {error}"))?)
    }

    fn end(&self, end: End, elapsed: Duration) -> Result<u8, CliError> {
        let took = human::duration(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        match end {
            End::Complete => {
                println!("{} complete after {took}", self.shown());
                Ok(exit::DONE)
            }
            End::Failed(job) => {
                let conditions = job["status"]["conditions"].as_array();
                let failed = conditions.and_then(|all| all.iter().find(|c| c["type"] == "Failed"));
                let text = |field: &str| {
                    failed.and_then(|c| c[field].as_str()).unwrap_or_default().to_owned()
                };
                Err(CliError::Failed(format!(
                    "{} failed after {took}: {}: {}",
                    self.shown(),
                    text("reason"),
                    text("message")
                )))
            }
            End::TimedOut => Err(CliError::TimedOut(format!(
                "{} was not finished after {took}; it goes on running",
                self.shown()
            ))),
        }
    }
}

/// Why a Pod failed: its own reason, or its container's.
fn reason_of(pod: &Value) -> String {
    if let Some(reason) = pod["status"]["reason"].as_str() {
        return reason.to_owned();
    }
    let state = &pod["status"]["containerStatuses"][0]["state"];
    let ended = &state["terminated"];
    match (ended["reason"].as_str(), ended["exitCode"].as_i64()) {
        (Some(reason), Some(code)) => format!("{reason} (exit code {code})"),
        (None, Some(code)) => format!("exit code {code}"),
        _ => state["waiting"]["reason"].as_str().unwrap_or("unknown").to_owned(),
    }
}
