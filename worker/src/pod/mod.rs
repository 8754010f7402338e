//! The containers of an attempt: in which order they run, which are run again in place, and how the
//! attempt as a whole ends.
//!
//! Init containers run one after the other, each to its success; one with restartPolicy Always is a
//! sidecar, which the next doesn't wait for and which is stopped when the others have ended. Then all
//! containers run at once. Several containers share a network, which a container of Longshore's own
//! holds for as long as they run.
//!
//! A Pod that a process before this one has begun is run in the same way: each container goes on from where
//! its note says that it is, and one that has ended is as good as one that ends at once.

mod limits;
mod network;
mod records;
mod report;
mod resume;
mod verdict;

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::future::{BoxFuture, join};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Container;
use longshore_job::{Millis, Outcome};
use longshore_store::Written;
use longshore_support::retry::Policy;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;
use tracing::{info, warn};

pub(crate) use self::network::NETWORK_HOLDER;
use self::records::Records;
pub(crate) use self::resume::{Told, is_clear};
use crate::assignment::Assignment;
use crate::context::{Context, now};
use crate::control::{Control, Order, give};
use crate::folder::Folder;
use crate::health::START_FAILED;
use crate::note::Note;
use crate::output::{Output, Writer};
use crate::own_folder::OwnFolder;
use crate::runtime::{Ended, Network, Run, Stage};

/// The back-off of a sidecar that ended.
const SIDECAR_BASE: Duration = Duration::from_secs(1);
const SIDECAR_CAP: Duration = Duration::from_secs(300);

/// The containers of one attempt.
pub(crate) struct Pod<'a> {
    context: &'a Context,
    assignment: &'a Assignment,
    folder: &'a Folder,
    output: &'a Output,
    /// The orders to the attempt.
    control: &'a Control,
    /// How often its containers have failed and were restarted in place, all together.
    restarts: AtomicU32,
    records: Records,
}

/// How an attempt's containers ended.
pub(crate) struct PodEnd {
    pub(crate) ended: Ended,
    /// When it started, if it did.
    pub(crate) started: Option<Millis>,
    /// How each of several containers ended.
    pub(crate) containers: Vec<longshore_job::Container>,
}

impl<'a> Pod<'a> {
    /// `restarts` were made before, in attempts that were disrupted included; `told` is what Redis knows of
    /// the containers from before this process.
    pub(crate) fn new(
        context: &'a Context,
        assignment: &'a Assignment,
        folder: &'a Folder,
        output: &'a Output,
        control: &'a Control,
        restarts: u32,
        told: &Told,
    ) -> Self {
        let notes = resume::notes(&assignment.spec, folder);
        let notes: Vec<Note> = notes.map(|(_, note)| note.unwrap_or_default()).collect();
        let records = Records::new(&assignment.spec, &notes, told);
        let restarts = AtomicU32::new(restarts.max(resume::failures(&notes)));
        Self { context, assignment, folder, output, control, restarts, records }
    }

    /// Runs the containers to the attempt's end. `begun` is when the Pod began.
    pub(crate) async fn run(&self, begun: Millis) -> PodEnd {
        let (stop, control) = self.control.part(Order::Run);
        let reporting = report::report(self.context, self.assignment, &self.records);
        let running = self.within_limits(&stop, &control, begun);
        let ended = tokio::select! {
            biased;
            ended = running => ended,
            never = reporting => match never {},
        };
        let (started, containers) = (self.records.started(), self.records.several());
        PodEnd { ended, started, containers }
    }

    /// Has the containers stopped when the Pod goes beyond a limit of its own.
    async fn within_limits(
        &self,
        stop: &watch::Sender<Order>,
        control: &Control,
        begun: Millis,
    ) -> Ended {
        let mut running = std::pin::pin!(self.on_a_network(stop, control));
        let beyond = tokio::select! {
            biased;
            ended = &mut running => return ended,
            beyond = limits::passed(self.assignment, self.folder, begun) => beyond,
        };
        info!(attempt = %self.assignment.key, reason = beyond.reason, "beyond a limit of its Pod");
        give(stop, Order::Stop { grace: beyond.grace });
        match running.await {
            Ended::Outcome(Outcome::Stopped { code }) => Ended::Outcome(Outcome::PodFailed {
                reason: beyond.reason.into(),
                message: beyond.message,
                code,
            }),
            other => other,
        }
    }

