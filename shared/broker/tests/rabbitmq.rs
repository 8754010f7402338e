//! Tickets through a real RabbitMQ.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::RabbitMq;
use longshore_broker::{Consumer, Delivery, Publisher, Slot, Ticket};
use longshore_support::format::Format;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const BOUND: Duration = Duration::from_secs(30);

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
async fn no_server_is_an_error_that_says_where() {
    let settings =
        longshore_broker::BrokerSettings::new("amqp://u:secret@127.0.0.1:1").expect("valid");
    let error = Publisher::new(settings, "test").check().await.expect_err("nobody listens");
    let text = error.to_string();
    assert!(text.contains("RabbitMQ at 127.0.0.1:1"), "{text}");
    assert!(!text.contains("secret"));
}
