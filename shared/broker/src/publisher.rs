//! The coordinator's side: tickets and nudges go out.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use futures::{Stream, StreamExt};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, Event};
use tokio::sync::{Mutex, watch};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::connection::{BrokerSettings, Connected, PATIENCE, connect, silent, unusable, within};
use crate::{BrokerError, Ticket, topology};

/// Publishes over a connection of its own, made when first needed and again after it breaks.
#[derive(Clone)]
pub struct Publisher {
    pub(crate) settings: BrokerSettings,
    pub(crate) name: Arc<str>,
    link: Arc<Mutex<Option<Link>>>,
}

#[derive(Clone)]
struct Link {
    channel: Channel,
    server: Arc<str>,
    /// Whether the server has raised an alarm and takes nothing over this connection.
    blocked: watch::Receiver<bool>,
    /// Held because the connection closes with its last handle.
    connection: Arc<Connection>,
}

impl Publisher {
    /// `name` is what RabbitMQ shows of the connection.
    pub fn new(settings: BrokerSettings, name: &str) -> Self {
        Self { settings, name: name.into(), link: Arc::default() }
    }

    /// Makes sure that the broker answers.
    pub async fn check(&self) -> Result<(), BrokerError> {
        self.depth().await.map(drop)
    }

    /// Publishes tickets and waits until the broker has taken all of them, for as long as it has an alarm
    /// raised if need be. After an error any of them may have been published: publish all again, a doubled
    /// ticket is harmless.
    pub async fn publish(&self, tickets: &[Ticket]) -> Result<(), BrokerError> {
        if tickets.is_empty() {
            return Ok(());
        }
        let link = self.link().await?;
        let result = link.within(send(&link.channel, tickets)).await;
        match self.keep_if_ok(&link, result).await? {
            Ok(()) => Ok(()),
            Err(why) => {
                // An unroutable ticket means that the queue is gone: the next link declares it.
                self.drop_link(&link).await;
                Err(BrokerError::Refused { server: link.server.to_string(), why })
            }
        }
    }

    /// Tells a worker to renew its leases now, where it hears what has changed. Best effort.
    pub async fn nudge(&self, worker: &str) -> Result<(), BrokerError> {
        let link = self.link().await?;
        if *link.blocked.borrow() {
            return Err(BrokerError::Blocked { server: link.server.to_string() });
        }
        let publish = link.channel.basic_publish(
            topology::CONTROL.into(),
            worker.into(),
            BasicPublishOptions::default(),
            b"renew",
            BasicProperties::default(),
        );
        let result = link.within(publish).await;
        self.keep_if_ok(&link, result).await.map(drop)
    }

    /// How many tickets wait in the queue for a free slot.
    pub async fn depth(&self) -> Result<u32, BrokerError> {
        let link = self.link().await?;
        let passive = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
        let declare =
            link.channel.queue_declare(topology::TICKETS.into(), passive, FieldTable::default());
        let result = link.within(declare).await;
        Ok(self.keep_if_ok(&link, result).await?.message_count())
    }

    async fn link(&self) -> Result<Link, BrokerError> {
        let mut link = self.link.lock().await;
        if let Some(link) = link.as_ref().filter(|link| link.channel.status().connected()) {
            return Ok(link.clone());
        }
        let Connected { connection, server } = connect(&self.settings, &self.name).await?;
        let channel = within(&server, open(&connection)).await?;
        let (sender, blocked) = watch::channel(false);
        tokio::spawn(watch_alarms(connection.events_listener(), server.clone(), sender));
        let made = Link { channel, server, blocked, connection: Arc::new(connection) };
        *link = Some(made.clone());
        Ok(made)
    }

    async fn keep_if_ok<T>(
        &self,
        link: &Link,
        result: Result<T, BrokerError>,
    ) -> Result<T, BrokerError> {
        if result.is_err() {
            self.drop_link(link).await;
        }
        result
    }

    /// Gives up a link that failed, but not one that somebody else has made since.
    async fn drop_link(&self, failed: &Link) {
        let mut link = self.link.lock().await;
        if link.as_ref().is_some_and(|link| Arc::ptr_eq(&link.connection, &failed.connection)) {
            *link = None;
        }
    }
}

