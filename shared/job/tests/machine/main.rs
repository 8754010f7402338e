//! The rules of a Job, one file a story, and a model of the world around it.

mod bench;
mod deadline;
mod dispatch;
mod elastic;
mod failure_policy;
mod finish;
mod invariants;
mod managed;
mod model;
mod outcome;
mod per_index;
mod reference;
mod replacement;
mod success_policy;
mod suspend;
mod world;
