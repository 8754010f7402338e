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
    if !has_begun(&app, &found).await? {
        return Err(Failure::bad_request(format!(
            "container {container:?} in pod {name:?} is waiting to start: {}",
            waiting(&found)
        )));
    }
    let shutdown = app.shutdown.clone();
    let body = output(app, found.key, wanted)
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
    let names: Vec<&str> =
        spec.iter().flat_map(|spec| &spec.containers).map(|one| one.name.as_str()).collect();
    let container = match (params.text("container"), names.as_slice()) {
        (Some(wanted), names) if names.contains(&wanted) => Ok(wanted.to_owned()),
        (Some(wanted), _) => {
            Err(Failure::bad_request(format!("container {wanted} is not valid for pod {pod}")))
        }
        (None, [only]) => Ok((*only).to_owned()),
        (None, names) => Err(Failure::bad_request(format!(
            "a container name must be specified for pod {pod}, choose one of: [{}]",
            names.join(" ")
        ))),
    }?;
    if params.flag("previous")? {
        return Err(Failure::bad_request(format!(
            "previous terminated container {container:?} in pod {pod:?} not found: the output of all \
             its restarts is in one log"
        )));
    }
    Ok(container)
}

/// Whether there can be output: the container was started, or has ended, or something is stored.
async fn has_begun(app: &App, found: &FoundPod) -> Result<bool, Failure> {
    if found.record.is_finished() || found.record.attempt().started.is_some() {
        return Ok(true);
    }
    let info = app.store.output_info(&found.key).await?;
    Ok(info.bytes > 0 || info.dropped > 0 || info.ended)
}

/// Why the container has not started.
fn waiting(found: &FoundPod) -> String {
    let waiting = found.record.attempt().waiting.as_ref().map(|waiting| waiting.reason.clone());
    waiting.unwrap_or_else(|| "ContainerCreating".to_owned())
}

/// The output as it is to be sent, chunk by chunk.
fn output(
    app: App,
    key: AttemptKey,
    wanted: Wanted,
) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static {
    async_stream::try_stream! {
        let mut lines = Lines::new(wanted.since, wanted.timestamps);
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
                let over = match app.objects.attempt(&key).await? {
                    Some(found) => found.is_finished(),
                    None => true,
                };
                match ends {
                    _ if !over => ends = None,
                    None => ends = Some(Instant::now() + LINGER),
                    Some(ends) if Instant::now() >= ends => return,
                    Some(_) => {}
                }
                if at == StreamId::START {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}
