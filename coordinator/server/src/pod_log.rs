//! The output of an attempt: `…/pods/NAME/log`.

pub(crate) mod lines;

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use http::{HeaderValue, header};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use longshore_api::Resource;
use longshore_job::{Attempt, Container};
use longshore_store::{AttemptKey, StoreError, StreamId};
use tokio::time::Instant;

use self::lines::{Lines, Tail};
use crate::App;
use crate::archived;
use crate::errors::Failure;
use crate::negotiate::Params;
use crate::pods::{self, FoundPod};

/// How long one read of a followed log waits for more.
const BLOCK: Duration = Duration::from_secs(2);

/// How long a followed log waits for the end of the output of an attempt that has ended: its worker
/// may still be writing the last of it.
const LINGER: Duration = Duration::from_secs(10);

/// The same for one container while others of its Pod run: their worker is there, and writes.
const LINGER_OF_ONE: Duration = Duration::from_secs(1);

/// What of the output is wanted.
pub(crate) struct Wanted {
    follow: bool,
    /// The last lines only.
    pub(crate) tail: Option<u64>,
    /// At most so many bytes.
    pub(crate) limit: Option<u64>,
    /// Lines written from then on.
    pub(crate) since: Option<Timestamp>,
    /// Each line behind the time of its writing.
    pub(crate) timestamps: bool,
}

pub(crate) async fn get(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let params = Params::of(request.uri())?;
    let wanted = Wanted::of(&app, &params).await?;
    let found = pods::find(&app, &namespace, &name).await?;
    if let Some(log) =
        archived::log(&app, &namespace, &name, found.as_ref(), &params, &wanted).await?
    {
        return Ok(log);
    }
    let found = found.ok_or_else(|| Failure::not_found(Resource::Pods, &name))?;
    let container = container(&found.pod, &name, &params)?;
    let number = number(&found.pod, &container);
    if !has_begun(&app, &found, number).await? {
        return Err(Failure::bad_request(format!(
            "container {container:?} in pod {name:?} is waiting to start: {}",
            waiting(&found, number)
        )));
    }
    let shutdown = app.shutdown.clone();
    let body = output(app, found.key, number, wanted)
        .take_until(async move { shutdown.cancelled().await })
        .map(|chunk| chunk.map_err(std::io::Error::other));
    let text = HeaderValue::from_static("text/plain");
    Ok(([(header::CONTENT_TYPE, text)], Body::from_stream(body)).into_response())
}

impl Wanted {
    async fn of(app: &App, params: &Params) -> Result<Self, Failure> {
        let since = match (params.number("sinceSeconds")?, params.time("sinceTime")?) {
            (Some(_), Some(_)) => {
                return Err(Failure::bad_request(
                    "at most one of `sinceTime` or `sinceSeconds` may be specified",
                ));
            }
            (None, time) => time,
            (Some(seconds), None) => {
                let now = i64::try_from(app.store.now().await?).unwrap_or(i64::MAX);
                let now = Timestamp::from_millisecond(now).unwrap_or(Timestamp::MAX);
                let back = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
                Some(now.checked_sub(back).unwrap_or(Timestamp::MIN))
            }
        };
        let limit = params.number("limitBytes")?;
        if limit == Some(0) {
            return Err(Failure::bad_request("limitBytes: must be greater than 0"));
        }
        Ok(Self {
            follow: params.flag("follow")?,
            tail: params.number("tailLines")?,
            limit,
            since,
            timestamps: params.flag("timestamps")?,
        })
    }
}

/// The container that is meant.
///
/// # Errors
/// 400 for one that the Pod does not have, and where an earlier run of it is asked for.
pub(crate) fn container(found: &Pod, pod: &str, params: &Params) -> Result<String, Failure> {
    let spec = found.spec.as_ref();
    let init = spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let init: Vec<&str> = init.map(|one| one.name.as_str()).collect();
    let names: Vec<&str> =
        spec.iter().flat_map(|spec| &spec.containers).map(|one| one.name.as_str()).collect();
    let container = match (params.text("container"), names.as_slice()) {
        (Some(wanted), names) if names.contains(&wanted) || init.contains(&wanted) => {
            Ok(wanted.to_owned())
        }
        (Some(wanted), _) => {
            Err(Failure::bad_request(format!("container {wanted} is not valid for pod {pod}")))
        }
        (None, [only]) if init.is_empty() => Ok((*only).to_owned()),
        (None, names) => {
            let mut text = format!(
                "a container name must be specified for pod {pod}, choose one of: [{}]",
                names.join(" ")
            );
            if !init.is_empty() {
                let init = init.join(" ");
                text.push_str(&format!(" or one of the init containers: [{init}]"));
            }
            Err(Failure::bad_request(text))
        }
    }?;
    if params.flag("previous")? {
        return Err(Failure::bad_request(format!(
            "previous terminated container {container:?} in pod {pod:?} not found: the output of all \
             its restarts is in one log"
        )));
    }
    Ok(container)
}

