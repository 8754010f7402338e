//! Pods: `/api/v1/…/pods`, the attempts.

mod delete;
mod list;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use longshore_api::Resource;
use longshore_job::parse_pod_name;
use longshore_store::{AttemptKey, JobRef};

use crate::App;
use crate::archived;
use crate::errors::Failure;
use crate::negotiate::Params;
use crate::objects::{self, Found};
use crate::respond::{Writer, answer};

pub(crate) use delete::{delete, evict};

/// Jobs with names of this length or more have them cut in their Pods' names.
pub(crate) const MAY_BE_CUT: usize = 40;

pub(crate) async fn get(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let params = Params::of(request.uri())?;
    let writer = Writer::of(request.headers(), &params, app.store.now().await?)?;
    let tail = app.store.log_tail().await?;
    let found = match find(&app, &namespace, &name).await? {
        Some(found) => Some(found.pod),
        None => archived::pod(&app, &namespace, &name).await?,
    };
    let mut pod = found.ok_or_else(|| Failure::not_found(Resource::Pods, &name))?;
    pod.metadata.resource_version = Some(tail.to_string());
    Ok(answer(StatusCode::OK, &writer.object(&pod, true), &[]))
}

/// PUT and PATCH on a Pod.
pub(crate) async fn change() -> Failure {
    Failure::not_served("a Pod is an attempt of its Job and can't be changed: change the Job")
}

/// A subresource of a Pod other than its log.
pub(crate) async fn other(Path((_, _, subresource)): Path<(String, String, String)>) -> Failure {
    let instead = match subresource.as_str() {
        "exec" | "attach" | "portforward" | "proxy" => {
            ": containers can't be reached while they run; `logs` shows what they print"
        }
        _ => "",
    };
    Failure::not_served(format!("pods/{subresource} is not served{instead}"))
}

/// A Pod, and the attempt that it shows.
pub(crate) struct FoundPod {
    pub(crate) key: AttemptKey,
    pub(crate) record: Found,
    /// Without a resourceVersion.
    pub(crate) pod: Pod,
}

/// The Pod of that name. Its name tells its Job, index and attempt, so that nothing is searched but
/// where a long name was cut.
pub(crate) async fn find(
    app: &App,
    namespace: &str,
    name: &str,
) -> Result<Option<FoundPod>, Failure> {
    let Some((head, _)) = name.rsplit_once('-') else { return Ok(None) };
    let indexed = head.rsplit_once('-').map(|(job, _)| job);
    for job_name in [Some(head), indexed].into_iter().flatten() {
        if let Some(job) = app.store.find_job(namespace, job_name).await?
            && let Some(found) = of_job(app, &job, name).await?
        {
            return Ok(Some(found));
        }
    }
    if head.len() < MAY_BE_CUT {
        return Ok(None);
    }
    let start = indexed.unwrap_or(head);
    let start = start.get(..MAY_BE_CUT).unwrap_or(start);
    for (_, job_name, job) in app.store.list_names(Some(namespace)).await? {
        if job_name.len() >= MAY_BE_CUT
            && job_name.starts_with(start)
            && let Some(found) = of_job(app, &job, name).await?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The Pod of that name, if it is one of the Job.
async fn of_job(app: &App, job: &JobRef, pod: &str) -> Result<Option<FoundPod>, Failure> {
    let Some(stored) = app.store.get_job_by_uid(job).await? else { return Ok(None) };
    let manifest = objects::manifest(&stored)?;
    let mode = objects::mode(&manifest);
    let runtimes = app.objects.runtimes().await?;
    for (index, attempt) in parse_pod_name(&stored.name, &job.uid, mode, pod) {
        let key = job.attempt(index, attempt);
        let Some(record) = app.objects.attempt(&key).await? else { continue };
        if record.is_gone() {
            continue;
        }
        if let Some(pod) = record.pod(&manifest, index, &runtimes) {
            return Ok(Some(FoundPod { key, record, pod }));
        }
    }
    Ok(None)
}