    async fn containers(
        &self,
        network: Network,
        stop: &watch::Sender<Order>,
        control: &Control,
    ) -> Ended {
        let (launch, sidecars) = unbounded();
        let sidecars = sidecars.for_each_concurrent(None, |sidecar: BoxFuture<'_, ()>| sidecar);
        let ordered = self.in_order(network, stop, control, launch).boxed();
        let (ended, ()) = join(ordered, sidecars.boxed()).await;
        ended
    }

    /// Init containers, then all others; then the sidecars are told to stop.
    async fn in_order<'s>(
        &'s self,
        network: Network,
        stop: &'s watch::Sender<Order>,
        control: &'s Control,
        launch: UnboundedSender<BoxFuture<'s, ()>>,
    ) -> Ended {
        let (stop_sidecars, sidecar_control) = self.control.part(Order::Gone);
        let init = self.assignment.spec.init_containers.as_deref().unwrap_or_default();
        let mut failed = None;
        for (n, container) in init.iter().enumerate() {
            let network = network.clone();
            if container.restart_policy.as_deref() == Some("Always") {
                let orders = sidecar_control.clone();
                let sidecar = self.repeatedly(n, container, true, network, orders);
                let (end, ended) = oneshot::channel();
                // Nobody listens any more once it has been up.
                let sidecar = sidecar.map(|ended| drop(end.send(ended)));
                // It is taken up at once, as the receiver lives for as long as this function.
                let _ = launch.unbounded_send(sidecar.boxed());
                // One that others have come after has been up.
                if n + 1 < self.records.reached {
                    continue;
                }
                failed = self.until_up(n, ended, control.clone()).await;
                if failed.is_some() {
                    break;
                }
                continue;
            }
            let control = control.clone();
            let ended = self.repeatedly(n, container, false, network, control).await;
            if !verdict::is_success(&ended) {
                failed = Some(ended);
                break;
            }
        }
        let ended = match failed {
            Some(ended) => ended,
            None => self.side_by_side(init.len(), network, stop, control).await,
        };
        let order = match ended {
            Ended::Gone => Order::Gone,
            Ended::Outcome(_) => Order::Stop { grace: self.assignment.grace_seconds() },
        };
        give(&stop_sidecars, order);
        ended
    }

    /// Runs the containers that are no init containers; they are numbered from `first` on.
    async fn side_by_side(
        &self,
        first: usize,
        network: Network,
        stop: &watch::Sender<Order>,
        control: &Control,
    ) -> Ended {
        let mut running: FuturesUnordered<BoxFuture<'_, Ended>> = FuturesUnordered::new();
        for (n, container) in self.assignment.spec.containers.iter().enumerate() {
            let (network, control) = (network.clone(), control.clone());
            let main = self.repeatedly(first + n, container, false, network, control);
            running.push(main.boxed());
        }
        let mut ends = Vec::new();
        let mut decided = None;
        while let Some(ended) = running.next().await {
            if decided.is_none() && verdict::is_everyones(&ended) {
                give(stop, Order::Stop { grace: self.assignment.grace_seconds() });
                decided = Some(ended.clone());
            }
            ends.push(ended);
        }
        verdict::of_all(ends, decided)
    }

    /// Waits until a sidecar runs, or gives the attempt's end if that comes first.
    async fn until_up(
        &self,
        n: usize,
        end: oneshot::Receiver<Ended>,
        mut control: Control,
    ) -> Option<Ended> {
        tokio::select! {
            biased;
            () = self.records.until_up(n) => None,
            Ok(ended) = end => Some(ended),
            order = control.above(Order::Run) => Some(stopped_by(order, None)),
        }
    }

