//! What goes to RabbitMQ: beside the owner's loop, which must not wait for a broker that is slow.

use std::collections::BTreeSet;
use std::time::Duration;

use longshore_broker::{BrokerError, Publisher, Ticket};
use longshore_support::chain::Chain;
use longshore_support::retry::Policy;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

/// Tickets published in one round trip.
const BATCH: usize = 500;

const WAITS: Policy = Policy::new(Duration::from_millis(100), Duration::from_secs(2));

/// The owner's end. There are never more tickets waiting than attempts are offered, since while the
/// broker is away only new offers are added.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    tickets: UnboundedSender<Tickets>,
    nudges: UnboundedSender<String>,
}

/// The end that publishes.
#[derive(Debug)]
pub(crate) struct Outbox {
    tickets: UnboundedReceiver<Tickets>,
    nudges: UnboundedReceiver<String>,
}

#[derive(Debug)]
enum Tickets {
    Publish(Vec<Ticket>),
    PublishIfIdle(Vec<Ticket>),
}

pub(crate) fn channel() -> (Mail, Outbox) {
    let (tickets, tickets_end) = mpsc::unbounded_channel();
    let (nudges, nudges_end) = mpsc::unbounded_channel();
    (Mail { tickets, nudges }, Outbox { tickets: tickets_end, nudges: nudges_end })
}

impl Mail {
    /// Publishes tickets, as soon as the broker takes them.
    pub(crate) fn publish(&self, tickets: Vec<Ticket>) {
        self.send(Tickets::Publish(tickets));
    }

    /// Publishes tickets if none waits in the queue; they may be lost.
    pub(crate) fn publish_if_idle(&self, tickets: Vec<Ticket>) {
        self.send(Tickets::PublishIfIdle(tickets));
    }

    /// Tells a worker to renew now. It hears the same at its next renewal anyway.
    pub(crate) fn nudge(&self, worker: String) {
        // The other end is gone only when the term is over.
        let _ = self.nudges.send(worker);
    }

    fn send(&self, tickets: Tickets) {
        let (Tickets::Publish(list) | Tickets::PublishIfIdle(list)) = &tickets;
        if !list.is_empty() {
            let _ = self.tickets.send(tickets);
        }
    }
}

impl Outbox {
    /// Publishes what comes in until the owner's end is gone; tickets only once claims are granted, as they
    /// would be taken for nothing before.
    pub(crate) async fn run(self, publisher: &Publisher, granted: oneshot::Receiver<()>) {
        let tickets = async {
            if granted.await.is_ok() {
                publish(self.tickets, publisher).await;
            }
        };
        tokio::join!(tickets, nudge(self.nudges, publisher));
    }
}

async fn publish(mut mail: UnboundedReceiver<Tickets>, publisher: &Publisher) {
    while let Some(first) = mail.recv().await {
        let (mut tickets, mut doubtful) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(more) = next {
            match more {
                Tickets::Publish(more) => tickets.extend(more),
                Tickets::PublishIfIdle(more) => doubtful.extend(more),
            }
            next = mail.try_recv().ok();
        }
        if !doubtful.is_empty() && tickets.is_empty() {
            match publisher.depth().await {
                Ok(0) => {
                    info!("{} tickets may be lost: publishing them again", doubtful.len());
                    tickets = doubtful;
                }
                Ok(_) => {}
                Err(error) => debug!("the queue can't be looked at: {}", Chain(&error)),
            }
        }
        for batch in tickets.chunks(BATCH) {
            publish_batch(batch, publisher).await;
        }
    }
}

/// Publishes until the broker has taken them all. What it took before it failed is doubled.
async fn publish_batch(batch: &[Ticket], publisher: &Publisher) {
    let mut waits = WAITS.delays();
    let mut failed = false;
    while let Err(error) = publisher.publish(batch).await {
        if !failed {
            say(&error);
        }
        failed = true;
        if let Some(wait) = waits.next() {
            tokio::time::sleep(wait).await;
        }
    }
    if failed {
        info!("tickets are published again");
    }
}

async fn nudge(mut nudges: UnboundedReceiver<String>, publisher: &Publisher) {
    while let Some(first) = nudges.recv().await {
        let mut workers = BTreeSet::from([first]);
        while let Ok(more) = nudges.try_recv() {
            workers.insert(more);
        }
        for worker in workers {
            if let Err(error) = publisher.nudge(&worker).await {
                debug!(%worker, "not nudged: {}", Chain(&error));
            }
        }
    }
}

fn say(error: &BrokerError) {
    warn!("tickets can't be published, trying on: {}", Chain(error));
}