/// The number of a container among its Pod's, init containers first.
fn number(pod: &Pod, container: &str) -> u32 {
    let all = pod.spec.iter().flat_map(|spec| {
        spec.init_containers.iter().flatten().chain(&spec.containers).map(|one| &one.name)
    });
    all.zip(0..).find(|(name, _)| *name == container).map_or(0, |(_, number)| number)
}

/// The record of a container, in a Pod with several.
fn record(attempt: &Attempt, number: u32) -> Option<&Container> {
    attempt.containers.get(usize::try_from(number).ok()?)
}

/// Whether there can be output: the container was started, or has ended, or something is stored.
async fn has_begun(app: &App, found: &FoundPod, number: u32) -> Result<bool, Failure> {
    if !found.record.is_finished()
        && let Some(record) = record(found.record.attempt(), number)
    {
        return Ok(record.started.is_some() || record.outcome.is_some());
    }
    if found.record.is_finished() || found.record.attempt().started.is_some() {
        return Ok(true);
    }
    let info = app.store.output_info(&found.key).await?;
    Ok(info.bytes > 0 || info.dropped > 0 || info.ended)
}

/// Whether the container of a Pod with several has ended for good.
fn is_over(attempt: &Attempt, number: u32) -> bool {
    record(attempt, number).is_some_and(|record| {
        !record.running && record.waiting.is_none() && record.outcome.is_some()
    })
}

/// Why the container has not started.
fn waiting(found: &FoundPod, number: u32) -> String {
    let attempt = found.record.attempt();
    let waiting = match record(attempt, number) {
        Some(record) => record.waiting.as_ref(),
        None => attempt.waiting.as_ref(),
    };
    let waiting = waiting.map(|waiting| waiting.reason.clone());
    waiting.unwrap_or_else(|| "ContainerCreating".to_owned())
}

/// The output as it is to be sent, chunk by chunk.
fn output(
    app: App,
    key: AttemptKey,
    container: u32,
    wanted: Wanted,
) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static {
    async_stream::try_stream! {
        let mut lines = Lines::new(wanted.since, wanted.timestamps).of(container);
        let mut tail = wanted.tail.map(Tail::new);
        let mut left = wanted.limit;
        let mut at = StreamId::START;
        let mut ends: Option<Instant> = None;
        loop {
            // What is stored already is read without waiting; only then is it followed.
            let block = if tail.is_none() && wanted.follow && at != StreamId::START {
                BLOCK
            } else {
                Duration::ZERO
            };
            let batch = app.store.read_output(&key, at, block).await?;
            let is_empty = batch.chunks.is_empty() && !batch.ended;
            at = batch.next;
            let mut text = Vec::new();
            if let Some(notice) = batch.notice.filter(|_| wanted.since.is_none()) {
                lines.notice(&notice, &mut text);
            }
            for chunk in &batch.chunks {
                lines.take(chunk, &mut text);
            }
            if let Some(kept) = &mut tail {
                kept.take(&text);
                text.clear();
                if is_empty || batch.ended {
                    text = kept.text();
                    tail = None;
                }
            }
            if let Some(left) = &mut left {
                text.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= text.len() as u64;
            }
            if !text.is_empty() {
                yield Bytes::from(text);
            }
            if batch.ended || left == Some(0) || (is_empty && !wanted.follow) {
                return;
            }
            if is_empty {
                // Nothing came for a while: is there still somebody to write it?
                let linger = match app.objects.attempt(&key).await? {
                    Some(found) if !found.is_finished() => {
                        is_over(found.attempt(), container).then_some(LINGER_OF_ONE)
                    }
                    _ => Some(LINGER),
                };
                match (ends, linger) {
                    (_, None) => ends = None,
                    (None, Some(linger)) => ends = Some(Instant::now() + linger),
                    (Some(ends), _) if Instant::now() >= ends => return,
                    (Some(_), _) => {}
                }
                if at == StreamId::START {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}
