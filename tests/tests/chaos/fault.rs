//! The faults: what each takes away, for how long, and how it is given back.

use std::time::Duration;

use anyhow::{Context, Result};
use lapin::Channel;
use lapin::options::{QueueDeleteOptions, QueuePurgeOptions};
use longshore_tests::history::now;
use longshore_tests::{TICKETS, Traffic, secs, until};
use rustix::process::Signal;
use tokio::time::sleep;

use crate::chaos::fleet::{Fleet, Host, LEASE};

/// A fault of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OfHost {
    /// And started again at once: it adopts what it ran.
    WorkerKilled,
    /// Until its lease has run out.
    WorkerGone,
    /// SIGSTOP until its lease has run out.
    WorkerFrozen,
    /// Worker and coordinator together; their containers live on.
    ProcessesGone,
    /// Containers included.
    HostLost,
    DaemonKilled,
    DaemonRestarted,
    /// SIGSTOP until leases would have run out.
    DaemonFrozen,
    RedisCut,
    RabbitmqCut,
    BothCut,
    RequestsCut,
    RepliesCut,
    /// Slower than the client waits.
    RedisSlow,
}

/// A fault of what all hosts share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OfServers {
    CoordinatorKilled,
    CoordinatorFrozen,
    CoordinatorsCut,
    RedisKilled,
    /// Back with an older file.
    RedisRewound,
    /// The clock that Redis sees, by an hour.
    ClockForward,
    ClockBack,
    /// Back with an older file and an earlier clock at once.
    RedisRewoundInThePast,
    RabbitmqKilled,
    TicketsPurged,
    QueueDeleted,
}

pub(crate) const OF_HOST: [OfHost; 14] = [
    OfHost::WorkerKilled,
    OfHost::WorkerGone,
    OfHost::WorkerFrozen,
    OfHost::ProcessesGone,
    OfHost::HostLost,
    OfHost::DaemonKilled,
    OfHost::DaemonRestarted,
    OfHost::DaemonFrozen,
    OfHost::RedisCut,
    OfHost::RabbitmqCut,
    OfHost::BothCut,
    OfHost::RequestsCut,
    OfHost::RepliesCut,
    OfHost::RedisSlow,
];

pub(crate) const OF_SERVERS: [OfServers; 11] = [
    OfServers::CoordinatorKilled,
    OfServers::CoordinatorFrozen,
    OfServers::CoordinatorsCut,
    OfServers::RedisKilled,
    OfServers::RedisRewound,
    OfServers::ClockForward,
    OfServers::ClockBack,
    OfServers::RedisRewoundInThePast,
    OfServers::RabbitmqKilled,
    OfServers::TicketsPurged,
    OfServers::QueueDeleted,
];

/// From when the file was that Redis came back with, and until when it has forgotten.
pub(crate) type Rewind = (Duration, Duration);

impl OfHost {
    /// Strikes a host, the one with this number, and mends it.
    pub(crate) async fn strike(self, fleet: &Fleet, n: usize) -> Result<()> {
        let host = &fleet.hosts[n];
        let beyond_lease = LEASE + secs(3);
        match self {
            Self::WorkerKilled => {
                host.kill_worker().await?;
                host.start_worker().await
            }
            Self::WorkerGone => {
                host.kill_worker().await?;
                sleep(beyond_lease).await;
                host.start_worker().await
            }
            Self::WorkerFrozen => {
                host.signal_worker(Signal::STOP).await?;
                sleep(beyond_lease).await;
                host.signal_worker(Signal::CONT).await
            }
            Self::ProcessesGone => {
                let coordinator = format!("coordinator-{}", n + 1);
                host.kill_worker().await?;
                // It may be down already, through another fault.
                let _ = fleet.signal(&coordinator, Signal::KILL);
                sleep(beyond_lease).await;
                fleet.start_member(&coordinator).await?;
                host.start_worker().await
            }
            Self::HostLost => {
                host.kill_worker().await?;
                host.engine.lose().await?;
                sleep(LEASE).await;
                host.engine.start_again().await?;
                host.start_worker().await
            }
            Self::DaemonKilled => {
                host.engine.kill()?;
                sleep(secs(1)).await;
                host.engine.start_again().await
            }
            Self::DaemonRestarted => host.engine.restart().await,
            Self::DaemonFrozen => {
                host.engine.signal(Signal::STOP)?;
                sleep(beyond_lease).await;
                host.engine.signal(Signal::CONT)
            }
            Self::RedisCut => cut(host, Traffic::Cut, Traffic::Open, beyond_lease).await,
            Self::RabbitmqCut => cut(host, Traffic::Open, Traffic::Cut, beyond_lease).await,
            Self::BothCut => cut(host, Traffic::Cut, Traffic::Cut, beyond_lease).await,
            Self::RequestsCut => cut(host, Traffic::CutRequests, Traffic::Open, LEASE).await,
            Self::RepliesCut => cut(host, Traffic::CutReplies, Traffic::Open, LEASE).await,
            Self::RedisSlow => {
                let slow = Traffic::Slow(Duration::from_millis(1200));
                cut(host, slow, Traffic::Open, LEASE).await
            }
        }
    }
}

