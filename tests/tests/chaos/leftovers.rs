//! What is still there once every Job has ended.

use anyhow::Result;
use bollard::query_parameters::ListContainersOptionsBuilder;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use longshore_tests::history::Leftovers;
use longshore_tests::{TICKETS, docker, secs, until};
use redis::AsyncCommands;

use crate::chaos::fleet::Fleet;

/// Waits until nothing is left; gives what stays in spite of that.
pub(crate) async fn leftovers(fleet: &Fleet) -> Result<Leftovers> {
    let mut last = Leftovers::default();
    // Sweeps come every ten seconds.
    let gone = until("nothing is left", secs(40), async || {
        last = look(fleet).await?;
        Ok(if last == Leftovers::default() { Ok(()) } else { Err(()) })
    });
    match gone.await {
        Ok(()) => Ok(Leftovers::default()),
        Err(_) => Ok(last),
    }
}

async fn look(fleet: &Fleet) -> Result<Leftovers> {
    let mut left = Leftovers::default();
    for host in &fleet.hosts {
        let engine = docker(Some(&host.engine.host()))?;
        let all = ListContainersOptionsBuilder::default().all(true).build();
        for container in engine.list_containers(Some(all)).await? {
            left.containers.extend(container.names.into_iter().flatten());
        }
    }
    let client = redis::Client::open(fleet.redis.lock().await.url())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    for pattern in ["*:held:*", "*:live:*", "*:sessions"] {
        let mut keys = connection.scan_match::<_, String>(pattern).await?;
        while let Some(key) = keys.next_item().await {
            left.records.push(key?);
        }
    }
    let (_connection, channel) = fleet.rabbitmq().await?;
    let passive = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
    let queue = channel.queue_declare(TICKETS.into(), passive, FieldTable::default());
    left.tickets = queue.await?.message_count();
    Ok(left)
}
