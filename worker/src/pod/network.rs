//! The network of a Pod's containers, and what holds it while they come and go.

use futures::future::join;
use k8s_openapi::api::core::v1::{Container, SecurityContext};
use longshore_job::Outcome;
use tokio::sync::watch;

use super::{Pod, stopped_by};
use crate::control::{Control, Order, give};
use crate::runtime::{Ended, Network, Run, Stage};

/// The container that holds the network. No container of a Pod can have this name.
pub(crate) const NETWORK_HOLDER: &str = "POD";

/// A user that owns nothing, by the usual number.
const NOBODY: i64 = 65_534;

impl Pod<'_> {
    /// Runs the containers in a network of their own, or of the host, or, if there are several, of a
    /// container that holds it.
    pub(super) async fn on_a_network(
        &self,
        stop: &watch::Sender<Order>,
        control: &Control,
    ) -> Ended {
        if self.assignment.spec.host_network == Some(true) {
            return self.containers(Network::Host, stop, control).await;
        }
        if !self.records.are_several() || !self.context.runtime.has_networks() {
            return self.containers(Network::Own, stop, control).await;
        }
        let holder = self.network_holder();
        // It is told to stop once none of them needs it any more.
        let released = self.folder.container(&holder.name).order().is_some();
        let begun = self.records.reached > 0;
        let (release, holder_control) = self.control.part(Order::Gone);
        let (progress, mut stage) = watch::channel(Stage::Starting);
        let run = self
            .context
            .runtime
            .run(Run { progress, ..self.run_of(&holder, 0, Network::Own, holder_control) });
        let mut held = std::pin::pin!(run);
        let network = Network::Of(self.assignment.container_name(&holder));
        let mut running = std::pin::pin!(self.containers(network, stop, control));
        if begun && released {
            return join(running, held).await.0;
        }
        let mut orders = control.clone();
        if !begun {
            let first = tokio::select! {
                ended = &mut held => return ended,
                () = self.follow_start(&mut stage) => None,
                // Nothing runs that would have to be stopped.
                order = orders.above(Order::Run) => Some(order),
            };
            if let Some(order) = first {
                give(&release, Order::Stop { grace: 0 });
                held.await;
                return stopped_by(order, None);
            }
        }
        tokio::select! {
            biased;
            ended = &mut running => {
                give(&release, Order::Stop { grace: 0 });
                held.await;
                ended
            }
            _ = &mut held => {
                // Without its network none of them is what it was.
                give(stop, Order::Stop { grace: 0 });
                match running.await {
                    Ended::Gone => Ended::Gone,
                    Ended::Outcome(_) => Ended::Outcome(Outcome::Disrupted {
                        reason: "ContainerLost".into(),
                        message: "the container that held the Pod's network ended".into(),
                        host_lost: false,
                    }),
                }
            }
        }
    }

    /// The container that holds the network: it runs the launcher alone, in the image that is needed
    /// first.
    fn network_holder(&self) -> Container {
        let spec = &self.assignment.spec;
        let first = spec.init_containers.iter().flatten().chain(&spec.containers).next();
        let policy = first.and_then(|first| first.image_pull_policy.clone());
        Container {
            name: NETWORK_HOLDER.into(),
            image: first.and_then(|first| first.image.clone()),
            // Of the image only its being there counts: the container that it is for pulls it anew.
            image_pull_policy: policy.filter(|policy| policy != "Always"),
            working_dir: Some("/".into()),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                read_only_root_filesystem: Some(true),
                run_as_group: Some(NOBODY),
                run_as_user: Some(NOBODY),
                ..SecurityContext::default()
            }),
            ..Container::default()
        }
    }

    /// Waits until the network is there; what holds it up, holds the first container up.
    async fn follow_start(&self, stage: &mut watch::Receiver<Stage>) {
        loop {
            let now = stage.borrow_and_update().clone();
            match now {
                Stage::Running => return,
                Stage::Waiting { reason, message } => self.records.waits(0, reason, message),
                Stage::Starting => {}
            }
            if stage.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }
}
