//! Reading Jobs.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use k8s_openapi::api::batch::v1::Job;
use longshore_api::Resource;
use longshore_store::{JobRef, StoredJob};

use crate::App;
use crate::errors::Failure;
use crate::listing::{Listed, Source, is_behind};
use crate::negotiate::Params;
use crate::respond::{Writer, answer};
use crate::served::Selection;

/// Jobs read from Redis at a time.
const PAGE: usize = 100;

/// Reads of completed indexes under way at once.
const CONCURRENT: usize = 16;

pub(crate) async fn get(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let params = Params::of(request.uri())?;
    let writer = Writer::of(request.headers(), &params, app.store.now().await?)?;
    let stored = find(&app, &namespace, &name).await?;
    let job = app.objects.job(&stored).await?;
    Ok(answer(StatusCode::OK, &writer.object(&job, true), &[]))
}

/// The stored Job of that name.
///
/// # Errors
/// 404 if there is none, 503 if Redis doesn't answer.
pub(super) async fn find(app: &App, namespace: &str, name: &str) -> Result<StoredJob, Failure> {
    let found = app.store.get_job(namespace, name).await?;
    found.ok_or_else(|| Failure::not_found(Resource::Jobs, name))
}

/// Jobs in the order of `namespace/name`.
impl Listed for Job {
    fn source(app: &App, selection: &Selection, after: Option<String>) -> Source<Self> {
        let app = app.clone();
        let selection = selection.clone();
        async_stream::try_stream! {
            let mut names = names(&app, &selection).await?;
            if let Some(after) = &after {
                names.retain(|(namespace, name, _)| is_behind(namespace, name, after));
            }
            for page in names.chunks(PAGE) {
                let refs: Vec<JobRef> = page.iter().map(|(_, _, job)| job.clone()).collect();
                let stored = app.store.load_jobs(&refs).await?;
                let jobs: Vec<(String, Job)> = stream::iter(stored)
                    .map(|stored| placed(app.clone(), stored))
                    .buffered(CONCURRENT)
                    .try_collect()
                    .await?;
                for job in jobs {
                    yield job;
                }
            }
        }
        .boxed()
    }
}

/// The names of the Jobs that may match, in order.
pub(crate) async fn names(
    app: &App,
    selection: &Selection,
) -> Result<Vec<(String, String, JobRef)>, Failure> {
    if let (Some(namespace), Some(name)) = (selection.only_namespace(), selection.only_name()) {
        let found = app.store.find_job(namespace, name).await?;
        return Ok(found
            .map(|job| (namespace.to_owned(), name.to_owned(), job))
            .into_iter()
            .collect());
    }
    Ok(app.store.list_names(selection.only_namespace()).await?)
}

async fn placed(app: App, stored: StoredJob) -> Result<(String, Job), Failure> {
    let job = app.objects.job(&stored).await?;
    Ok((format!("{}/{}", stored.namespace, stored.name), job))
}
