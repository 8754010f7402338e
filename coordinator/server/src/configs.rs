//! ConfigMaps and Secrets: `/api/v1/…/configmaps` and `…/secrets`.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use futures::StreamExt;
use http::StatusCode;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use longshore_api::ApiError;
use longshore_api::config::ConfigObject;
use longshore_api::errors::deleted;
use longshore_store::{
    ConfigKind, ConfigRef, ConfigWritten, ResourceVersion, StoreError, StoredConfig,
};
use serde_json::json;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::App;
use crate::deletion::{check, options};
use crate::errors::Failure;
use crate::listing::{self, Listed, Source, is_behind};
use crate::negotiate::Params;
use crate::respond::{ListMeta, Writer, answer};
use crate::served::{Selection, Served};
use crate::writing::{
    NAMES, SETTLE, SETTLE_STEP, SETTLE_STEP_CAP, Sent, TRIES, Write, is_generated, precondition,
};

/// Objects read from Redis at a time.
const PAGE: usize = 50;

/// One of the two kinds.
pub(crate) trait Config: ConfigObject + Served {
    const CONFIG_KIND: ConfigKind;
}

impl Config for ConfigMap {
    const CONFIG_KIND: ConfigKind = ConfigKind::ConfigMap;
}

impl Config for Secret {
    const CONFIG_KIND: ConfigKind = ConfigKind::Secret;
}

/// POST on the collection.
pub(crate) async fn create<T: Config>(
    State(app): State<App>,
    Path(namespace): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let write = Write::of(&app, request).await?;
    let Sent { object: sent, notes } = write.sent::<T>(&namespace)?;
    let generated = is_generated(sent.metadata());
    let before = app.store.log_tail().await?;
    let now = app.store.now().await?;
    for _ in 0..NAMES {
        let uid = Uuid::new_v4().to_string();
        let mut object = sent.clone();
        object.set_defaults();
        object.prepare_create(&namespace, &uid, now);
        let name = object.metadata().name.clone().unwrap_or_default();
        let errors = object.validate();
        if !errors.is_empty() {
            return Err(Failure::invalid(T::RESOURCE, &name, &errors));
        }
        let created = if write.dry_run {
            let found = app.store.get_config(T::CONFIG_KIND, &namespace, &name).await?;
            match found {
                None => return Ok(write.answer(StatusCode::CREATED, &object, &notes)),
                Some(_) => None,
            }
        } else {
            let text = text(&object)?;
            app.store.create_config(T::CONFIG_KIND, &namespace, &name, &uid, &text).await?
        };
        match created {
            Some(config) => {
                let object = settled(&app, &config, before, object).await?;
                return Ok(write.answer(StatusCode::CREATED, &object, &notes));
            }
            None if !generated => {
                return Err(ApiError::already_exists(T::RESOURCE, &name).into());
            }
            None => {}
        }
    }
    let prefix = sent.metadata().generate_name.clone().unwrap_or_default();
    Err(ApiError::already_exists(T::RESOURCE, &prefix).into())
}

pub(crate) async fn get<T: Config>(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let params = Params::of(request.uri())?;
    let writer = Writer::of(request.headers(), &params, app.store.now().await?)?;
    let (_, object) = find::<T>(&app, &namespace, &name).await?;
    Ok(answer(StatusCode::OK, &writer.object(&object, true), &[]))
}

/// PUT on an object.
pub(crate) async fn replace<T: Config>(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let write = Write::of(&app, request).await?;
    let sent = write.replacement::<T>(&namespace, &name)?;
    change(&app, &write, &namespace, &name, |_| {
        Ok(Sent { object: sent.object.clone(), notes: sent.notes.clone() })
    })
    .await
}

/// PATCH on an object: strategic merge, merge, and JSON patch.
pub(crate) async fn patch<T: Config>(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let write = Write::of(&app, request).await?;
    let kind = write.patch_type()?;
    change::<T>(&app, &write, &namespace, &name, |current| write.patched(kind, current)).await
}

/// DELETE on an object, which is gone at once. Answers a `Status`, as Kubernetes does then.
pub(crate) async fn delete<T: Config>(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let params = Params::of(request.uri())?;
    let options = options(&params, request).await?;
    for _ in 0..TRIES {
        let (stored, object) = find::<T>(&app, &namespace, &name).await?;
        check(&options, &object)?;
        if options.dry_run.is_none()
            && app.store.delete_config(&stored).await? == ConfigWritten::Conflict
        {
            continue;
        }
        let uid = object.metadata().uid.as_deref().unwrap_or_default();
        let status = deleted(T::RESOURCE, &name, uid);
        return Ok(answer(StatusCode::OK, &json!(status), &[]));
    }
    Err(ApiError::conflict(T::RESOURCE, &name).into())
}

/// DELETE on the collection: all that the selectors select. Answers the list of them.
pub(crate) async fn delete_collection<T: Config>(
    State(app): State<App>,
    Path(namespace): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let params = Params::of(request.uri())?;
    let writer = Writer::of(request.headers(), &params, app.store.now().await?)?;
    let selection = Selection::of(T::RESOURCE, Some(namespace.clone()), &params)?;
    let options = options(&params, request).await?;
    let tail = app.store.log_tail().await?;
    let objects: Vec<T> = listing::all(&app, &selection).await?;
    for object in &objects {
        check(&options, object)?;
        if options.dry_run.is_none() {
            let name = object.metadata().name.as_deref().unwrap_or_default();
            remove::<T>(&app, &namespace, name).await?;
        }
    }
    let meta = ListMeta { resource_version: tail.to_string(), continue_token: None };
    Ok(answer(StatusCode::OK, &writer.list(&objects, &meta), &[]))
}

