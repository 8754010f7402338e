//! The hub: reads the change log once, looks up what changed once, and tells all watchers.
//!
//! Its channel is bounded and shared by all watchers, so a slow one costs no memory: it is cut off.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use longshore_api::Resource;
use longshore_job::Millis;
use longshore_store::{NodeRecord, ResourceVersion, Store};
use longshore_support::retry::Policy;
use tokio::sync::broadcast::{self, Receiver, Sender, error::RecvError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::resolve::{Notice, Resolver, Unresolved};

/// Batches that a watcher may be behind.
const BACKLOG: usize = 256;

/// Changes read at once.
const BATCH: usize = 500;

/// How long one read of the log waits for a change.
const BLOCK: Duration = Duration::from_secs(5);

/// How often Nodes are looked at for heartbeats that stopped, while anyone watches Nodes.
const NODE_CHECK: Duration = Duration::from_secs(1);

/// What watchers are told.
#[derive(Clone, Debug)]
pub(crate) enum Signal {
    Batch(Arc<Batch>),
    /// The log went back or lost entries: nobody can go on from where they are.
    Reset,
}

#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) notices: Vec<Notice>,
    /// The log's position that watchers have reached with this batch; 0 if it isn't of the log.
    pub(crate) position: ResourceVersion,
    /// Redis' time of it.
    pub(crate) now: Millis,
}

pub(crate) struct Hub {
    shared: Arc<Shared>,
    resolver: Resolver,
}

struct Shared {
    sender: Sender<Signal>,
    /// How far the log has been read; `None` until it has been seen.
    position: watch::Sender<Option<ResourceVersion>>,
    /// How many watch each kind, in the order of [`Resource::ALL`]; what nobody watches is not read.
    watchers: [AtomicUsize; Resource::ALL.len()],
}

/// One watcher's end of the hub.
pub(crate) struct Subscription {
    shared: Arc<Shared>,
    resource: Resource,
    receiver: Receiver<Signal>,
    position: ResourceVersion,
}

impl Hub {
    /// Starts reading the log, until `shutdown`.
    pub(crate) fn start(store: Store, resolver: Resolver, shutdown: CancellationToken) -> Self {
        let shared = Arc::new(Shared {
            sender: broadcast::channel(BACKLOG).0,
            position: watch::channel(None).0,
            watchers: Default::default(),
        });
        let reader = Reader {
            store,
            shared: Arc::clone(&shared),
            resolver: resolver.clone(),
            position: None,
        };
        let nodes = check_nodes(Arc::clone(&shared), resolver.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = reader.run() => {}
                () = nodes => {}
                () = shutdown.cancelled() => {}
            }
        });
        Self { shared, resolver }
    }

    /// Waits until the log has been seen once.
    pub(crate) async fn started(&self) {
        let mut position = self.shared.position.subscribe();
        // An error would mean that the sender is gone, but it is ours.
        let _ = position.wait_for(Option::is_some).await;
    }

    /// Whatever the log gets behind the subscription's position from now on is received.
    pub(crate) fn subscribe(&self, resource: Resource) -> Subscription {
        let receiver = self.shared.sender.subscribe();
        self.shared.watchers[place(resource)].fetch_add(1, Ordering::SeqCst);
        // Last: the reader moves its position first and looks at the watchers then.
        let position = self.shared.position.borrow().unwrap_or_default();
        Subscription { shared: Arc::clone(&self.shared), resource, receiver, position }
    }

    /// For a watcher that reads older changes by itself.
    pub(crate) fn resolver(&self) -> Resolver {
        self.resolver.clone()
    }
}

impl Subscription {
    /// Where the hub stood when this began; older changes are not received.
    pub(crate) fn position(&self) -> ResourceVersion {
        self.position
    }

    /// Whether everything that was told has been received.
    pub(crate) fn is_drained(&self) -> bool {
        self.receiver.is_empty()
    }

