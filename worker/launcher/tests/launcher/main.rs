//! Runs the launcher as it was built.

mod bare_image;
mod deadline;
mod ends;
mod pid_one;
mod secrets;
mod signals;
#[path = "../../static_build.rs"]
mod static_build;
mod support;
