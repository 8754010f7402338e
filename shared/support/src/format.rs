//! The format of what the programs of a cluster tell each other: records and scripts in Redis, tickets in
//! RabbitMQ.
//!
//! A cluster writes one format, which Redis holds. A release reads all formats from [`Format::OLDEST`] to
//! [`Format::newest`], so a release and the next can run side by side for as long as an upgrade takes. Once
//! every member reads the next format, the cluster writes that, and there is no way back.
//!
//! A record may get another field without a new format, if nothing is lost when a program that doesn't know
//! the field drops it: fields that aren't known are passed over. Whatever else changes (a kind of outcome, a
//! key, a ticket) is written in the next format alone. Scripts are called by their content, so those of two
//! releases never meet.

use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// The number of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Format(pub u16);

impl Format {
    /// The oldest that this release reads.
    pub const OLDEST: Format = Format(1);
    const NEWEST: Format = Format(1);

    /// The newest that this release reads and writes.
    pub fn newest() -> Format {
        match *PLAYS_NEXT_RELEASE {
            true => Format(Self::NEWEST.0 + 1),
            false => Self::NEWEST,
        }
    }

    /// Whether this release can read it.
    pub fn is_read(self) -> bool {
        (Self::OLDEST..=Self::newest()).contains(&self)
    }
}

impl Default for Format {
    /// That of a record from before members said what they read.
    fn default() -> Self {
        Self(1)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Tests of upgrades need a release that reads one format more than this one; no release build plays it.
static PLAYS_NEXT_RELEASE: LazyLock<bool> = LazyLock::new(|| {
    cfg!(debug_assertions) && std::env::var_os("LONGSHORE_PLAY_NEXT_RELEASE").is_some()
});
