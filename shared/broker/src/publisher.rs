//! The coordinator's side: tickets and nudges go out.

use std::sync::Arc;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use tokio::sync::Mutex;

use crate::connection::{BrokerSettings, connect, within};
use crate::{BrokerError, Ticket, topology};

/// Publishes over a connection of its own, made when first needed and again after it breaks.
#[derive(Clone)]
pub struct Publisher {
    settings: BrokerSettings,
    name: Arc<str>,
    link: Arc<Mutex<Option<Link>>>,
}

#[derive(Clone)]
struct Link {
    channel: Channel,
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

    /// Publishes tickets and waits until the broker has taken all of them. After an error any of
    /// them may have been published: publish all again, a doubled ticket is harmless.
    pub async fn publish(&self, tickets: &[Ticket]) -> Result<(), BrokerError> {
        if tickets.is_empty() {
            return Ok(());
        }
        let link = self.link().await?;
        let result = within(&self.settings, send(&link.channel, tickets)).await;
        match self.keep_if_ok(&link, result).await? {
            Ok(()) => Ok(()),
            Err(why) => {
                // An unroutable ticket means that the queue is gone: the next link declares it.
                self.drop_link(&link).await;
                Err(BrokerError::Refused { server: self.settings.server(), why })
            }
        }
    }

    /// Tells a worker to renew its leases now, where it hears what has changed. Best effort.
    pub async fn nudge(&self, worker: &str) -> Result<(), BrokerError> {
        let link = self.link().await?;
        let publish = link.channel.basic_publish(
            topology::CONTROL.into(),
            worker.into(),
            BasicPublishOptions::default(),
            b"renew",
            BasicProperties::default(),
        );
        let result = within(&self.settings, publish).await;
        self.keep_if_ok(&link, result).await.map(drop)
    }

    /// How many tickets wait in the queue for a free slot.
    pub async fn depth(&self) -> Result<u32, BrokerError> {
        let link = self.link().await?;
        let passive = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
        let declare =
            link.channel.queue_declare(topology::TICKETS.into(), passive, FieldTable::default());
        let result = within(&self.settings, declare).await;
        Ok(self.keep_if_ok(&link, result).await?.message_count())
    }

    async fn link(&self) -> Result<Link, BrokerError> {
        let mut link = self.link.lock().await;
        if let Some(link) = link.as_ref().filter(|link| link.channel.status().connected()) {
            return Ok(link.clone());
        }
        let connection = connect(&self.settings, &self.name).await?;
        let channel = within(&self.settings, open(&connection)).await?;
        let made = Link { channel, connection: Arc::new(connection) };
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

async fn open(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    topology::declare(&channel).await?;
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
