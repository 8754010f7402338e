//! Writing an output piece by piece.

use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use tokio::io::AsyncWriteExt;

use crate::ArchiveError;

/// What is held in memory of one output; a longer one is uploaded in parts of this size. S3 takes no
/// part of less than 5 MiB.
const HELD: usize = 5 << 20;

/// Parts of one output on their way at a time.
const PARTS: usize = 2;

/// An output that is being archived.
#[derive(Debug)]
pub struct LogWriter {
    writer: BufWriter,
}

impl LogWriter {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, path: Path) -> Self {
        let writer = BufWriter::with_capacity(store, path, HELD).with_max_concurrency(PARTS);
        Self { writer }
    }

    /// Appends whole lines.
    ///
    /// # Errors
    /// The archive can't be reached; the writer is best aborted then.
    pub async fn write(&mut self, lines: Bytes) -> Result<(), ArchiveError> {
        self.writer.put(lines).await.map_err(ArchiveError::write)
    }

    /// Makes the output seen, in place of an earlier one of the same name.
    ///
    /// # Errors
    /// The archive can't be reached; an earlier one is unchanged then.
    pub async fn finish(&mut self) -> Result<(), ArchiveError> {
        self.writer.shutdown().await.map_err(ArchiveError::Finish)
    }

    /// Takes back what was uploaded already. Where that fails the server's own rules for unfinished
    /// uploads clean up.
    pub async fn abort(mut self) {
        let _ = self.writer.abort().await;
    }
}
