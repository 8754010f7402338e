//! A container's output, from before its start to its end, and again after a break.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::{AttachContainerOptionsBuilder, LogsOptionsBuilder};
use futures::{Stream as AsyncStream, StreamExt, TryStreamExt};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use longshore_job::Millis;
use longshore_support::clock::log_stamp;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::engine::Engine;
use crate::output::{Stream, Writer};

/// How long the rest of the output may take once the container has ended: an attached stream has
/// been seen never to end.
const DRAIN: Duration = Duration::from_secs(2);

/// How much later than the worker Docker may note a line that both have from the container.
const LAG: SignedDuration = SignedDuration::from_millis(500);

/// A task that passes a container's output on. Dropping it ends it.
pub(super) struct Follow {
    task: JoinHandle<()>,
}

impl Follow {
    /// Attaches to a container that has not started yet, so that nothing is missed. `begun` is when its
    /// start is noted to have begun.
    pub(super) async fn attach(
        engine: &Engine,
        container: &str,
        writer: Writer,
        begun: Millis,
    ) -> Result<Self, Error> {
        let options =
            AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        let attached = engine.docker.attach_container(container, Some(options)).await?;
        let (engine, container) = (engine.clone(), container.to_owned());
        // The stream is decoded in a task of its own: the decoder panics on what it doesn't know.
        let reader = tokio::spawn(copy(attached.output, writer.clone()));
        Ok(Self::spawn(async move {
            if !matches!(Abort(reader).ended().await, Ok(Ok(()))) {
                debug!(container, "the attached output broke off; going on with Docker's log");
                catch_up(&engine, &container, &writer, begun).await;
            }
        }))
    }

    /// Goes on with a container that is there already, from the line after the last stored one.
    pub(super) fn resume(engine: &Engine, container: &str, writer: Writer, begun: Millis) -> Self {
        let (engine, container) = (engine.clone(), container.to_owned());
        Self::spawn(async move { catch_up(&engine, &container, &writer, begun).await })
    }

    /// Takes the rest of the output after the container's end.
    pub(super) async fn drain(mut self) {
        if timeout(DRAIN, &mut self.task).await.is_err() {
            debug!("the output did not end with the container");
        }
    }

    fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { task: tokio::spawn(work) }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Ends a task together with the one that waits for it.
struct Abort<T>(JoinHandle<T>);

impl<T> Abort<T> {
    async fn ended(&mut self) -> Result<T, tokio::task::JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for Abort<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn copy(
    mut output: impl AsyncStream<Item = Result<LogOutput, Error>> + Unpin,
    writer: Writer,
) -> Result<(), Error> {
    while let Some(part) = output.try_next().await? {
        if let Some((stream, data)) = stream_of(&part) {
            writer.write(stream, data);
        }
    }
    Ok(())
}

/// Reads Docker's log from where the stored output ends, then follows it.
async fn catch_up(engine: &Engine, container: &str, writer: &Writer, begun: Millis) {
    let Seen { since, after, mut last } = match backlog(engine, container, writer, begun).await {
        Ok(seen) => seen,
        Err(error) => return warn!(container, %error, "the output can't be read"),
    };
    let since = last.values().min().map_or(since, |stamp| seconds(stamp));
    let (engine, name, writer) = (engine.clone(), container.to_owned(), writer.clone());
    let follow = async move {
        let mut log = std::pin::pin!(log(&engine, &name, since, true));
        while let Some(part) = log.try_next().await? {
            let Some((stream, stamp, text)) = stamped(&part) else { continue };
            if last.get(&stream).or(after.as_ref()).is_none_or(|last| stamp > last.as_str()) {
                last.remove(&stream);
                writer.write_at(stream, stamp, text);
            }
        }
        Ok::<_, Error>(())
    };
    match Abort(tokio::spawn(follow)).ended().await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(container, %error, "the output broke off"),
        Err(error) => debug!(container, %error, "the output can't be decoded"),
    }
}

/// How much of Docker's log is stored or has been written.
struct Seen {
    /// From where on the log was read, in seconds since 1970.
    since: i64,
    /// All up to this moment, in RFC 3339.
    after: Option<String>,
    /// All up to these moments, by stream.
    last: HashMap<Stream, String>,
}

/// Writes what Docker's log has beyond the stored output.
async fn backlog(
    engine: &Engine,
    container: &str,
    writer: &Writer,
    begun: Millis,
) -> Result<Seen, Error> {
    // What was written before is of another run.
    let stored = writer.stored().await.from(&stamp(begun));
    // Of a container that has none among the last stored lines, those are wanted that came after them.
    let after = stored.after().filter(|_| stored.last().is_none());
    // Docker notes a line at about the time when the worker does, so those around the last stored one
    // come too.
    let since = stored.last().or(after).map_or(0, seconds).saturating_sub(1);
    let mut lines: HashMap<Stream, Vec<(String, Vec<u8>)>> = HashMap::new();
    let mut log = std::pin::pin!(log(engine, container, since, false));
    while let Some(part) = log.try_next().await? {
        if let Some((stream, stamp, text)) = stamped(&part)
            && after.is_none_or(|after| stamp > after)
        {
            lines.entry(stream).or_default().push((stamp.to_owned(), text.to_vec()));
        }
    }
    let mut last = HashMap::new();
    for (stream, lines) in lines {
        // Of lines that are all alike, the moment tells which are stored.
        let old = lines.iter().take_while(|(stamp, _)| {
            stored.last_of(stream).is_some_and(|last| is_about(stamp, last))
        });
        let texts: Vec<&[u8]> = old.map(|(_, text)| trimmed(text)).collect();
        let known: Vec<&[u8]> = stored.lines(stream).collect();
        let whole = stored.after().is_none();
        for (stamp, text) in &lines[known_of(&texts, &known, whole)..] {
            writer.write_at(stream, stamp, text);
        }
        if let Some((stamp, _)) = lines.last() {
            last.insert(stream, stamp.clone());
        }
    }
    Ok(Seen { since, after: after.map(str::to_owned), last })
}

fn log(
    engine: &Engine,
    container: &str,
    since: i64,
    follow: bool,
) -> impl AsyncStream<Item = Result<LogOutput, Error>> {
    let options = LogsOptionsBuilder::default()
        .follow(follow)
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .since(i32::try_from(since).unwrap_or(0))
        .build();
    engine.docker.logs(container, Some(options)).boxed()
}

/// How many of the first fetched lines are stored: they end with the last of those that are known to be.
/// `whole` says whether these are all.
fn known_of(fetched: &[&[u8]], known: &[&[u8]], whole: bool) -> usize {
    let most = if whole { known.len().min(fetched.len()) } else { fetched.len() };
    let ends_alike = |n: &usize| {
        let last = known.len().min(*n);
        last > 0 && known[known.len() - last..] == fetched[n - last..*n]
    };
    (1..=most).rev().find(ends_alike).unwrap_or(0)
}

fn stream_of(part: &LogOutput) -> Option<(Stream, &[u8])> {
    match part {
        LogOutput::StdOut { message } | LogOutput::Console { message } => {
            Some((Stream::Out, message))
        }
        LogOutput::StdErr { message } => Some((Stream::Err, message)),
        LogOutput::StdIn { .. } => None,
    }
}

/// A part of Docker's log: where it was written to, when, and what.
fn stamped(part: &LogOutput) -> Option<(Stream, &str, &[u8])> {
    let (stream, data) = stream_of(part)?;
    let space = data.iter().position(|byte| *byte == b' ')?;
    Some((stream, std::str::from_utf8(&data[..space]).ok()?, &data[space + 1..]))
}

fn trimmed(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\n").unwrap_or(text)
}

fn stamp(at: Millis) -> String {
    log_stamp(UNIX_EPOCH + Duration::from_millis(at))
}

/// Whether a line of this moment by Docker may be one that the worker had at the other moment, or before.
fn is_about(docker: &str, worker: &str) -> bool {
    match (docker.parse::<Timestamp>(), worker.parse::<Timestamp>()) {
        (Ok(docker), Ok(worker)) => docker.duration_since(worker) <= LAG,
        _ => true,
    }
}

/// Seconds since 1970 of an RFC 3339 moment in UTC, as Docker wants them; 0 if it is none.
fn seconds(stamp: &str) -> i64 {
    stamp.parse::<Timestamp>().map_or(0, |at| at.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_not_stored_again() {
        let lines = |text: &'static str| text.split(' ').map(str::as_bytes).collect::<Vec<_>>();
        for (stored, whole, fetched, known) in [
            ("a b c", true, "b c d", 2),
            ("a b c", true, "a b c", 3),
            ("a b c", true, "d e", 0),
            ("a a a", true, "a a", 2),
            ("x", true, "x x", 1),
            ("x", true, "y x", 0),
            ("x", false, "y x z", 2),
            ("x y", false, "z", 0),
        ] {
            let n = known_of(&lines(fetched), &lines(stored), whole);
            assert_eq!(n, known, "{stored} / {fetched}");
        }
        assert_eq!(known_of(&lines("a"), &[], false), 0);
    }

    #[test]
    fn a_line_much_later_is_another_one() {
        let stored = "2026-01-01T00:00:10.200000000Z";
        assert!(is_about("2026-01-01T00:00:10.199999999Z", stored));
        assert!(is_about("2026-01-01T00:00:10.300000000Z", stored));
        assert!(!is_about("2026-01-01T00:00:11.200000000Z", stored));
    }

    #[test]
    fn dockers_moments_are_read() {
        assert_eq!(seconds("1970-01-01T00:01:40.000000007Z"), 100);
        assert_eq!(seconds("never"), 0);
    }
}
