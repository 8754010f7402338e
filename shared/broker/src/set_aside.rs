//! Tickets that were set aside: the coordinators' end of the dead-letter queue.

use futures::StreamExt;
use lapin::message::Delivery as Message;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::{AMQPValue, FieldTable};
use longshore_support::chain::Chain;
use longshore_support::retry::{Policy, Server};
use tracing::warn;

use crate::connection::{BrokerSettings, Connected, connect, within};
use crate::{BrokerError, Publisher, Ticket, topology};

/// Taken at a time: one, since there are few, and each is answered before the next.
const PREFETCH: u16 = 1;

/// A ticket whose readers were lost, one after the other, before any of them answered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    pub ticket: Ticket,
    /// How many readers were lost with it.
    pub readers: u32,
}

/// Hands each ticket that is set aside to `pass_on`, and again if that is dropped before it returns.
/// Connects by itself, and again whenever the connection breaks; never returns.
///
/// It has a connection of its own: the publisher's takes nothing while the server has an alarm raised.
pub async fn hear_set_aside<Done: Future<Output = ()>>(
    publisher: &Publisher,
    pass_on: impl Fn(SetAside) -> Done,
) {
    let Publisher { settings, name, .. } = publisher;
    let server = Server::new("RabbitMQ", settings.server());
    let mut delays = Policy::SERVER.delays();
    loop {
        match open(settings, name).await {
            Ok((_connection, mut messages)) => {
                server.answered();
                delays.reset();
                while let Some(Ok(message)) = messages.next().await {
                    answer(message, &pass_on).await;
                }
                server.failed(&"the connection or its channel broke");
            }
            Err(error) => server.failed(&Chain(&error)),
        }
        tokio::time::sleep(delays.next().unwrap_or(Policy::SERVER.cap)).await;
    }
}

async fn open(
    settings: &BrokerSettings,
    name: &str,
) -> Result<(Connected, lapin::Consumer), BrokerError> {
    let connected = connect(settings, &format!("{name} set-aside")).await?;
    let consumer = within(&connected.server, async {
        let channel = topology::open(&connected.connection).await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let (queue, tag) = (topology::DEAD.into(), "set-aside".into());
        channel.basic_consume(queue, tag, options, FieldTable::default()).await
    })
    .await?;
    Ok((connected, consumer))
}

/// Answers a message; one that this doesn't reach comes again.
async fn answer<Done: Future<Output = ()>>(message: Message, pass_on: &impl Fn(SetAside) -> Done) {
    let done = match Ticket::decode(&message.data) {
        Err(why) => {
            warn!(
                why,
                size = message.data.len(),
                "a message in the ticket queue is no ticket; kept for a look"
            );
            message.acker.reject(BasicRejectOptions { requeue: false }).await
        }
        Ok(ticket) if cause(&message).as_deref() != Some("delivery_limit") => {
            // Its owner publishes it again, if it still stands.
            warn!(?ticket, "a worker could not read a ticket; is it of an older release?");
            message.acker.ack(BasicAckOptions::default()).await
        }
        Ok(ticket) => {
            let readers = topology::DELIVERY_LIMIT.unsigned_abs() + 1;
            pass_on(SetAside { ticket, readers }).await;
            message.acker.ack(BasicAckOptions::default()).await
        }
    };
    if let Err(error) = done {
        warn!("a set-aside message is not answered, and comes again: {error}");
    }
}

/// Why the message left its first queue, in RabbitMQ's words.
fn cause(message: &Message) -> Option<String> {
    let headers = message.properties.headers().as_ref()?;
    match headers.inner().get("x-first-death-reason")? {
        AMQPValue::LongString(reason) => Some(reason.to_string()),
        _ => None,
    }
}
