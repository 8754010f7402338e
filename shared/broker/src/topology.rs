//! The queues and exchanges that Longshore uses, declared the same way by everyone.

use lapin::Channel;
use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};

/// Tickets for all workers.
pub(crate) const TICKETS: &str = "longshore.tickets";
/// Nudges to single workers, by name.
pub(crate) const CONTROL: &str = "longshore.control";
/// How often a ticket may come back unanswered before it is dropped; the owner publishes it again
/// if its attempt still stands. Said explicitly because RabbitMQ's own default differs by version:
/// none before 4.0, 20 since.
const DELIVERY_LIMIT: i32 = 50;

/// Declares everything; doing it again changes nothing.
pub(crate) async fn declare(channel: &Channel) -> lapin::Result<()> {
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    let mut tickets = FieldTable::default();
    tickets.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    tickets.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
    channel.queue_declare(TICKETS.into(), durable, tickets).await?;
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel
        .exchange_declare(CONTROL.into(), ExchangeKind::Direct, durable, FieldTable::default())
        .await
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
