//! `logs`: the output of a Pod, or of all of a Job's, each line behind its index.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{AsyncBufRead, AsyncBufReadExt, FutureExt};
use longshore_api::Resource;
use longshore_support::exit;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::changes::{Change, Selection, follow, list};
use super::error::CliError;
use super::names;
use super::session::{Session, object};

pub(super) const JOB_NAME: &str = "batch.kubernetes.io/job-name";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Logs read ahead while another one is printed.
const AHEAD: usize = 8;
/// Logs followed at once.
const FOLLOWED: usize = 500;
/// Between two looks for a container that has not started yet.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LogsArgs {
    /// POD or job/NAME
    #[arg(required = true, value_name = "POD | job/NAME")]
    what: Vec<String>,
    /// Go on as output comes, to the end
    #[arg(short, long)]
    follow: bool,
    /// Of a Job, only this index, its lines as they are
    #[arg(long, value_name = "INDEX")]
    index: Option<u32>,
    /// Only this container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Only the last lines of each log
    #[arg(long, value_name = "LINES", default_value_t = -1, allow_negative_numbers = true)]
    tail: i64,
    /// Each line behind the time at which it came
    #[arg(long)]
    timestamps: bool,
}

pub(super) async fn logs(session: &Session, args: &LogsArgs) -> Result<u8, CliError> {
    let (resource, name) = names::parse_one(&args.what, Resource::Pods)?;
    match resource {
        Resource::Pods if args.index.is_some() => {
            return Err(CliError::Usage("--index is for a Job: logs job/NAME".to_owned()));
        }
        Resource::Pods => pod(session, args, &name).await?,
        Resource::Jobs => {
            // A Job that isn't there is an error, not an empty log.
            session.get(&object(Resource::Jobs, &session.namespace, &name), &[]).await?;
            if args.follow {
                follow_job(session, args, &name).await?
            } else {
                job(session, args, &name).await?
            }
        }
        other => {
            return Err(CliError::Failed(format!("{} have no logs", other.plural())));
        }
    }
    Ok(exit::DONE)
}

/// Prints the last lines of each of a Pod's logs; where there are several, each line behind its
/// container's name.
pub(super) async fn print_tail(
    session: &Session,
    pod: &Value,
    lines: i64,
    mut print: impl FnMut(&str),
) -> Result<(), CliError> {
    let args = LogsArgs { tail: lines, ..LogsArgs::default() };
    for container in containers(&args, pod) {
        let mut reader = match open(session, &args, pod_name(pod), container.as_deref()).await {
            Ok(reader) => reader.lines(),
            // One that was not reached has no log.
            Err(CliError::Refused(status)) if container.is_some() && status.code == 400 => continue,
            Err(error) => return Err(error),
        };
        let prefix = container.map_or_else(String::new, |name| format!("{name} | "));
        while let Some(line) = reader.next().await {
            print(&format!("{prefix}{}", line?));
        }
    }
    Ok(())
}

/// The containers of which the logs are wanted; `None` stands for a Pod's only one.
fn containers(args: &LogsArgs, pod: &Value) -> Vec<Option<String>> {
    if let Some(container) = &args.container {
        return vec![Some(container.clone())];
    }
    let names = |list: &str| -> Vec<Option<String>> {
        let list = pod["spec"][list].as_array();
        let names = list.into_iter().flatten().map(|one| one["name"].as_str().map(str::to_owned));
        names.collect()
    };
    let all = [names("initContainers"), names("containers")].concat();
    if all.len() > 1 { all } else { vec![None] }
}

/// The index of a Pod; its name where it has none.
pub(super) fn index_of(pod: &Value) -> String {
    let annotation = pod["metadata"]["annotations"][INDEX].as_str();
    annotation.unwrap_or_else(|| pod_name(pod)).to_owned()
}

pub(super) fn pod_name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or_default()
}

async fn pod(session: &Session, args: &LogsArgs, name: &str) -> Result<(), CliError> {
    let pod = session.get(&object(Resource::Pods, &session.namespace, name), &[]).await?;
    let container = match containers(args, &pod).as_slice() {
        [only] => only.clone(),
        several => {
            // As kubectl does it: the first that is no init container.
            let first = pod["spec"]["containers"][0]["name"].as_str().map(str::to_owned);
            let names: Vec<&str> = several.iter().flatten().map(String::as_str).collect();
            let name = first.as_deref().unwrap_or_default();
            eprintln!("Defaulted container {name:?} out of: {}", names.join(", "));
            first
        }
    };
    let mut reader = open(session, args, name, container.as_deref()).await?;
    let mut out = io::stdout();
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(());
        }
        let length = chunk.len();
        out.write_all(chunk)?;
        out.flush()?;
        reader.consume_unpin(length);
    }
}

async fn open(
    session: &Session,
    args: &LogsArgs,
    pod: &str,
    container: Option<&str>,
) -> Result<impl AsyncBufRead + Send + Unpin + use<>, CliError> {
    let path = format!("{}/log", object(Resource::Pods, &session.namespace, pod));
    let tail = args.tail.to_string();
    let mut query = Vec::new();
    if args.follow {
        query.push(("follow", "true"));
    }
    if args.tail >= 0 {
        query.push(("tailLines", tail.as_str()));
    }
    if let Some(container) = container {
        query.push(("container", container));
    }
    if args.timestamps {
        query.push(("timestamps", "true"));
    }
    session.stream(&path, &query, "*/*").await
}

fn selection(session: &Session, args: &LogsArgs, job: &str) -> Selection {
    let mut labels = format!("{JOB_NAME}={job}");
    if let Some(index) = args.index {
        labels = format!("{labels},{INDEX}={index}");
    }
    Selection::labelled(Resource::Pods, &session.namespace, labels)
}

