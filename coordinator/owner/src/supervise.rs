//! Keeps this coordinator's share of the shards served.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use longshore_broker::Publisher;
use longshore_store::{Owned, Shard, ShardMeta, Store, StoreError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::incarnations::Incarnations;
use crate::patient::{pause, waits};
use crate::term::{self, Term};
use crate::watch::{Decision, Watch};
use crate::{OwnerError, OwnerSettings};

/// How often the beats are looked at, and this coordinator's own is shown.
const LOOK: Duration = Duration::from_millis(500);

/// How long the terms may take to end at shutdown.
const FAREWELL: Duration = Duration::from_secs(5);

/// What all terms of this coordinator share.
pub(crate) struct Context {
    pub(crate) settings: OwnerSettings,
    pub(crate) store: Store,
    pub(crate) publisher: Publisher,
    pub(crate) incarnations: Incarnations,
}

pub(crate) async fn run(
    settings: OwnerSettings,
    store: Store,
    publisher: Publisher,
    shutdown: CancellationToken,
) -> Result<(), OwnerError> {
    let watch = Watch::new(&settings.name);
    let context =
        Arc::new(Context { settings, store, publisher, incarnations: Incarnations::default() });
    let mut supervisor =
        Supervisor { context, watch, running: HashMap::new(), terms: JoinSet::new() };
    let mut waits = waits();
    let result = loop {
        let look = async {
            match supervisor.look().await {
                Ok(()) => waits.reset(),
                Err(error @ StoreError::Format { .. }) => return Err(OwnerError::Outdated(error)),
                Err(error) => pause(&error, &mut waits).await,
            }
            Ok(())
        };
        tokio::select! {
            () = shutdown.cancelled() => break Ok(()),
            looked = look => if looked.is_err() { break looked },
        }
        let next = tokio::time::sleep(LOOK);
        tokio::pin!(next);
        let broken = loop {
            tokio::select! {
                () = shutdown.cancelled() => break None,
                () = &mut next => break None,
                Some(ended) = supervisor.terms.join_next() => match ended {
                    Ok(shard) => { supervisor.running.remove(&shard); }
                    Err(error) => break Some(error),
                },
            }
        };
        if let Some(error) = broken {
            break Err(OwnerError::Broken(error));
        }
    };
    supervisor.farewell().await;
    result
}

struct Supervisor {
    context: Arc<Context>,
    watch: Watch,
    running: HashMap<Shard, CancellationToken>,
    terms: JoinSet<Shard>,
}

impl Supervisor {
    /// Shows that this coordinator is alive, and takes and gives back shards.
    async fn look(&mut self) -> Result<(), StoreError> {
        let Context { settings, store, .. } = &*self.context;
        // Beyond a look's own time a late answer says nothing about the present.
        let store = store.with_patience(2 * LOOK);
        store.coordinator_beat(&settings.name, &settings.listen).await?;
        let peers = store.coordinators().await?;
        store.raise_format(&peers).await?;
        let metas = store.shard_metas().await?;
        self.context.incarnations.see(&metas);
        let now = Instant::now();
        let others = peers.into_iter().filter(|peer| peer.name != settings.name);
        self.watch.look(now, others.map(|peer| (peer.name, peer.beat)), &metas);
        for (shard, meta) in store.all_shards().zip(&metas) {
            let running = self.running.get(&shard);
            match self.watch.decide(now, shard, meta, running.is_some()) {
                Decision::Leave => {}
                Decision::GiveBack => {
                    if let Some(stop) = running {
                        stop.cancel();
                    }
                }
                Decision::Take => self.take(shard, meta).await?,
            }
        }
        Ok(())
    }

    async fn take(&mut self, shard: Shard, seen: &ShardMeta) -> Result<(), StoreError> {
        let Context { settings, store, .. } = &*self.context;
        let owned = store.own(shard, &settings.name, seen).await?;
        let Owned::Yes { epoch, pos, accepted } = owned else { return Ok(()) };
        info!(%shard, epoch = epoch.number, before = %seen.owner, "took a shard");
        self.watch.took(shard, epoch.number);
        let stop = CancellationToken::new();
        self.running.insert(shard, stop.clone());
        let term = Term { shard, epoch, pos, accepted };
        let context = Arc::clone(&self.context);
        self.terms.spawn(async move {
            term::serve(context, term, stop).await;
            shard
        });
        Ok(())
    }

    /// Gives all shards back, so that others need not wait until they count as gone.
    async fn farewell(mut self) {
        for stop in self.running.values() {
            stop.cancel();
        }
        let ended = async { while self.terms.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, ended).await.is_err() {
            warn!("some shards could not be given back in time");
        }
    }
}
