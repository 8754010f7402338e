//! Namespaces: `/api/v1/namespaces`. Any namespace exists; listed are those that hold Jobs, and
//! `default`.

use std::collections::BTreeSet;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use futures::{StreamExt, stream};
use http::StatusCode;
use k8s_openapi::api::core::v1::{Namespace, NamespaceSpec, NamespaceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::App;
use crate::errors::Failure;
use crate::listing::{Listed, Source};
use crate::negotiate::Params;
use crate::respond::{Writer, answer};
use crate::served::Selection;

pub(crate) async fn get(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let params = Params::of(request.uri())?;
    let writer = Writer::of(request.headers(), &params, app.store.now().await?)?;
    let namespace = namespace(&name, app.store.log_tail().await?.to_string());
    Ok(answer(StatusCode::OK, &writer.object(&namespace, true), &[]))
}

/// Namespaces in the order of their names.
impl Listed for Namespace {
    fn source(app: &App, _selection: &Selection, after: Option<String>) -> Source<Self> {
        let app = app.clone();
        async_stream::try_stream! {
            let tail = app.store.log_tail().await?.to_string();
            let jobs = app.store.list_names(None).await?;
            let mut names: BTreeSet<String> =
                jobs.into_iter().map(|(namespace, _, _)| namespace).collect();
            names.insert("default".to_owned());
            let mut names = stream::iter(names);
            while let Some(name) = names.next().await {
                if after.as_ref().is_none_or(|after| name > *after) {
                    let namespace = namespace(&name, tail.clone());
                    yield (name, namespace);
                }
            }
        }
        .boxed()
    }
}

fn namespace(name: &str, resource_version: String) -> Namespace {
    let label = ("kubernetes.io/metadata.name".to_owned(), name.to_owned());
    Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some([label].into()),
            resource_version: Some(resource_version),
            ..ObjectMeta::default()
        },
        spec: Some(NamespaceSpec { finalizers: None }),
        status: Some(NamespaceStatus {
            phase: Some("Active".to_owned()),
            ..NamespaceStatus::default()
        }),
    }
}
