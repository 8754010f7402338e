//! One watch: the state at its start, what the change log has since, and then what the hub tells.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue, header};
use longshore_api::FieldError;
use longshore_store::ResourceVersion;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, interval_at, sleep_until};

use super::hub::{Signal, Subscription};
use super::resolve::{Notice, Resolver, Unresolved};
use crate::App;
use crate::errors::Failure;
use crate::listing::{Listed, parse_resource_version};
use crate::negotiate::Params;
use crate::respond::Writer;
use crate::served::Selection;

/// How often a client that asked for bookmarks is told the position.
const BOOKMARKS: Duration = Duration::from_secs(30);

/// How long a watch lasts that sets no limit; Kubernetes ends them after 30 to 60 minutes as well.
const LONGEST: Duration = Duration::from_secs(3600);

/// Entries of the change log that are caught up with at a time.
const CATCH_UP: usize = 500;

/// Answers a watch request. Errors of the request itself are answered as such; what goes wrong
/// later is an ERROR event.
pub(crate) async fn answer<T: Listed>(
    app: &App,
    selection: Selection,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let start = Start::of::<T>(params)?;
    let bookmarks = params.flag("allowWatchBookmarks")?;
    let timeout = params
        .number("timeoutSeconds")?
        .filter(|seconds| *seconds > 0)
        .map_or(LONGEST, |seconds| Duration::from_secs(seconds).min(LONGEST));
    let writer = Writer::of(headers, params, app.store.now().await?)?;
    app.hub.started().await;
    // Subscribed before the position is read: nothing can fall between the two.
    let subscription = app.hub.subscribe(T::RESOURCE);
    let tail = app.store.log_tail().await?;
    let watch = Watch::<T> {
        app: app.clone(),
        selection,
        lines: Lines { writer, columns: true, kind: std::marker::PhantomData },
        bookmarks,
        ends: Instant::now() + timeout,
    };
    let shutdown = app.shutdown.clone();
    let body = watch
        .events(subscription, start, tail)
        .take_until(async move { shutdown.cancelled().await })
        .map(Ok::<_, std::convert::Infallible>);
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], Body::from_stream(body)).into_response())
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    /// With an ADDED for everything there is; `marked` when a bookmark is to tell where they end.
    Everything { marked: bool },
    /// With what happens from now on.
    Now,
    /// With what happened after a position.
    After(ResourceVersion),
}

