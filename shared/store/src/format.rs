//! The format that the cluster writes, and how it rises.

use std::sync::atomic::Ordering;

use longshore_job::Millis;
use longshore_support::format::Format;
use tracing::info;

use crate::{CoordinatorRecord, NodeRecord, Store, StoreError, keys, scripts};

/// A coordinator that was not seen for so long is not waited for.
const FORGOTTEN: Millis = 24 * 60 * 60 * 1000;

impl Store {
    /// The format that the cluster writes, as of the last look.
    pub fn format(&self) -> Format {
        Format(self.shared.format.load(Ordering::Relaxed))
    }

    /// Looks which format the cluster writes.
    ///
    /// # Errors
    /// [`StoreError::Format`] if this release can't read it: the program has to end. Otherwise as every
    /// call.
    pub async fn follow_format(&self) -> Result<Format, StoreError> {
        let mut cmd = redis::cmd("HGET");
        cmd.arg(keys::CLUSTER).arg("format");
        let stored: Option<u16> = self.ask("read the cluster's format", &cmd).await?;
        self.use_format(stored.map(Format).unwrap_or_default())
    }

    /// Raises the cluster's format to the newest that every member reads: all workers that have a Node,
    /// and all coordinators of the last day.
    ///
    /// # Errors
    /// As [`Store::follow_format`].
    pub async fn raise_format(&self, coordinators: &[CoordinatorRecord]) -> Result<(), StoreError> {
        let format = self.follow_format().await?;
        if format == Format::newest() {
            return Ok(());
        }
        let common = common(&self.nodes().await?, coordinators);
        if common <= format {
            return Ok(());
        }
        let mut call = scripts::RAISE_FORMAT.prepare_invoke();
        call.key(keys::CLUSTER).arg(common.0);
        if self.call("raise the cluster's format", &call).await? {
            info!("every member reads format {common}: the cluster writes it from now on");
        }
        self.use_format(common).map(drop)
    }

    pub(crate) fn use_format(&self, format: Format) -> Result<Format, StoreError> {
        if !format.is_read() {
            return Err(StoreError::Format {
                server: self.server().clone(),
                stored: format,
                newest: Format::newest(),
            });
        }
        self.shared.format.store(format.0, Ordering::Relaxed);
        Ok(format)
    }
}

/// The newest format that all of them read, and this program.
fn common(nodes: &[NodeRecord], coordinators: &[CoordinatorRecord]) -> Format {
    let latest = coordinators.iter().map(|coordinator| coordinator.beat).max().unwrap_or(0);
    let recent = coordinators.iter().filter(|c| c.beat.saturating_add(FORGOTTEN) >= latest);
    let read = nodes.iter().map(|node| node.format).chain(recent.map(|c| c.format));
    read.chain([Format::newest()]).min().unwrap_or(Format::OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(format: u16) -> NodeRecord {
        NodeRecord { format: Format(format), ..NodeRecord::default() }
    }

    fn coordinator(format: u16, beat: u64) -> CoordinatorRecord {
        CoordinatorRecord { format: Format(format), beat, ..CoordinatorRecord::default() }
    }

    #[test]
    fn one_that_reads_less_holds_the_format() {
        let newest = Format::newest().0;
        assert_eq!(common(&[node(newest + 1)], &[coordinator(newest, 0)]), Format::newest());
        assert_eq!(common(&[node(0), node(newest)], &[]), Format(0));
        assert_eq!(common(&[], &[coordinator(0, 5), coordinator(newest, 9)]), Format(0));
    }

    #[test]
    fn a_coordinator_that_is_long_gone_holds_nothing() {
        let day = 24 * 60 * 60 * 1000;
        let all = [coordinator(0, 5), coordinator(1, day + 6)];
        assert_eq!(common(&[], &all), Format::newest());
    }
}
