//! What holds for whatever comes in from outside: it is refused with an error, or what was read of it
//! is sound. Each function panics on bytes for which it doesn't hold.
//!
//! The fuzzers in `fuzz` look for such bytes; `tests/replay.rs` holds what they have kept against the
//! same functions in every run of the tests.

mod body;
mod config;
mod job;
mod manifest;
mod patch;
mod query;
mod settings;
mod ticket;

pub use body::body;
pub use manifest::manifest;
pub use patch::patch;
pub use query::query;
pub use settings::settings;
pub use ticket::ticket;

/// A property by its name, which is that of its folder in `fuzz/corpus`.
pub type Property = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Property; 6] = [
    ("body", body),
    ("manifest", manifest),
    ("patch", patch),
    ("query", query),
    ("settings", settings),
    ("ticket", ticket),
];