/// What stands before each line of a log: the Pod's index, and the container if there are several.
fn prefix(args: &LogsArgs, pod: &Value, container: Option<&str>) -> String {
    let index = if args.index.is_some() { None } else { Some(index_of(pod)) };
    let container = container.filter(|_| args.container.is_none()).map(str::to_owned);
    let words: Vec<String> = index.into_iter().chain(container).collect();
    if words.is_empty() { String::new() } else { format!("{} | ", words.join(" ")) }
}

/// All logs that there are, by index and, within one, in the order of the
/// attempts.
async fn job(session: &Session, args: &LogsArgs, job: &str) -> Result<(), CliError> {
    let (mut pods, _) = list(session, &selection(session, args, job)).await?;
    if pods.is_empty() {
        eprintln!("{}", none(args, job));
        return Ok(());
    }
    pods.sort_by_cached_key(|pod| {
        let index = index_of(pod);
        let created = pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned();
        (index.parse::<u64>().unwrap_or(u64::MAX), index, created)
    });
    let mut out = io::BufWriter::new(io::stdout());
    let logs = pods.iter().flat_map(|pod| {
        containers(args, pod).into_iter().map(move |container| (pod.clone(), container))
    });
    let logs: Vec<(Value, Option<String>)> = logs.collect();
    let opened = futures::stream::iter(logs)
        .map(|(pod, container)| async move {
            let container = container.as_deref();
            let reader = open(session, args, pod_name(&pod), container).await;
            (prefix(args, &pod, container), reader)
        })
        .buffered(AHEAD);
    let mut opened = std::pin::pin!(opened);
    while let Some((prefix, reader)) = opened.next().await {
        let mut reader = match reader {
            Ok(reader) => reader.lines(),
            // An attempt that has not started yet has no log.
            Err(CliError::Refused(status)) if matches!(status.code, 400 | 404) => continue,
            Err(error) => return Err(error),
        };
        while let Some(line) = reader.next().await {
            writeln!(out, "{prefix}{}", line?)?;
        }
    }
    Ok(out.flush()?)
}

fn none(args: &LogsArgs, job: &str) -> String {
    match args.index {
        Some(index) => format!("no attempts of index {index} of {job} yet"),
        None => format!("no attempts of {job} yet"),
    }
}

/// Follows all of a Job's logs, as their attempts start, until the Job is
/// finished and every log has been read to its end.
async fn follow_job(session: &Session, args: &LogsArgs, job: &str) -> Result<(), CliError> {
    let mut jobs = follow(session, Selection::one(Resource::Jobs, &session.namespace, job));
    let mut pods = follow(session, selection(session, args, job));
    let (lines, mut printed) = mpsc::channel::<String>(1024);
    let mut readers = FuturesUnordered::new();
    let mut begun: Vec<String> = Vec::new();
    let mut waiting: Vec<Value> = Vec::new();
    let mut finished = false;
    let mut out = io::stdout();
    loop {
        while readers.len() < FOLLOWED
            && let Some(pod) = waiting.pop()
        {
            for container in containers(args, &pod) {
                let (session, args, pod) = (session.clone(), args.clone(), pod.clone());
                readers.push(follow_log(session, args, pod, container, lines.clone()).boxed());
            }
        }
        if finished && readers.is_empty() {
            // What the readers sent last is still in the channel.
            while let Ok(line) = printed.try_recv() {
                writeln!(out, "{line}")?;
            }
            return Ok(out.flush()?);
        }
        tokio::select! {
            Some(line) = printed.recv() => {
                writeln!(out, "{line}")?;
                out.flush()?;
            }
            Some(ended) = readers.next() => ended?,
            change = jobs.recv(), if !finished => match change {
                Some(Change::Is(job)) => finished = is_finished(&job),
                Some(Change::Known) => {}
                Some(Change::Failed(error)) => return Err(error),
                Some(Change::Gone) | None => finished = true,
            },
            Some(change) = pods.recv() => match change {
                Change::Is(pod) => {
                    let name = pod_name(&pod).to_owned();
                    if has_log(&pod) && !begun.contains(&name) {
                        begun.push(name);
                        waiting.insert(0, pod);
                    }
                }
                Change::Failed(error) => return Err(error),
                Change::Gone | Change::Known => {}
            },
        }
    }
}

async fn follow_log(
    session: Session,
    args: LogsArgs,
    pod: Value,
    container: Option<String>,
    lines: mpsc::Sender<String>,
) -> Result<(), CliError> {
    let container = container.as_deref();
    let prefix = prefix(&args, &pod, container);
    let mut reader = loop {
        match open(&session, &args, pod_name(&pod), container).await {
            Ok(reader) => break reader.lines(),
            // Others of its Pod run before it.
            Err(CliError::Refused(status)) if container.is_some() && status.code == 400 => {
                sleep(LOOK_AGAIN).await;
            }
            Err(CliError::Refused(status)) if matches!(status.code, 400 | 404) => return Ok(()),
            Err(error) => return Err(error),
        }
    };
    while let Some(line) = reader.next().await {
        if lines.send(format!("{prefix}{}", line?)).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn has_log(pod: &Value) -> bool {
    let several = pod["spec"]["initContainers"].is_array();
    let phase = pod["status"]["phase"].as_str();
    // Init containers run before the Pod does.
    matches!(phase, Some("Running" | "Succeeded" | "Failed"))
        || (several && pod["spec"]["nodeName"].is_string())
}

fn is_finished(job: &Value) -> bool {
    ["Complete", "Failed"].iter().any(|kind| super::wait::has_condition(job, kind, "True"))
}
