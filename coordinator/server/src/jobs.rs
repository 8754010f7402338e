//! Jobs: `/apis/batch/v1/…/jobs`.

mod delete;
mod read;
mod write;

pub(crate) use delete::{delete, delete_collection};
pub(crate) use read::get;
pub(crate) use write::{create, patch, replace, write_status};
