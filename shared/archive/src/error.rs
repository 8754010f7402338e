//! What can go wrong with the archive.

use std::path::PathBuf;

use thiserror::Error;

#[derive(Debug, Error)]
pub enum ArchiveError {
    #[error("the archive's url {url:?}: {reason}")]
    Url { url: String, reason: &'static str },
    #[error("the archive's folder {} can't be made", .folder.display())]
    Folder {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the archive can't be opened")]
    Open(#[source] object_store::Error),
    #[error("the archive can't be read")]
    Read(#[source] object_store::Error),
    #[error("the archive can't be written")]
    Write(#[source] object_store::Error),
    #[error("an output can't be stored in the archive")]
    Finish(#[source] std::io::Error),
}

impl ArchiveError {
    pub(crate) fn read(source: object_store::Error) -> Self {
        Self::Read(source)
    }

    pub(crate) fn write(source: object_store::Error) -> Self {
        Self::Write(source)
    }
}