    /// Runs a container until it has ended for good. A sidecar runs again however it ended.
    async fn repeatedly(
        &self,
        n: usize,
        container: &Container,
        is_sidecar: bool,
        network: Network,
        control: Control,
    ) -> Ended {
        let own = self.folder.container(&container.name);
        loop {
            let (progress, stage) = watch::channel(Stage::Starting);
            let control = control.clone();
            let run = self.context.runtime.run(Run {
                progress,
                ..self.run_of(container, n, network.clone(), control.clone())
            });
            let ended = tokio::select! {
                biased;
                ended = run => ended,
                never = self.records.follow(n, stage) => match never {},
            };
            self.records.ended(n, &ended, own.ended_at().unwrap_or_else(now));
            let again = match (&ended, is_sidecar) {
                (Ended::Outcome(Outcome::Exited { .. }), true) => {
                    self.records.backs_off(n);
                    let mut orders = control;
                    tokio::select! {
                        biased;
                        _ = orders.above(Order::Run) => false,
                        () = sleep(self.sidecar_pause(n)) => true,
                    }
                }
                (Ended::Outcome(outcome @ Outcome::Exited { code, .. }), _)
                    if *code != 0 && self.assignment.restart_on_failure =>
                {
                    self.records.backs_off(n);
                    match self.wait_for_restart(&own, outcome, control).await {
                        None => true,
                        Some(ended) => {
                            self.records.gives_up(n);
                            return ended;
                        }
                    }
                }
                _ => false,
            };
            if !again {
                self.records.gives_up(n);
                return ended;
            }
            if let Err(error) = self.clear(n, container, &own).await {
                let message = error.to_string();
                return Ended::Outcome(Outcome::Disrupted {
                    reason: START_FAILED.into(),
                    message,
                    host_lost: false,
                });
            }
            self.records.restarts(n);
        }
    }

    /// Clears the way for another run of a container.
    async fn clear(&self, n: usize, container: &Container, own: &OwnFolder) -> io::Result<()> {
        // What isn't stored of its output goes with the container, if this process does.
        self.writer(n).stored().await;
        own.note_restart()?;
        self.remove(container).await;
        Ok(())
    }

    /// The back-off of a sidecar: longer after each restart.
    fn sidecar_pause(&self, n: usize) -> Duration {
        let doubled = 2_u32.saturating_pow(self.records.restarts_of(n));
        SIDECAR_BASE.saturating_mul(doubled).min(SIDECAR_CAP)
    }

    fn writer(&self, n: usize) -> Writer {
        self.output.writer(u32::try_from(n).unwrap_or(u32::MAX))
    }

    fn run_of<'r>(
        &'r self,
        container: &'r Container,
        n: usize,
        network: Network,
        control: Control,
    ) -> Run<'r> {
        Run {
            assignment: self.assignment,
            container,
            network,
            folder: self.folder,
            objects: &self.context.store,
            control,
            progress: watch::channel(Stage::Starting).0,
            output: self.writer(n),
        }
    }

    /// Records a failure and waits for the owner's leave to restart in place; gives the attempt's end
    /// if that comes instead.
    async fn wait_for_restart(
        &self,
        own: &OwnFolder,
        failed: &Outcome,
        mut control: Control,
    ) -> Option<Ended> {
        let Assignment { key, token, .. } = self.assignment;
        let restarts = self.number_of_failure(own);
        info!(attempt = %key, restarts, outcome = ?failed, "failed; waiting to restart in place");
        let mut delays = Policy::SERVER.delays();
        loop {
            let containers = self.records.several();
            match self.context.store.fail(key, token, restarts, failed, &containers).await {
                Ok(Written::Ok) => break,
                Ok(Written::Refused) => return Some(Ended::Gone),
                Err(error) => warn!(attempt = %key, %error, "the failure is not reported yet"),
            }
            sleep(delays.next().unwrap_or(Duration::from_secs(2))).await;
        }
        let mut orders = control.clone();
        tokio::select! {
            biased;
            order = orders.above(Order::Run) => Some(stopped_by(order, failed.exit_code())),
            () = control.granted(restarts) => None,
        }
    }

    /// Which of the attempt's failures in place a container's end is; the same whoever asks.
    fn number_of_failure(&self, own: &OwnFolder) -> u32 {
        if let Some(number) = own.note().ok().and_then(|note| note.failure) {
            return number;
        }
        let number = self.restarts.fetch_add(1, Ordering::Relaxed) + 1;
        if let Err(error) = own.note_failure(number) {
            warn!(attempt = %self.assignment.key, %error, "a failure can't be noted");
        }
        number
    }

    async fn remove(&self, container: &Container) {
        let name = self.assignment.container_name(container);
        if let Err(error) = self.context.runtime.remove(&name).await {
            warn!(attempt = %self.assignment.key, %error, "the container can't be removed now");
        }
    }
}

/// The end of what an order found not running.
fn stopped_by(order: Order, code: Option<i32>) -> Ended {
    match order {
        Order::Gone => Ended::Gone,
        Order::Drain { .. } => Ended::Outcome(Outcome::Disrupted {
            reason: "Drained".into(),
            message: "the worker is going down".into(),
            host_lost: false,
        }),
        Order::Run | Order::Stop { .. } => Ended::Outcome(Outcome::Stopped { code }),
    }
}
