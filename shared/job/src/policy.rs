//! `podFailurePolicy` and `successPolicy` as the rules read them.

use serde::{Deserialize, Serialize};

use crate::IndexSet;

/// One rule of a `podFailurePolicy`. They are tried in order, and the first that matches decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRule {
    pub action: FailureAction,
    pub on: FailurePattern,
}

/// What a matched failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureAction {
    /// The Job fails at once.
    FailJob,
    /// The index fails at once, whatever `backoffLimitPerIndex` leaves.
    FailIndex,
    /// It counts against no limit; the attempt is replaced after its back-off.
    Ignore,
    /// It counts as every failure does, also where it is a disruption.
    Count,
}

/// Which ended attempts a rule matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailurePattern {
    /// A container that ended with another exit code than 0 has one that is, or is not, in `values`.
    ExitCodes {
        /// Only this container is looked at.
        container: Option<String>,
        /// `In` if true, else `NotIn`.
        within: bool,
        values: Vec<i32>,
    },
    /// The Pod has one of these conditions.
    Conditions(Vec<ConditionPattern>),
}

/// A condition of a Pod, such as `DisruptionTarget` with status `True`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionPattern {
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

/// One rule of a `successPolicy`: met when so many of these indexes have succeeded, all of them where no
/// count is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccessRule {
    /// `None` stands for all indexes.
    pub indexes: Option<IndexSet>,
    pub count: Option<u32>,
}
