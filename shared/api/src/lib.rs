//! The Kubernetes side of Longshore: manifests in, Kubernetes objects out.
//!
//! What a client sends is decoded ([`decode`]), given defaults ([`defaults`]), validated
//! ([`validate`], [`policy`], [`update`]) and turned into what the rules need ([`spec`]). What Longshore stores
//! is shown as Jobs ([`status`]), Pods ([`pod`]), Nodes ([`node`]), Events ([`event`]) and tables
//! ([`table`]). Nothing here does I/O or reads a clock.
//!
//! The way of a new Job: [`decode::decode_job`], [`defaults::set_defaults`],
//! [`defaults::prepare_create`], [`validate::validate`]. The way of a change: the same decoding and
//! defaults, then [`update::prepare_update`], [`validate::validate`] and
//! [`update::validate_update`].

pub mod accept;
pub mod config;
pub mod decode;
pub mod defaults;
pub mod discovery;
pub mod errors;
pub mod event;
pub mod field;
pub mod human;
pub mod manifest;
pub mod names;
pub mod node;
pub mod openapi;
pub mod patch;
pub mod pod;
pub mod policy;
pub mod protobuf;
pub mod quantity;
pub mod resource;
pub mod schema;
pub mod selector;
pub mod spec;
pub mod status;
pub mod table;
pub mod update;
pub mod validate;

mod indexes;
mod object_meta;
mod pod_containers;
mod pod_row;
mod pod_status;
#[cfg(test)]
mod pod_tests;
mod rows;
mod rules;
mod selectable;
mod strategic;
mod support;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod testing;
mod time;
mod validate_container;
mod validate_env;
mod validate_metadata;
mod validate_pod;
#[cfg(test)]
mod validate_pod_tests;
mod validate_policies;
#[cfg(test)]
mod validate_policies_tests;
mod validate_security;
#[cfg(test)]
mod validate_tests;
mod validate_volume;
mod yaml_size;

pub use errors::ApiError;
pub use field::{FieldError, FieldErrorKind, Warning};
pub use resource::Resource;
