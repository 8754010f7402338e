//! The rules of a `batch/v1` Job as a pure state machine.
//!
//! [`Job::apply`] takes one [`Event`] and the time, and returns a [`Delta`]: what to store and what
//! to do. Nothing here does I/O or reads a clock, so every rule can be tested at full speed and read
//! top to bottom.

mod delta;
mod event;
mod indexes;
mod machine;
mod pod_name;
mod policy;
mod record;
mod spec;

pub use delta::{Action, Delta, RestartDue, Severity};
pub use event::Event;
pub use indexes::IndexSet;
pub use machine::Job;
pub use pod_name::{name_prefix, name_suffix, parse_pod_name, pod_name};
pub use policy::{ConditionPattern, FailureAction, FailurePattern, FailureRule, SuccessRule};
pub use record::{
    Attempt, Condition, ConditionType, Container, Header, Live, Outcome, Phase, Waiting,
};
pub use spec::{Backoff, CompletionMode, Identity, RestartPolicy, Spec};

/// Milliseconds since the Unix epoch, always read from Redis' clock.
pub type Millis = u64;

/// A completion index. NonIndexed Jobs use indexes too, but only inside Longshore.
pub type Index = u32;