impl Link {
    /// Bounds a step with the broker. Time in which the connection is blocked doesn't count.
    async fn within<T>(
        &self,
        step: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, BrokerError> {
        match patient(step, self.blocked.clone()).await {
            Some(result) => result.map_err(|error| unusable(&self.server, error)),
            None => Err(silent(&self.server, PATIENCE)),
        }
    }
}

/// What a step comes to; nothing if it takes longer than [`PATIENCE`] at a time while `blocked` is false.
async fn patient<T>(
    step: impl Future<Output = T>,
    mut blocked: watch::Receiver<bool>,
) -> Option<T> {
    let mut step = pin!(step);
    // Whether nobody says any more whether it is blocked: the connection has ended.
    let mut is_over = false;
    loop {
        let is_blocked = *blocked.borrow_and_update() && !is_over;
        tokio::select! {
            result = &mut step => return Some(result),
            changed = blocked.changed(), if !is_over => is_over = changed.is_err(),
            () = sleep(PATIENCE), if !is_blocked => return None,
        }
    }
}

/// Says when the server blocks the connection, why, and when it goes on; ends with the connection.
async fn watch_alarms(
    events: impl Stream<Item = Event>,
    server: Arc<str>,
    blocked: watch::Sender<bool>,
) {
    let mut events = pin!(events);
    let mut since = None;
    while let Some(event) = events.next().await {
        match event {
            Event::ConnectionBlocked(reason) => {
                if since.is_none() {
                    warn!(
                        "RabbitMQ at {server} has raised an alarm and takes no tickets, they wait: {reason}"
                    );
                }
                since.get_or_insert_with(Instant::now);
                blocked.send_replace(true);
            }
            Event::ConnectionUnblocked => {
                if let Some(since) = since.take() {
                    let seconds = since.elapsed().as_secs_f64();
                    info!("RabbitMQ at {server} takes tickets again after {seconds:.1} s");
                }
                blocked.send_replace(false);
            }
            _ => {}
        }
    }
}

async fn open(connection: &Connection) -> lapin::Result<Channel> {
    let channel = topology::open(connection).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Publishes all, then awaits the confirms: one round trip for the batch. The inner error says why
/// the broker did not take a ticket.
async fn send(channel: &Channel, tickets: &[Ticket]) -> lapin::Result<Result<(), &'static str>> {
    const PERSISTENT: u8 = 2;
    let mut confirms = Vec::with_capacity(tickets.len());
    for ticket in tickets {
        let confirm = channel
            .basic_publish(
                "".into(),
                topology::TICKETS.into(),
                // A message without a queue is confirmed too; `mandatory` gives it back.
                BasicPublishOptions { mandatory: true, ..Default::default() },
                &ticket.encode(),
                BasicProperties::default().with_delivery_mode(PERSISTENT),
            )
            .await?;
        confirms.push(confirm);
    }
    for confirm in confirms {
        match confirm.await? {
            Confirmation::Ack(None) => {}
            Confirmation::Ack(Some(_)) => return Ok(Err("its queue does not exist")),
            Confirmation::Nack(_) => return Ok(Err("it answered with a nack")),
            Confirmation::NotRequested => return Ok(Err("confirms are not on")),
        }
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use tokio::time::{Instant, advance};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn a_step_is_waited_for_as_long_as_the_server_is_blocked() {
        let (blocks, blocked) = watch::channel(true);
        let step = tokio::spawn(patient(sleep(2 * HOUR), blocked.clone()));
        sleep(2 * HOUR).await;
        assert_eq!(step.await.expect("no panic"), Some(()), "taken while it is blocked");

        let step = tokio::spawn(patient(pending::<()>(), blocked.clone()));
        sleep(HOUR).await;
        assert!(!step.is_finished(), "blocked");
        let began = Instant::now();
        blocks.send_replace(false);
        assert_eq!(step.await.expect("no panic"), None, "silent, and not blocked");
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_ended_is_not_blocked() {
        let (blocks, blocked) = watch::channel(true);
        let step = tokio::spawn(patient(pending::<()>(), blocked));
        advance(HOUR).await;
        drop(blocks);
        let began = Instant::now();
        assert_eq!(step.await.expect("no panic"), None);
        assert_eq!(began.elapsed(), PATIENCE);
    }
}
