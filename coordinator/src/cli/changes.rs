//! Following objects: a list, then its changes, over interruptions of the
//! server.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::{AsyncBufReadExt, StreamExt};
use kube::core::Status;
use longshore_api::Resource;
use longshore_support::retry::{Delays, Policy};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::error::CliError;
use super::session::{Session, collection};

/// Asked of the server as the watch's length; it ends it, and it begins anew.
const WATCH_SECONDS: &str = "240";
/// No byte for this long, past the watch's length, means a dead connection.
const SILENCE: Duration = Duration::from_secs(300);
const PAGE: &str = "500";
const RECONNECT: Policy = Policy::new(Duration::from_millis(100), Duration::from_secs(2));

/// Which objects to follow.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    pub(super) resource: Resource,
    /// Empty for all namespaces.
    pub(super) namespace: String,
    /// Query parameters: `fieldSelector`, `labelSelector`.
    pub(super) selectors: Vec<(&'static str, String)>,
}

impl Selection {
    pub(super) fn one(resource: Resource, namespace: &str, name: &str) -> Self {
        Self { resource, namespace: namespace.to_owned(), selectors: Vec::new() }
            .with_fields(format!("metadata.name={name}"))
    }

    pub(super) fn labelled(resource: Resource, namespace: &str, labels: String) -> Self {
        let selectors = vec![("labelSelector", labels)];
        Self { resource, namespace: namespace.to_owned(), selectors }
    }

    pub(super) fn with_fields(mut self, fields: String) -> Self {
        self.selectors.push(("fieldSelector", fields));
        self
    }

    fn path(&self) -> String {
        let namespace = Some(self.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        collection(self.resource, namespace)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        let given = self.selectors.iter().filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| (*name, value.as_str())).collect()
    }
}

/// What became known.
#[derive(Debug)]
pub(super) enum Change {
    /// The object is like this now.
    Is(Value),
    /// An object is no more.
    Gone,
    /// Everything that was there at some moment has been told.
    Known,
    /// Nothing will follow.
    Failed(CliError),
}

/// Tells the objects of a selection and every change of them, until the
/// receiver is dropped. A server that can't be reached at first is an error; one
/// that goes away later is waited for, with a word on standard error.
pub(super) fn follow(session: &Session, selection: Selection) -> mpsc::Receiver<Change> {
    let (sender, receiver) = mpsc::channel(256);
    let mut follower = Follower {
        session: session.clone(),
        selection,
        known: HashMap::new(),
        delays: RECONNECT.delays(),
        connected: false,
        away: false,
        sender,
    };
    tokio::spawn(async move { follower.run().await });
    receiver
}

/// All objects of a selection, page by page.
pub(super) async fn list(
    session: &Session,
    selection: &Selection,
) -> Result<(Vec<Value>, String), CliError> {
    let path = selection.path();
    let mut items = Vec::new();
    let mut next = String::new();
    loop {
        let mut query = selection.query();
        query.push(("limit", PAGE));
        if !next.is_empty() {
            query.push(("continue", &next));
        }
        let mut page = session.get(&path, &query).await?;
        if let Value::Array(of_page) = page["items"].take() {
            items.extend(of_page);
        }
        next = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
        if next.is_empty() {
            let version = page["metadata"]["resourceVersion"].as_str().unwrap_or_default();
            return Ok((items, version.to_owned()));
        }
    }
}

/// The receiver doesn't want more.
struct Unwanted;

struct Follower {
    session: Session,
    selection: Selection,
    /// The version of each object by its uid, so that what went or changed while
    /// the watch was interrupted is noticed.
    known: HashMap<String, String>,
    delays: Delays,
    connected: bool,
    away: bool,
    sender: mpsc::Sender<Change>,
}

impl Follower {
    async fn run(&mut self) {
        loop {
            let error = match self.round().await {
                Ok(Ok(())) => None,
                Ok(Err(Unwanted)) => return,
                Err(error) => Some(error),
            };
            if let Some(error) = error {
                // Past the end of the log is no failure: the list begins anew.
                let expired = matches!(&error, CliError::Refused(status) if status.code == 410);
                if !expired && (!self.connected || !error.is_transient()) {
                    let _ = self.sender.send(Change::Failed(error)).await;
                    return;
                }
                if !expired && !self.away {
                    self.away = true;
                    eprintln!("{error}; trying on");
                }
            }
            let delay = self.delays.next().unwrap_or(RECONNECT.cap);
            tokio::select! {
                () = self.sender.closed() => return,
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// Lists, then watches until the watch ends.
    async fn round(&mut self) -> Result<Result<(), Unwanted>, CliError> {
        let (items, mut from) = list(&self.session, &self.selection).await?;
        self.connected = true;
        self.away = false;
        if self.tell_list(items).await.is_err() {
            return Ok(Err(Unwanted));
        }
        let path = self.selection.path();
        loop {
            let mut query = self.selection.query();
            query.extend([
                ("watch", "true"),
                ("allowWatchBookmarks", "true"),
                ("timeoutSeconds", WATCH_SECONDS),
                ("resourceVersion", from.as_str()),
            ]);
            let stream = self.session.stream(&path, &query, "application/json").await?;
            self.delays.reset();
            let mut lines = stream.lines();
            let mut next_version = None;
            loop {
                let line = tokio::select! {
                    () = self.sender.closed() => return Ok(Err(Unwanted)),
                    line = timeout(SILENCE, lines.next()) => line,
                };
                let Ok(Some(Ok(line))) = line else { break };
                // The last line of a connection that broke may be half a one.
                let Ok(mut event) = serde_json::from_str::<Value>(&line) else { break };
                let object = event["object"].take();
                if !version(&object).is_empty() {
                    next_version = Some(version(&object));
                }
                let told = match event["type"].as_str() {
                    Some("ADDED" | "MODIFIED") => self.tell(object).await,
                    Some("DELETED") => self.tell_gone(&uid(&object)).await,
                    Some("ERROR") => return Err(error_of(object)),
                    _ => Ok(()),
                };
                if told.is_err() {
                    return Ok(Err(Unwanted));
                }
            }
            // A watch that told nothing before it ended is no reason to ask at
            // once again.
            match next_version {
                Some(at) => from = at,
                None => return Ok(Ok(())),
            }
        }
    }

    async fn tell_list(&mut self, items: Vec<Value>) -> Result<(), Unwanted> {
        let mut missing: HashSet<String> = self.known.keys().cloned().collect();
        for item in items {
            let uid = uid(&item);
            missing.remove(&uid);
            if self.known.get(&uid) != Some(&version(&item)) {
                self.tell(item).await?;
            }
        }
        for uid in missing {
            self.tell_gone(&uid).await?;
        }
        self.send(Change::Known).await
    }

    async fn tell(&mut self, object: Value) -> Result<(), Unwanted> {
        self.known.insert(uid(&object), version(&object));
        self.send(Change::Is(object)).await
    }

    async fn tell_gone(&mut self, uid: &str) -> Result<(), Unwanted> {
        self.known.remove(uid);
        self.send(Change::Gone).await
    }

    async fn send(&self, change: Change) -> Result<(), Unwanted> {
        self.sender.send(change).await.map_err(|_| Unwanted)
    }
}

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}

fn error_of(object: Value) -> CliError {
    match serde_json::from_value::<Status>(object) {
        Ok(status) => CliError::Refused(status.boxed()),
        Err(error) => CliError::Failed(format!("the watch ended with an error: {error}")),
    }
}
