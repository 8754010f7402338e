//! What goes to RabbitMQ: beside the owner's loop, which must not wait for a broker that is slow.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use longshore_broker::{BrokerError, Publisher, Ticket};
use longshore_support::chain::Chain;
use longshore_support::retry::Policy;
use tokio::sync::{Notify, oneshot};
use tracing::{debug, info, warn};

/// Tickets published in one round trip.
const BATCH: usize = 500;

const WAITS: Policy = Policy::new(Duration::from_millis(100), Duration::from_secs(2));

/// The owner's end.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    waiting: Arc<Waiting>,
}

/// The end that publishes.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: Arc<Waiting>,
}

/// What is to be published. However long the broker is away or takes nothing, each ticket and each nudge
/// waits here once.
#[derive(Debug, Default)]
struct Waiting {
    tickets: Mutex<Tickets>,
    added: Notify,
    /// The names of workers.
    nudges: Mutex<BTreeSet<String>>,
    nudged: Notify,
}

#[derive(Debug, Default)]
struct Tickets {
    publish: Once,
    /// If none waits in the queue.
    publish_if_idle: Once,
}

/// Tickets in order, each once.
#[derive(Debug, Default)]
struct Once {
    list: Vec<Ticket>,
    known: HashSet<Ticket>,
}

pub(crate) fn channel() -> (Mail, Outbox) {
    let waiting = Arc::<Waiting>::default();
    (Mail { waiting: waiting.clone() }, Outbox { waiting })
}

impl Mail {
    /// Publishes tickets, as soon as the broker takes them.
    pub(crate) fn publish(&self, tickets: Vec<Ticket>) {
        self.waiting.add(tickets, |all| &mut all.publish);
    }

    /// Publishes tickets if none waits in the queue; they may be lost.
    pub(crate) fn publish_if_idle(&self, tickets: Vec<Ticket>) {
        self.waiting.add(tickets, |all| &mut all.publish_if_idle);
    }

    /// Tells a worker to renew now. It hears the same at its next renewal anyway.
    pub(crate) fn nudge(&self, worker: String) {
        lock(&self.waiting.nudges).insert(worker);
        self.waiting.nudged.notify_one();
    }
}

impl Outbox {
    /// Publishes what comes in, tickets only once claims are granted, as they would be taken for nothing
    /// before; never returns.
    pub(crate) async fn run(self, publisher: &Publisher, granted: oneshot::Receiver<()>) {
        let tickets = async {
            if granted.await.is_ok() {
                publish(&self.waiting, publisher).await;
            }
        };
        tokio::join!(tickets, nudge(&self.waiting, publisher));
    }
}

impl Waiting {
    fn add(&self, tickets: Vec<Ticket>, to: impl FnOnce(&mut Tickets) -> &mut Once) {
        if !tickets.is_empty() {
            to(&mut lock(&self.tickets)).add(tickets);
            self.added.notify_one();
        }
    }

    /// All that waits: to be published, and to be published if none waits in the queue.
    fn take(&self) -> (Vec<Ticket>, Vec<Ticket>) {
        let Tickets { publish, publish_if_idle } = std::mem::take(&mut *lock(&self.tickets));
        (publish.list, publish_if_idle.list)
    }
}

impl Once {
    fn add(&mut self, tickets: Vec<Ticket>) {
        for ticket in tickets {
            if self.known.insert(ticket.clone()) {
                self.list.push(ticket);
            }
        }
    }
}

async fn publish(waiting: &Waiting, publisher: &Publisher) {
    loop {
        waiting.added.notified().await;
        let (mut tickets, doubtful) = waiting.take();
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

async fn nudge(waiting: &Waiting, publisher: &Publisher) {
    loop {
        waiting.nudged.notified().await;
        let workers = std::mem::take(&mut *lock(&waiting.nudges));
        for worker in workers {
            if let Err(error) = publisher.nudge(&worker).await {
                debug!(%worker, "not nudged: {}", Chain(&error));
            }
        }
    }
}

/// Nothing that holds one of these can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn say(error: &BrokerError) {
    warn!("tickets can't be published, trying on: {}", Chain(error));
}

#[cfg(test)]
mod tests {
    use longshore_support::format::Format;

    use super::*;

    #[test]
    fn a_ticket_waits_once_and_in_order_however_often_it_is_asked_for() {
        let ticket = |index| Ticket::new(Format::newest(), 0, "uid", index, 1);
        let (mail, outbox) = channel();
        for _ in 0..1000 {
            mail.publish(vec![ticket(2), ticket(0)]);
            mail.publish_if_idle(vec![ticket(1), ticket(2)]);
        }
        assert_eq!(outbox.waiting.take(), (vec![ticket(2), ticket(0)], vec![ticket(1), ticket(2)]));
        mail.publish(vec![ticket(0)]);
        assert_eq!(outbox.waiting.take(), (vec![ticket(0)], vec![]), "it may be asked for again");
    }
}
