//! The worker's side: tickets and nudges come in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use lapin::message::Delivery as Message;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    BasicRejectOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use longshore_support::chain::Chain;
use longshore_support::retry::{Policy, Server};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::connection::{BrokerSettings, Connected, connect, within};
use crate::{BrokerError, Ticket, topology};

/// A worker's link to RabbitMQ. Connects in the background, and again whenever it breaks.
#[derive(Clone)]
pub struct Consumer {
    sessions: watch::Receiver<Option<Arc<Session>>>,
    nudges: Arc<Notify>,
}

/// One connection's life. Deliveries and consumers of a session are worthless after it.
struct Session {
    server: Arc<str>,
    channel: Channel,
    broken: CancellationToken,
    tags: AtomicU64,
    _connection: Connection,
}

/// Room for one attempt: at most one ticket is outstanding here.
///
/// Each slot is a consumer of its own with a prefetch of one, so that no ticket ever waits in a
/// busy worker while another has room, and the slots share one channel.
pub struct Slot {
    sessions: watch::Receiver<Option<Arc<Session>>>,
    active: Option<(Arc<Session>, lapin::Consumer)>,
}

/// A ticket that this worker may answer. Dropping it answers nothing: the broker keeps the slot's
/// credit, and delivers the ticket again once the connection ends.
pub struct Delivery {
    pub ticket: Ticket,
    message: Message,
}

impl Consumer {
    /// Starts the link for the worker of this name; `shutdown` ends it.
    pub fn start(settings: BrokerSettings, worker: &str, shutdown: CancellationToken) -> Self {
        let (sender, sessions) = watch::channel(None);
        let nudges = Arc::new(Notify::new());
        let worker = worker.to_owned();
        tokio::spawn(supervise(settings, worker, sender, nudges.clone(), shutdown));
        Self { sessions, nudges }
    }

    /// One more slot.
    pub fn slot(&self) -> Slot {
        Slot { sessions: self.sessions.clone(), active: None }
    }

    /// Waits until the coordinator wants this worker to renew its leases at once.
    pub async fn nudged(&self) {
        self.nudges.notified().await;
    }

    /// Waits until the link stands.
    pub async fn connected(&self) {
        let mut sessions = self.sessions.clone();
        // The sender lives as long as the link; once that is shut down there is nothing to wait for.
        let _ = sessions.wait_for(Option::is_some).await;
    }
}

impl Slot {
    /// Waits for the next ticket. A call that is dropped loses none.
    pub async fn next(&mut self) -> Delivery {
        loop {
            let (session, consumer) = self.consumer().await;
            let message = tokio::select! {
                message = consumer.next() => message,
                () = session.broken.cancelled() => None,
            };
            match message {
                Some(Ok(message)) => match Ticket::decode(&message.data) {
                    Ok(ticket) => return Delivery { ticket, message },
                    Err(why) => set_aside(message, &why).await,
                },
                Some(Err(_)) | None => {
                    session.broken.cancel();
                    self.active = None;
                }
            }
        }
    }

    /// Takes no further ticket until the next call of [`Slot::next`]. A ticket that is already here
    /// goes back to the queue; one that was handed out stays the caller's to answer.
    pub async fn pause(&mut self) {
        let Some((session, mut consumer)) = self.active.take() else { return };
        let cancel = session.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
        // Bounded, because a frozen broker does not answer at all.
        if within(&session.server, cancel).await.is_err() {
            session.broken.cancel();
            return;
        }
        while let Some(Ok(message)) = consumer.next().await {
            requeue(&message).await;
        }
    }

    async fn consumer(&mut self) -> &mut (Arc<Session>, lapin::Consumer) {
        if self.active.as_ref().is_some_and(|(session, _)| session.broken.is_cancelled()) {
            self.active = None;
        }
        while self.active.is_none() {
            let session = self.session().await;
            // Bounded, because a queue that has lost its leader does not answer at all.
            match within(&session.server, session.consume()).await {
                Ok(consumer) => self.active = Some((session, consumer)),
                Err(_) => session.broken.cancel(),
            }
        }
        self.active.as_mut().expect("set by the loop above")
    }

