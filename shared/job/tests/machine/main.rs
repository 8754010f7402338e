//! The rules of a Job, one file a story, and a model of the world around it.

mod bench;
mod deadline;
mod dispatch;
mod finish;
mod model;
mod outcome;
mod suspend;
mod world;
