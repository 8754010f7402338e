//! Tickets through a real RabbitMQ.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::RabbitMq;
use futures::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use longshore_broker::{
    BrokerSettings, Consumer, Delivery, Publisher, SetAside, Slot, Ticket, hear_set_aside,
};
use longshore_support::format::Format;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const BOUND: Duration = Duration::from_secs(30);

const TICKETS: &str = "longshore.tickets.v2";
const DEAD: &str = "longshore.tickets.v2.dead";
const UNREADABLE: &str = "longshore.tickets.v2.unreadable";

fn ticket(index: u32) -> Ticket {
    Ticket::new(Format::newest(), 1, "uid", index, 1)
}

async fn next(slot: &mut Slot, what: &str) -> Delivery {
    timeout(BOUND, slot.next()).await.unwrap_or_else(|_| panic!("{what} ticket in time"))
}

async fn depth_becomes(publisher: &Publisher, wanted: u32) {
    let reached = async {
        while publisher.depth().await.ok() != Some(wanted) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(BOUND, reached).await.unwrap_or_else(|_| panic!("the depth becomes {wanted}"));
}

#[tokio::test]
async fn tickets_and_nudges_pass_and_survive_a_restart() {
    let mut server = RabbitMq::start().await;
    let publisher = Publisher::new(server.settings(), "test");
    let shutdown = CancellationToken::new();
    let consumer = Consumer::start(server.settings(), "worker-1", shutdown.clone());
    timeout(BOUND, consumer.connected()).await.expect("the link stands");

    // One ticket for each slot, none kept behind a busy one.
    let mut slots = [consumer.slot(), consumer.slot()];
    publisher.publish(&[ticket(0), ticket(1), ticket(2)]).await.expect("published");
    let first = next(&mut slots[0], "the first").await;
    let second = next(&mut slots[1], "the second").await;
    assert_eq!((first.ticket.index, second.ticket.index), (0, 1));
    depth_becomes(&publisher, 1).await;

    // A paused slot's ticket stays its own; the slot takes none until asked again.
    slots[0].pause().await;
    first.ack().await;
    depth_becomes(&publisher, 1).await;
    let third = next(&mut slots[0], "the third").await;
    assert_eq!(third.ticket.index, 2);

    // What is given back by a slot that takes no more comes to another.
    slots[0].pause().await;
    third.requeue().await;
    second.ack().await;
    let again = next(&mut slots[1], "the one given back").await;
    assert_eq!(again.ticket.index, 2);
    again.ack().await;

    timeout(BOUND, async {
        tokio::join!(consumer.nudged(), async { publisher.nudge("worker-1").await.expect("sent") })
    })
    .await
    .expect("the nudge is heard");

    // Published before the restart, delivered after it, over links that mend themselves.
    slots[0].pause().await;
    slots[1].pause().await;
    publisher.publish(&[ticket(7)]).await.expect("published");
    server.restart().await;
    let after = next(&mut slots[0], "the one from before the restart").await;
    assert_eq!(after.ticket.index, 7);
    after.ack().await;
    let publish = async {
        while publisher.publish(&[ticket(8)]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(BOUND, publish).await.expect("the publisher connects again");
    next(&mut slots[0], "the one after the restart").await.ack().await;
    shutdown.cancel();
}

#[tokio::test]
async fn what_no_reader_survives_or_can_read_is_set_aside() {
    let server = RabbitMq::start().await;
    // A node that is gone costs the next one a moment.
    let urls = format!("amqp://guest:guest@127.0.0.1:1/%2f,{}", server.url());
    let settings = BrokerSettings::new(&urls).expect("two URLs");
    let publisher = Publisher::new(settings.clone(), "test");
    publisher.publish(&[ticket(0), ticket(1)]).await.expect("published on the node that is there");

    let (sender, mut heard) = mpsc::unbounded_channel();
    let listener = publisher.clone();
    tokio::spawn(async move {
        hear_set_aside(&listener, |ticket| {
            sender.send(ticket).expect("heard");
            std::future::ready(())
        })
        .await;
    });
    // Each reader takes what it is given and is lost. The first leaves it to the others.
    for _ in 0..21 {
        assert_eq!(heard.try_recv().ok(), None, "not before the last reader");
        read_and_be_lost(&server, ticket(0)).await;
    }
    let set_aside = timeout(BOUND, heard.recv()).await.expect("in time");
    assert_eq!(set_aside, Some(SetAside { ticket: ticket(0), readers: 21 }));

    // No ticket: kept for a look. The one behind it is unharmed by all this.
    let shutdown = CancellationToken::new();
    let consumer = Consumer::start(settings, "worker-1", shutdown.clone());
    let mut slot = consumer.slot();
    assert_eq!(next(&mut slot, "the other").await.ticket, ticket(1));
    slot.pause().await;
    let (_other, channel) = connect(&server).await;
    channel
        .basic_publish(
            "".into(),
            TICKETS.into(),
            BasicPublishOptions::default(),
            b"no ticket",
            BasicProperties::default(),
        )
        .await
        .expect("published");
    let reader = tokio::spawn(async move { slot.next().await });
    let kept = async {
        while depth(&channel, UNREADABLE).await != 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(BOUND, kept).await.expect("kept for a look");
    assert_eq!(depth(&channel, DEAD).await, 0);
    assert_eq!(heard.try_recv().ok(), None);
    reader.abort();
    shutdown.cancel();
}

async fn connect(server: &RabbitMq) -> (Connection, Channel) {
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&server.url(), properties).await.expect("connected");
    let channel = connection.create_channel().await.expect("a channel");
    (connection, channel)
}

async fn depth(channel: &Channel, queue: &str) -> u32 {
    let passive = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
    let declared = channel.queue_declare(queue.into(), passive, FieldTable::default()).await;
    declared.expect("it exists").message_count()
}

/// Takes the first ticket of the queue and closes the connection without a word.
async fn read_and_be_lost(server: &RabbitMq, expected: Ticket) {
    let (connection, channel) = connect(server).await;
    channel.basic_qos(1, BasicQosOptions::default()).await.expect("prefetch");
    let mut messages = channel
        .basic_consume(
            TICKETS.into(),
            "reader".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .expect("consuming");
    let message = timeout(BOUND, messages.next()).await.expect("in time");
    let message = message.expect("a delivery").expect("no error");
    assert_eq!(Ticket::decode(&message.data), Ok(expected));
    connection.close(200, "lost".into()).await.expect("closed");
}

#[tokio::test]
async fn no_server_is_an_error_that_says_where() {
    let settings =
        longshore_broker::BrokerSettings::new("amqp://u:secret@127.0.0.1:1").expect("valid");
    let error = Publisher::new(settings, "test").check().await.expect_err("nobody listens");
    let text = error.to_string();
    assert!(text.contains("RabbitMQ at 127.0.0.1:1"), "{text}");
    assert!(!text.contains("secret"));

    let two = "amqp://u:secret@127.0.0.1:1,amqp://u:secret@127.0.0.1:2";
    let settings = BrokerSettings::new(two).expect("valid");
    let error = Publisher::new(settings, "test").check().await.expect_err("nobody listens");
    let text = error.to_string();
    for node in
        ["RabbitMQ at 127.0.0.1:1 can't be used: ", "RabbitMQ at 127.0.0.1:2 can't be used: "]
    {
        assert!(text.contains(node), "{text}");
    }
    assert!(!text.contains("secret"));
}