impl OfServers {
    /// Whether Redis forgets something.
    pub(crate) fn is_rewind(self) -> bool {
        matches!(self, Self::RedisRewound | Self::RedisRewoundInThePast)
    }

    pub(crate) async fn strike(
        self,
        fleet: &Fleet,
        rng: &mut fastrand::Rng,
    ) -> Result<Option<Rewind>> {
        let coordinator = format!("coordinator-{}", rng.u32(1..=3));
        let a_while = Duration::from_millis(rng.u64(200..4000));
        let mut rewound = None;
        match self {
            Self::CoordinatorKilled => {
                let _ = fleet.signal(&coordinator, Signal::KILL);
                sleep(a_while).await;
                fleet.start_member(&coordinator).await?;
            }
            Self::CoordinatorFrozen => {
                // Longer than the others wait before they take its shards.
                if fleet.signal(&coordinator, Signal::STOP).is_ok() {
                    sleep(secs(5)).await;
                    let _ = fleet.signal(&coordinator, Signal::CONT);
                }
            }
            Self::CoordinatorsCut => {
                fleet.coordinators.set(Traffic::Cut);
                sleep(secs(2) + a_while).await;
                fleet.coordinators.set(Traffic::Open);
            }
            Self::RedisKilled => {
                let mut redis = fleet.redis.lock().await;
                redis.kill().await?;
                sleep(a_while).await;
                redis.start_again().await?;
            }
            Self::RedisRewound => rewound = Some(rewind(fleet, a_while).await?),
            Self::RedisRewoundInThePast => {
                fleet.redis.lock().await.move_clock(-HOUR)?;
                rewound = Some(rewind(fleet, a_while).await?);
                sleep(secs(3)).await;
                fleet.redis.lock().await.move_clock(0)?;
            }
            Self::ClockForward | Self::ClockBack => {
                let by = if self == Self::ClockForward { HOUR } else { -HOUR };
                fleet.redis.lock().await.move_clock(by)?;
                sleep(secs(2) + a_while).await;
                fleet.redis.lock().await.move_clock(0)?;
            }
            Self::RabbitmqKilled => {
                fleet.signal("rabbitmq", Signal::KILL)?;
                sleep(a_while).await;
                fleet.start_member("rabbitmq").await?;
            }
            Self::TicketsPurged => {
                let purge = QueuePurgeOptions::default();
                on_channel(fleet, async |channel| {
                    channel.queue_purge(TICKETS.into(), purge).await.map(drop)
                })
                .await?;
            }
            Self::QueueDeleted => {
                let delete = QueueDeleteOptions::default();
                on_channel(fleet, async |channel| {
                    channel.queue_delete(TICKETS.into(), delete).await.map(drop)
                })
                .await?;
            }
        }
        Ok(rewound)
    }
}

const HOUR: i64 = 3600;

async fn cut(host: &Host, redis: Traffic, rabbitmq: Traffic, long: Duration) -> Result<()> {
    host.redis.set(redis);
    host.rabbitmq.set(rabbitmq);
    sleep(long).await;
    host.redis.set(Traffic::Open);
    host.rabbitmq.set(Traffic::Open);
    Ok(())
}

/// Asks RabbitMQ for something, again if it can't do it just now: it may still be busy with the fault before.
async fn on_channel(
    fleet: &Fleet,
    work: impl AsyncFn(&Channel) -> lapin::Result<()>,
) -> Result<()> {
    until("RabbitMQ does what it is asked for", secs(30), async || {
        Ok(match fleet.rabbitmq().await {
            Ok((_connection, channel)) => work(&channel).await.map_err(anyhow::Error::from),
            Err(error) => Err(error),
        })
    })
    .await
}

/// Has Redis come back with what it had stored `long` ago.
async fn rewind(fleet: &Fleet, long: Duration) -> Result<Rewind> {
    let mut redis = fleet.redis.lock().await;
    let from = now()?;
    let snapshot = redis.snapshot().await.context("a snapshot")?;
    sleep(secs(1) + long).await;
    redis.rewind(&snapshot).await?;
    Ok((from, now()?))
}