impl Start {
    /// Kubernetes' rules for `resourceVersion`, `resourceVersionMatch` and `sendInitialEvents`.
    fn of<T: Listed>(params: &Params) -> Result<Self, Failure> {
        let rv = match params.text("resourceVersion") {
            None | Some("0") => None,
            Some(text) => Some(parse_resource_version(text)?),
        };
        let matching = params.text("resourceVersionMatch");
        if params.text("sendInitialEvents").is_none() {
            return match (matching, rv) {
                (Some(_), _) => Err(Self::invalid::<T>(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is \
                     provided",
                )),
                (None, None) => Ok(Self::Everything { marked: false }),
                (None, Some(rv)) => Ok(Self::After(rv)),
            };
        }
        if matching != Some("NotOlderThan") {
            return Err(Self::invalid::<T>(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        match (params.flag("sendInitialEvents")?, rv) {
            (true, _) => Ok(Self::Everything { marked: params.flag("allowWatchBookmarks")? }),
            (false, None) => Ok(Self::Now),
            (false, Some(rv)) => Ok(Self::After(rv)),
        }
    }

    fn invalid<T: Listed>(field: &str, why: &str) -> Failure {
        Failure::invalid(T::RESOURCE, "", &[FieldError::forbidden(field, why)])
    }
}

struct Watch<T> {
    app: App,
    selection: Selection,
    lines: Lines<T>,
    bookmarks: bool,
    ends: Instant,
}

impl<T: Listed> Watch<T> {
    fn events(
        mut self,
        mut subscription: Subscription,
        start: Start,
        tail: ResourceVersion,
    ) -> impl Stream<Item = Bytes> + Send + 'static {
        async_stream::stream! {
            let mut at = match start {
                Start::After(rv) => rv,
                Start::Everything { .. } | Start::Now => tail,
            };
            if at > tail {
                yield self.lines.error(&ahead(at, tail));
                return;
            }
            if let Start::Everything { marked } = start {
                let mut source = T::source(&self.app, &self.selection, None);
                while let Some(next) = source.next().await {
                    match next {
                        Ok((_, object)) if self.selection.matches(&object) => {
                            yield self.lines.event("ADDED", &object);
                        }
                        Ok(_) => {}
                        Err(failure) => {
                            yield self.lines.error(&failure);
                            return;
                        }
                    }
                }
                if marked {
                    yield self.lines.bookmark(at, true);
                }
            }
            // What the hub told before this watch began is read here.
            let mut resolver = self.app.hub.resolver();
            while at < subscription.position() {
                match self.replay(&mut resolver, at).await {
                    Ok((notices, reached)) => {
                        for notice in &notices {
                            if let Some(line) = self.line(notice) {
                                yield line;
                            }
                        }
                        at = reached.unwrap_or(subscription.position());
                    }
                    Err(failure) => {
                        yield self.lines.error(&failure);
                        return;
                    }
                }
            }

            let mut bookmarks = interval_at(Instant::now() + BOOKMARKS, BOOKMARKS);
            loop {
                let signal = tokio::select! {
                    signal = subscription.receive() => signal,
                    _ = bookmarks.tick(), if self.bookmarks => {
                        // All that was told up to here has been passed on.
                        if subscription.is_drained() {
                            yield self.lines.bookmark(at, false);
                        }
                        continue;
                    }
                    () = sleep_until(self.ends) => {
                        if self.bookmarks && subscription.is_drained() {
                            yield self.lines.bookmark(at, false);
                        }
                        return;
                    }
                };
                match signal {
                    Ok(Signal::Batch(batch)) => {
                        self.lines.writer = self.lines.writer.at(batch.now);
                        for notice in &batch.notices {
                            let is_new = notice.rv.is_none_or(|rv| rv > at);
                            if let Some(line) = self.line(notice).filter(|_| is_new) {
                                yield line;
                            }
                        }
                        at = at.max(batch.position);
                    }
                    Ok(Signal::Reset) => {
                        yield self.lines.error(&Failure::expired(
                            "The resourceVersion for the provided watch is too old: the change log has \
                             been set back.",
                        ));
                        return;
                    }
                    Err(RecvError::Lagged(_)) => {
                        yield self.lines.error(&Failure::expired(
                            "The resourceVersion for the provided watch is too old: the client reads too \
                             slowly.",
                        ));
                        return;
                    }
                    Err(RecvError::Closed) => return,
                }
            }
        }
    }

    /// The next changes behind `at`, and how far they reach; `None` if there are no more.
    async fn replay(
        &self,
        resolver: &mut Resolver,
        at: ResourceVersion,
    ) -> Result<(Vec<Notice>, Option<ResourceVersion>), Failure> {
        let changes = self.app.store.log_read(at, Duration::ZERO, CATCH_UP).await?;
        // Asked after the read: what was there then had not been dropped before.
        if !self.app.store.log_window().await?.covers(at) {
            return Err(Failure::expired(format!(
                "The resourceVersion for the provided watch is too old: {at}"
            )));
        }
        let reached = changes.last().map(|change| change.rv);
        match resolver.resolve(changes, |resource| resource == T::RESOURCE).await {
            Ok(notices) => Ok((notices, reached)),
            Err(Unresolved::Store(error)) => Err(error.into()),
            Err(Unresolved::Unreadable(failure)) => Err(failure),
            Err(error @ (Unresolved::Unknown(_) | Unresolved::Setback(_))) => {
                Err(Failure::expired(format!(
                    "The resourceVersion for the provided watch is too old: {error}"
                )))
            }
        }
    }

    fn line(&mut self, notice: &Notice) -> Option<Bytes> {
        let object = T::of(&notice.object).filter(|object| self.selection.matches(*object))?;
        Some(self.lines.notice(notice, object))
    }
}

fn ahead(rv: ResourceVersion, tail: ResourceVersion) -> Failure {
    Failure::expired(format!("Too large resource version: {rv}, current: {tail}"))
}

/// Events as lines of JSON.
struct Lines<T> {
    writer: Writer,
    /// Whether the next table must bring its columns.
    columns: bool,
    kind: std::marker::PhantomData<fn() -> T>,
}

impl<T: Listed> Lines<T> {
    fn notice(&mut self, notice: &Notice, object: &T) -> Bytes {
        if self.writer.is_plain() {
            // The same for all watchers, so it is written once.
            return notice.line.get_or_init(|| self.event(notice.verb, object)).clone();
        }
        self.event(notice.verb, object)
    }

    fn event(&mut self, verb: &str, object: &T) -> Bytes {
        let object = self.writer.object(object, self.columns);
        self.columns = false;
        line(verb, &object)
    }

    fn bookmark(&self, at: ResourceVersion, initial_end: bool) -> Bytes {
        line("BOOKMARK", &self.writer.bookmark::<T>(&at.to_string(), initial_end))
    }

    fn error(&self, failure: &Failure) -> Bytes {
        line("ERROR", &failure.status())
    }
}

fn line(verb: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({"type": verb, "object": object})))
}
