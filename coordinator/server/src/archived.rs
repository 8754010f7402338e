//! Pods and their output from the archive, once Redis has no more of them.

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use http::{HeaderValue, header};
use k8s_openapi::api::core::v1::Pod;
use longshore_api::ApiError;
use longshore_archive::{Archive, ArchiveError, PodName};
use longshore_store::OutputInfo;
use longshore_support::chain::Chain;

use crate::App;
use crate::errors::Failure;
use crate::negotiate::Params;
use crate::pod_log::lines::{Lines, Tail};
use crate::pod_log::{Wanted, container};
use crate::pods::{FoundPod, MAY_BE_CUT};

/// On Pods that are shown from the archive.
const ARCHIVED_ANNOTATION: &str = "longshore.dev/archived";

/// How the line begins that stands for output that was dropped. All others begin with a time.
const NOTICE: &[u8] = b"[longshore: ";

/// The longest name of any object.
const LONGEST_NAME: usize = 253;

/// The archived Pod of that name.
pub(crate) async fn pod(app: &App, namespace: &str, name: &str) -> Result<Option<Pod>, Failure> {
    let Some(archive) = &app.archive else { return Ok(None) };
    Ok(find(archive, namespace, name).await?.map(|(_, pod)| pod))
}

/// The archived output of the Pod of that name, where Redis has none: neither of a Pod that is no more,
/// nor of one that was `found`.
pub(crate) async fn log(
    app: &App,
    namespace: &str,
    name: &str,
    found: Option<&FoundPod>,
    params: &Params,
    wanted: &Wanted,
) -> Result<Option<Response>, Failure> {
    let Some(archive) = &app.archive else { return Ok(None) };
    if let Some(found) = found
        && (!found.record.is_finished()
            || app.store.output_info(&found.key).await? != OutputInfo::default())
    {
        return Ok(None);
    }
    let Some((place, pod)) = find(archive, namespace, name).await? else { return Ok(None) };
    let is_another = |found: &FoundPod| found.pod.metadata.uid != pod.metadata.uid;
    if found.is_some_and(is_another) {
        return Ok(None);
    }
    let container = container(&pod, name, params)?;
    // A Pod without any output has an empty one.
    let stored = archive.log(&place, &container).await?;
    let stored = stored.unwrap_or_else(|| futures::stream::empty().boxed());
    let shutdown = app.shutdown.clone();
    let body = output(stored, wanted)
        .take_until(async move { shutdown.cancelled().await })
        .map(|chunk| chunk.map_err(std::io::Error::other));
    let text = HeaderValue::from_static("text/plain");
    Ok(Some(([(header::CONTENT_TYPE, text)], Body::from_stream(body)).into_response()))
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        Self(ApiError::unavailable(Chain(&error).to_string()))
    }
}

/// Where the Pod of that name is, and the Pod. Its name tells its Job's, but for long ones.
async fn find(
    archive: &Archive,
    namespace: &str,
    name: &str,
) -> Result<Option<(PodName, Pod)>, Failure> {
    if name.len().max(namespace.len()) > LONGEST_NAME {
        return Ok(None);
    }
    let Some((head, _)) = name.rsplit_once('-') else { return Ok(None) };
    let indexed = head.rsplit_once('-').map(|(job, _)| job);
    for job in [Some(head), indexed].into_iter().flatten() {
        if let Some(found) = of_job(archive, namespace, job, name).await? {
            return Ok(Some(found));
        }
    }
    let start = indexed.unwrap_or(head);
    let start = start.get(..start.len().min(MAY_BE_CUT)).filter(|_| head.len() >= MAY_BE_CUT);
    let Some(start) = start else { return Ok(None) };
    for job in archive.jobs(namespace).await? {
        if job.len() >= MAY_BE_CUT
            && job.starts_with(start)
            && let Some(found) = of_job(archive, namespace, &job, name).await?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

async fn of_job(
    archive: &Archive,
    namespace: &str,
    job: &str,
    pod: &str,
) -> Result<Option<(PodName, Pod)>, Failure> {
    let (namespace, job, pod) = (namespace.to_owned(), job.to_owned(), pod.to_owned());
    let place = PodName { namespace, job, pod };
    let Some(json) = archive.pod(&place).await? else { return Ok(None) };
    let mut pod: Pod = serde_json::from_slice(&json)
        .map_err(|error| ApiError::internal(format!("an archived Pod can't be read: {error}")))?;
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(ARCHIVED_ANNOTATION.to_owned(), "true".to_owned());
    Ok(Some((place, pod)))
}

/// The output as it is to be sent.
fn output(
    mut stored: BoxStream<'static, Result<Bytes, ArchiveError>>,
    wanted: &Wanted,
) -> impl Stream<Item = Result<Bytes, ArchiveError>> + Send + 'static {
    let mut lines = Lines::new(wanted.since, wanted.timestamps);
    let mut tail = wanted.tail.map(Tail::new);
    let mut left = wanted.limit;
    let is_whole = wanted.since.is_none();
    async_stream::try_stream! {
        // The part of a line that has not come whole yet.
        let mut rest = Vec::new();
        let mut is_first = true;
        loop {
            let piece = stored.try_next().await?;
            let is_last = piece.is_none();
            rest.extend_from_slice(&piece.unwrap_or_default());
            let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let whole: Vec<u8> = rest.drain(..whole).collect();
            let mut text = Vec::new();
            for line in whole.split_inclusive(|byte| *byte == b'\n') {
                if std::mem::take(&mut is_first) && line.starts_with(NOTICE) {
                    text.extend_from_slice(if is_whole { line } else { &[] });
                } else {
                    lines.take(line, &mut text);
                }
            }
            if let Some(kept) = &mut tail {
                kept.take(&text);
                text = if is_last { kept.text() } else { Vec::new() };
            }
            if let Some(left) = &mut left {
                text.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= text.len() as u64;
            }
            if !text.is_empty() {
                yield Bytes::from(text);
            }
            if is_last || left == Some(0) {
                return;
            }
        }
    }
}