    pub(crate) async fn receive(&mut self) -> Result<Signal, RecvError> {
        self.receiver.recv().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.watchers[place(self.resource)].fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn is_watched(&self, resource: Resource) -> bool {
        self.watchers[place(resource)].load(Ordering::SeqCst) > 0
    }

    fn tell(&self, signal: Signal) {
        // An error means that nobody listens.
        let _ = self.sender.send(signal);
    }
}

fn place(resource: Resource) -> usize {
    Resource::ALL.iter().position(|one| *one == resource).unwrap_or_default()
}

/// The task that reads the log.
struct Reader {
    store: Store,
    shared: Arc<Shared>,
    resolver: Resolver,
    /// How far it has read; `None` until it has seen the log.
    position: Option<ResourceVersion>,
}

impl Reader {
    async fn run(mut self) {
        let mut delays = Policy::SERVER.delays();
        // Nothing is known of the log at first, nor after a failure.
        let mut sure = false;
        loop {
            let step = async {
                if !sure {
                    self.check().await?;
                }
                self.read().await
            };
            match step.await {
                Ok(quiet) => {
                    // A quiet log may be one that went back.
                    sure = !quiet;
                    delays.reset();
                }
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "the change log");
                    sure = false;
                    tokio::time::sleep(delays.next().unwrap_or(BLOCK)).await;
                }
            }
        }
    }

    /// Holds the position against the log, and starts anew from its end if that can't go on.
    async fn check(&mut self) -> Result<(), Unresolved> {
        let window = self.store.log_window().await?;
        if !self.position.is_some_and(|position| window.covers(position)) {
            let known = self.position.replace(window.last).is_some();
            self.resolver.forget();
            self.shared.position.send_replace(self.position);
            if known {
                self.shared.tell(Signal::Reset);
            }
        }
        Ok(())
    }

    /// Reads on; whether nothing came.
    async fn read(&mut self) -> Result<bool, Unresolved> {
        let after = self.position.unwrap_or_default();
        let changes = self.store.log_read(after, BLOCK, BATCH).await?;
        let Some(last) = changes.last().map(|change| change.rv) else { return Ok(true) };
        // The position moves before the watchers are looked at: a watcher that comes in between
        // reads these changes by itself.
        self.shared.position.send_replace(Some(last));
        let shared = Arc::clone(&self.shared);
        let resolved = self.resolver.resolve(changes, |resource| shared.is_watched(resource)).await;
        match resolved {
            Ok(notices) => {
                self.position = Some(last);
                let now = self.store.now().await?;
                self.shared.tell(Signal::Batch(Arc::new(Batch { notices, position: last, now })));
            }
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                tracing::warn!("watchers must list again: {error}");
                self.position = Some(last);
                self.shared.tell(Signal::Reset);
            }
        }
        Ok(false)
    }
}

/// Tells watchers of Nodes when heartbeats stop or come back: time alone makes no entry in the log.
async fn check_nodes(shared: Arc<Shared>, resolver: Resolver) {
    let objects = resolver.objects();
    let mut late: Option<HashSet<String>> = None;
    loop {
        // Taken before the wait, so that a client which goes on from it misses nothing.
        let position = shared.position.borrow().unwrap_or_default();
        tokio::time::sleep(NODE_CHECK).await;
        if !shared.is_watched(Resource::Nodes) {
            late = None;
            continue;
        }
        let store = objects.store();
        let (Ok(now), Ok(nodes)) = (store.now().await, store.nodes().await) else { continue };
        let is_late = |node: &&NodeRecord| objects.is_late(node, now);
        let late_now: HashSet<String> =
            nodes.iter().filter(is_late).map(|node| node.name.clone()).collect();
        if let Some(before) = late.replace(late_now.clone()) {
            let notices: Vec<Notice> = nodes
                .iter()
                .filter(|node| before.contains(&node.name) != late_now.contains(&node.name))
                .map(|node| resolver.node_notice(node, now, position))
                .collect();
            if !notices.is_empty() {
                let position = ResourceVersion::default();
                shared.tell(Signal::Batch(Arc::new(Batch { notices, position, now })));
            }
        }
    }
}
