//! The queues and exchanges that Longshore uses, declared the same way by everyone.
//!
//! | queue | what is in it |
//! | --- | --- |
//! | `longshore.tickets.v2` | tickets for all workers |
//! | `longshore.tickets.v2.dead` | tickets that came back unanswered too often, and messages that no worker can read; coordinators empty it |
//! | `longshore.tickets.v2.unreadable` | messages that no coordinator can read either, kept for whoever looks |
//!
//! All are quorum queues, so that a cluster has them on each of its nodes.
//!
//! RabbitMQ refuses to declare a queue that exists with other arguments, so their names have a number that
//! rises with any change of an argument: an upgrade finds no queue that it would have to delete under a
//! program of the release before. Tickets left in the queue of another number are published again by their
//! owners, as if they were lost.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ExchangeKind};

pub(crate) const TICKETS: &str = "longshore.tickets.v2";
pub(crate) const DEAD: &str = "longshore.tickets.v2.dead";
const UNREADABLE: &str = "longshore.tickets.v2.unreadable";
/// Nudges to single workers, by name.
pub(crate) const CONTROL: &str = "longshore.control";
/// How often a ticket may come back unanswered before it is set aside. Said explicitly because RabbitMQ's
/// own default differs by version: none before 4.0, 20 since.
pub(crate) const DELIVERY_LIMIT: i32 = 20;
/// Messages kept in the queues beside the tickets, the newest.
const KEPT: i32 = 10_000;

/// Opens a channel and declares everything; doing it again changes nothing.
pub(crate) async fn open(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    // What is refused or returned too often goes on to the queue named last.
    quorum(&channel, UNREADABLE, &[("x-max-length", number(KEPT))], None).await?;
    quorum(&channel, DEAD, &[("x-max-length", number(KEPT))], Some(UNREADABLE)).await?;
    quorum(&channel, TICKETS, &[], Some(DEAD)).await?;
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel
        .exchange_declare(CONTROL.into(), ExchangeKind::Direct, durable, FieldTable::default())
        .await?;
    Ok(channel)
}

/// Declares the queue on which one worker hears its nudges, and returns its name. It goes with the
/// connection: a nudge that is lost costs seconds only, as the next renewal says the same.
pub(crate) async fn declare_control(channel: &Channel, worker: &str) -> lapin::Result<String> {
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?;
    let name = queue.name().to_string();
    channel
        .queue_bind(
            name.as_str().into(),
            CONTROL.into(),
            worker.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    Ok(name)
}

async fn quorum(
    channel: &Channel,
    name: &str,
    more: &[(&str, AMQPValue)],
    dead_letters: Option<&str>,
) -> lapin::Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    if let Some(queue) = dead_letters {
        arguments.insert("x-delivery-limit".into(), number(DELIVERY_LIMIT));
        // The exchange without a name knows every queue by its own.
        arguments.insert("x-dead-letter-exchange".into(), text(""));
        arguments.insert("x-dead-letter-routing-key".into(), text(queue));
    }
    for (key, value) in more {
        arguments.insert((*key).into(), value.clone());
    }
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(name.into(), durable, arguments).await.map(drop)
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn number(value: i32) -> AMQPValue {
    AMQPValue::LongInt(value)
}
