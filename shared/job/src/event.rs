//! What can happen to a Job.

use crate::{Container, Index, Millis, Outcome, Spec};

/// One thing that happened, in the order of the shard's stream.
///
/// Events about an attempt that is not the index's current one are ignored: the stream can hold one
/// from before a change of owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The Job was created, or loaded by a new owner: do (again) whatever follows from its state.
    Loaded,
    /// A client changed the specification; the change has been acknowledged.
    SpecChanged(Box<Spec>),
    /// A client deleted the Job.
    DeleteRequested,
    /// The ticket of an offered attempt is out of the queue: so many workers took it, one after the other,
    /// and each was lost before it claimed the attempt or gave the ticket back.
    TicketSetAside { index: Index, attempt: u32, readers: u32 },
    /// A worker claimed an offered attempt.
    Claimed { index: Index, attempt: u32, worker: String, token: String },
    /// The attempt's container started.
    Started { index: Index, attempt: u32 },
    /// restartPolicy OnFailure: a container of the attempt failed and waits to be restarted in place.
    /// `restarts` is the number of failures so far, this one included.
    ContainerFailed { index: Index, attempt: u32, restarts: u32, outcome: Outcome },
    /// A client deleted or evicted the attempt's Pod, at that time. It is to end within the grace period.
    PodDeleted { index: Index, attempt: u32, at: Millis, grace_seconds: u32, evicted: bool },
    /// The attempt ended. `containers` is empty where the Pod has one container only, of which `outcome`
    /// tells all.
    Finished { index: Index, attempt: u32, outcome: Outcome, containers: Vec<Container> },
    /// Time passed: [`Job::next_wake`](crate::Job::next_wake) has come.
    Tick,
}