/// An object as it is stored, as clients see it.
pub(crate) fn shown<T: Config>(stored: &StoredConfig) -> Result<T, Failure> {
    let mut object: T = read(&stored.object)?;
    object.metadata_mut().resource_version = Some(stored.rv.to_string());
    Ok(object)
}

/// An object of stored JSON.
pub(crate) fn read<T: Config>(json: &str) -> Result<T, Failure> {
    // The text of the error could show a Secret.
    serde_json::from_str(json).map_err(|_| {
        ApiError::internal(format!("a stored {} can't be read", T::CONFIG_KIND.name())).into()
    })
}

impl<T: Config> Listed for T {
    /// Objects in the order of `namespace/name`.
    fn source(app: &App, selection: &Selection, after: Option<String>) -> Source<Self> {
        let app = app.clone();
        let selection = selection.clone();
        async_stream::try_stream! {
            let mut names = app.store.list_configs(T::CONFIG_KIND, selection.only_namespace()).await?;
            if let Some(only) = selection.only_name() {
                names.retain(|(_, name, _)| name == only);
            }
            if let Some(after) = &after {
                names.retain(|(namespace, name, _)| is_behind(namespace, name, after));
            }
            for page in names.chunks(PAGE) {
                let refs: Vec<ConfigRef> = page.iter().map(|(_, _, config)| config.clone()).collect();
                for stored in app.store.load_configs(&refs).await? {
                    yield (format!("{}/{}", stored.namespace, stored.name), shown(&stored)?);
                }
            }
        }
        .boxed()
    }
}

async fn find<T: Config>(
    app: &App,
    namespace: &str,
    name: &str,
) -> Result<(StoredConfig, T), Failure> {
    let stored = app.store.get_config(T::CONFIG_KIND, namespace, name).await?;
    let stored = stored.ok_or_else(|| Failure::not_found(T::RESOURCE, name))?;
    let object = shown(&stored)?;
    Ok((stored, object))
}

async fn remove<T: Config>(app: &App, namespace: &str, name: &str) -> Result<(), StoreError> {
    while let Some(stored) = app.store.get_config(T::CONFIG_KIND, namespace, name).await? {
        if app.store.delete_config(&stored).await? != ConfigWritten::Conflict {
            break;
        }
    }
    Ok(())
}

/// Changes an object from its newest state; when it changes meanwhile, again from the newer one, unless
/// the client named the state it means.
async fn change<T: Config>(
    app: &App,
    write: &Write,
    namespace: &str,
    name: &str,
    change: impl Fn(&T) -> Result<Sent<T>, Failure>,
) -> Result<Response, Failure> {
    for _ in 0..TRIES {
        let before = app.store.log_tail().await?;
        let (stored, current) = find::<T>(app, namespace, name).await?;
        let Sent { object: mut new, notes } = change(&current)?;
        let named = precondition(&current, &new)?;
        new.set_defaults();
        new.prepare_update(&current);
        let mut errors = new.validate();
        errors.extend(new.validate_update(&current));
        if !errors.is_empty() {
            return Err(Failure::invalid(T::RESOURCE, name, &errors));
        }
        let object = text(&new)?;
        if write.dry_run || object == text(&current)? {
            return Ok(write.answer(StatusCode::OK, &new, &notes));
        }
        let request = Uuid::new_v4().to_string();
        match app.store.update_config(&stored, &request, named, &object).await? {
            ConfigWritten::Ok => {
                let object = settled(app, &stored.config, before, new).await?;
                return Ok(write.answer(StatusCode::OK, &object, &notes));
            }
            ConfigWritten::Gone => return Err(Failure::not_found(T::RESOURCE, name)),
            ConfigWritten::Conflict if named.is_some() => break,
            ConfigWritten::Conflict => {}
        }
    }
    Err(ApiError::conflict(T::RESOURCE, name).into())
}

/// The object once its change has a place in the change log; see
/// [`jobs::settled`](crate::jobs::settled).
async fn settled<T: Config>(
    app: &App,
    config: &ConfigRef,
    before: ResourceVersion,
    mut written: T,
) -> Result<T, Failure> {
    let ends = Instant::now() + SETTLE;
    let mut step = SETTLE_STEP;
    loop {
        let stored = app.store.load_configs(std::slice::from_ref(config)).await?.pop();
        let Some(stored) = stored else {
            written.metadata_mut().resource_version = Some(before.to_string());
            return Ok(written);
        };
        if stored.dirty && Instant::now() < ends {
            sleep(step).await;
            step = (step * 2).min(SETTLE_STEP_CAP);
            continue;
        }
        let mut object: T = shown(&stored)?;
        if stored.dirty {
            object.metadata_mut().resource_version = Some(stored.rv.max(before).to_string());
        }
        return Ok(object);
    }
}

fn text<T: Config>(object: &T) -> Result<String, Failure> {
    Ok(serde_json::to_string(&object.stored()).map_err(ApiError::internal)?)
}
