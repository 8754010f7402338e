//! Events: `/api/v1/…/events`. They belong to a Job or to one of its Pods, and go with the Job.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use futures::StreamExt;
use http::StatusCode;
use k8s_openapi::api::core::v1::Event;
use longshore_api::Resource;
use longshore_store::JobRef;

use crate::App;
use crate::errors::Failure;
use crate::listing::{Listed, Source};
use crate::negotiate::Params;
use crate::respond::{Writer, answer};
use crate::served::Selection;
use crate::{objects, pods};

pub(crate) async fn get(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let params = Params::of(request.uri())?;
    let writer = Writer::of(request.headers(), &params, app.store.now().await?)?;
    let tail = app.store.log_tail().await?;
    let not_found = || Failure::not_found(Resource::Events, &name);
    // The name of what it is about, a dot, and the id within the Job.
    let (about, id) = name.rsplit_once('.').ok_or_else(not_found)?;
    let job = involved_job(&app, &namespace, about).await?.ok_or_else(not_found)?;
    let stored = app.store.get_job_by_uid(&job).await?.ok_or_else(not_found)?;
    let event = app.store.event(&job, id).await?.ok_or_else(not_found)?;
    let mut event = objects::event(&objects::manifest(&stored)?, &event);
    if event.metadata.name.as_ref() != Some(&name) {
        return Err(not_found());
    }
    event.metadata.resource_version = Some(tail.to_string());
    Ok(answer(StatusCode::OK, &writer.object(&event, true), &[]))
}

/// Events by Job, in the order of the Jobs' names, and for each in the order of their ids.
impl Listed for Event {
    fn source(app: &App, selection: &Selection, after: Option<String>) -> Source<Self> {
        let app = app.clone();
        let selection = selection.clone();
        async_stream::try_stream! {
            let tail = app.store.log_tail().await?.to_string();
            for (namespace, name, job) in jobs(&app, &selection).await? {
                let place = format!("{namespace}/{name}");
                let behind = after.as_ref().and_then(|after| after.rsplit_once('/'));
                let passed = behind.filter(|(job, _)| *job == place).map(|(_, id)| id.to_owned());
                if behind.is_some_and(|(job, _)| !is_from(&namespace, &name, job)) {
                    continue;
                }
                let Some(stored) = app.store.get_job_by_uid(&job).await? else { continue };
                let manifest = objects::manifest(&stored)?;
                let mut events = app.store.events(&job).await?;
                events.sort_by(|a, b| a.id.cmp(&b.id));
                for stored in events {
                    if passed.as_ref().is_some_and(|passed| stored.id <= *passed) {
                        continue;
                    }
                    let mut event = objects::event(&manifest, &stored);
                    event.metadata.resource_version = Some(tail.clone());
                    yield (format!("{place}/{}", stored.id), event);
                }
            }
        }
        .boxed()
    }
}

/// The Jobs whose events may match, in order: the one that the selector leads to, or all.
async fn jobs(app: &App, selection: &Selection) -> Result<Vec<(String, String, JobRef)>, Failure> {
    let namespace =
        selection.only_namespace().or_else(|| selection.fields.exact("involvedObject.namespace"));
    let name = selection.fields.exact("involvedObject.name");
    if let (Some(namespace), Some(name)) = (namespace, name) {
        let job = involved_job(app, namespace, name).await?;
        return Ok(job
            .map(|job| (namespace.to_owned(), name.to_owned(), job))
            .into_iter()
            .collect());
    }
    Ok(app.store.list_names(namespace).await?)
}

/// The Job that is called so, or that has a Pod of that name.
async fn involved_job(app: &App, namespace: &str, name: &str) -> Result<Option<JobRef>, Failure> {
    if let Some(job) = app.store.find_job(namespace, name).await? {
        return Ok(Some(job));
    }
    Ok(pods::find(app, namespace, name).await?.map(|found| found.key.job))
}

/// Whether a Job is `from`, a `namespace/name`, or comes after it.
fn is_from(namespace: &str, name: &str, from: &str) -> bool {
    let (from_namespace, from_name) = from.split_once('/').unwrap_or((from, ""));
    (namespace, name) >= (from_namespace, from_name)
}