    async fn session(&mut self) -> Arc<Session> {
        let standing = |session: &Option<Arc<Session>>| {
            session.as_ref().is_some_and(|session| !session.broken.is_cancelled())
        };
        // The guard must not live across the wait below.
        let found = self.sessions.wait_for(standing).await.ok().and_then(|session| session.clone());
        match found {
            Some(session) => session,
            // The link was shut down: there will be no further ticket.
            None => std::future::pending().await,
        }
    }
}

impl Delivery {
    /// Drops the ticket: its attempt has ended, or must not run. An answer that does not reach the
    /// broker does no harm, as the ticket is refused when it comes again.
    pub async fn ack(&self) {
        let _ = self.message.acker.ack(BasicAckOptions::default()).await;
    }

    /// Gives the ticket back for another worker.
    pub async fn requeue(&self) {
        requeue(&self.message).await;
    }
}

impl Session {
    async fn open(
        settings: &BrokerSettings,
        worker: &str,
    ) -> Result<(Self, lapin::Consumer), BrokerError> {
        let Connected { connection, server } = connect(settings, worker).await?;
        let (channel, nudges) = within(&server, async {
            let channel = topology::open(&connection).await?;
            let control = topology::declare_control(&channel, worker).await?;
            let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
            let nudges = channel
                .basic_consume(
                    control.as_str().into(),
                    "control".into(),
                    no_ack,
                    FieldTable::default(),
                )
                .await?;
            // Not global: one ticket for each consumer that is made after this.
            channel.basic_qos(1, BasicQosOptions::default()).await?;
            Ok((channel, nudges))
        })
        .await?;
        let session = Self {
            server,
            channel,
            broken: CancellationToken::new(),
            tags: AtomicU64::new(0),
            _connection: connection,
        };
        Ok((session, nudges))
    }

    /// Consumes under a tag never used before on this channel: RabbitMQ before 3.10.9 fails when a
    /// tag is cancelled and taken up again with a delivery in flight.
    async fn consume(&self) -> lapin::Result<lapin::Consumer> {
        let tag = format!("slot-{}", self.tags.fetch_add(1, Ordering::Relaxed));
        self.channel
            .basic_consume(
                topology::TICKETS.into(),
                tag.as_str().into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
    }
}

async fn supervise(
    settings: BrokerSettings,
    worker: String,
    sessions: watch::Sender<Option<Arc<Session>>>,
    nudges: Arc<Notify>,
    shutdown: CancellationToken,
) {
    let server = Server::new("RabbitMQ", settings.server());
    let mut delays = Policy::SERVER.delays();
    while !shutdown.is_cancelled() {
        match Session::open(&settings, &worker).await {
            Ok((session, control)) => {
                server.answered();
                delays.reset();
                let broken = session.broken.clone();
                sessions.send_replace(Some(Arc::new(session)));
                tokio::select! {
                    () = hear(control, &nudges) => server.failed(&"the connection broke"),
                    () = broken.cancelled() => server.failed(&"the channel broke"),
                    () = shutdown.cancelled() => {}
                }
                broken.cancel();
                sessions.send_replace(None);
            }
            Err(error) => server.failed(&Chain(&error)),
        }
        tokio::select! {
            () = tokio::time::sleep(delays.next().unwrap_or(Policy::SERVER.cap)) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Passes nudges on until the connection breaks.
async fn hear(mut control: lapin::Consumer, nudges: &Notify) {
    while let Some(Ok(_)) = control.next().await {
        nudges.notify_one();
    }
}

/// Leaves a message to the coordinators.
async fn set_aside(message: Message, why: &str) {
    warn!(why, "a message in the ticket queue can't be read; set aside");
    let _ = message.acker.reject(BasicRejectOptions { requeue: false }).await;
}

async fn requeue(message: &Message) {
    let options = BasicNackOptions { requeue: true, multiple: false };
    let _ = message.acker.nack(options).await;
}
