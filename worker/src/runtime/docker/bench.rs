//! One attempt on a runtime of its own, on this machine's Docker engine.

use std::path::Path;
use std::time::Duration;

use longshore_job::Outcome;
use longshore_support::clock::boottime_ns;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

use super::{Claims, DockerRuntime, HostPaths, Places};
use crate::assignment::{Assignment, tests::assignment};
use crate::control::{Control, Handle, Order};
use crate::folder::{Folder, tests::folders};
use crate::output::{Recent, tests::captured};
use crate::own_folder::OwnFolder;
use crate::runtime::{Ended, Network, Run, Runtime, Stage};
use crate::sources::tests::Fixed;

pub(super) const IMAGE: &str = "busybox:1.36";
/// No step of a test takes longer.
pub(super) const BOUND: Duration = Duration::from_secs(60);
pub(super) const LONG_LEASE: Duration = Duration::from_secs(600);

/// One attempt on a runtime of its own.
pub(super) struct Bench {
    pub(super) runtime: DockerRuntime,
    pub(super) assignment: Assignment,
    pub(super) folder: Folder,
    pub(super) handle: Handle,
    pub(super) control: Control,
    pub(super) stage: watch::Sender<Stage>,
    pub(super) objects: Fixed,
    state: tempfile::TempDir,
}

impl Bench {
    pub(super) async fn new(container: Value) -> Self {
        Self::with_pod(json!({ "containers": [container] }), LONG_LEASE).await
    }

    pub(super) async fn with_pod(pod_spec: Value, lease: Duration) -> Self {
        Self::on_engine("unix:///var/run/docker.sock", pod_spec, lease).await
    }

    pub(super) async fn on_engine(host: &str, pod_spec: Value, lease: Duration) -> Self {
        let (state, folders) = folders();
        let places = Places {
            host_paths: HostPaths::new(vec![state.path().to_owned()]),
            claims: Claims::default(),
        };
        let cluster = Uuid::new_v4().to_string();
        let runtime =
            DockerRuntime::connect(host, &cluster, "worker-1", places, Duration::from_secs(3));
        let runtime = runtime.await.expect("a Docker engine: deploy/docker-engine start");
        let token = Uuid::new_v4().simple().to_string();
        let deadline = boottime_ns() + lease.as_nanos() as u64;
        let (handle, control) = Control::new(0, deadline);
        let (stage, _) = watch::channel(Stage::Starting);
        Self {
            runtime,
            assignment: assignment(&token, pod_spec),
            folder: folders.attempt(&token),
            handle,
            control,
            stage,
            objects: Fixed::default(),
            state,
        }
    }

    /// Runs the container and gives how it ended and its output.
    pub(super) async fn run(&self) -> (Ended, String) {
        self.run_in(Network::Own).await
    }

    pub(super) async fn run_in(&self, network: Network) -> (Ended, String) {
        let (output, text) = captured(Recent::default());
        let ended = timeout(BOUND, self.runtime.run(self.run_of(network, output)));
        (ended.await.expect("it ends"), text())
    }

    pub(super) async fn run_with(&self, output: crate::output::Writer) -> Ended {
        self.runtime.run(self.run_of(Network::Own, output)).await
    }

    pub(super) fn run_of(&self, network: Network, output: crate::output::Writer) -> Run<'_> {
        Run {
            assignment: &self.assignment,
            container: &self.assignment.spec.containers[0],
            network,
            folder: &self.folder,
            objects: &self.objects,
            control: self.control.clone(),
            progress: self.stage.clone(),
            output,
        }
    }

    /// The worker's state folder.
    pub(super) fn state(&self) -> &Path {
        self.state.path()
    }

    /// Gives an order once the container runs.
    pub(super) async fn order_when_running(&self, order: Order) {
        self.running().await;
        self.handle.order(order);
    }

    pub(super) async fn running(&self) {
        let mut stage = self.stage.subscribe();
        let running = stage.wait_for(|stage| *stage == Stage::Running);
        let _ = timeout(BOUND, running).await.expect("it starts");
    }

    pub(super) fn name(&self) -> String {
        self.assignment.container_name(&self.assignment.spec.containers[0])
    }

    /// The container's own folder.
    pub(super) fn own(&self) -> OwnFolder {
        self.folder.container("main")
    }

    pub(super) async fn clean_up(self) {
        let name = self.name();
        self.runtime.remove(&name).await.expect("removed");
        self.runtime.remove(&name).await.expect("removed again");
        assert_eq!(self.runtime.containers().await.expect("listed"), []);
    }
}

pub(super) fn shell(script: &str) -> Value {
    json!({ "name": "main", "image": IMAGE, "command": ["sh", "-c", script] })
}

pub(super) fn exited(code: i32, reason: &str) -> Ended {
    Ended::Outcome(Outcome::Exited { code, reason: reason.into(), message: String::new() })
}

pub(super) fn start_error(ended: &Ended) -> (&str, i32, &str) {
    match ended {
        Ended::Outcome(Outcome::StartError { reason, code, message }) => (reason, *code, message),
        other => panic!("{other:?} is no start error"),
    }
}

pub(super) fn disruption(ended: &Ended) -> &str {
    match ended {
        Ended::Outcome(Outcome::Disrupted { reason, .. }) => reason,
        other => panic!("{other:?} is no disruption"),
    }
}
