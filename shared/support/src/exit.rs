//! The exit codes of `longshore`, fixed so that scripts can rely on them.

/// Done, and for `run` and `wait`: the Job is Complete, the condition holds.
pub const DONE: u8 = 0;
/// The Job failed, or the server refused the request.
pub const FAILED: u8 = 1;
/// The command line itself is wrong.
pub const USAGE: u8 = 2;
/// The server can't be reached.
pub const UNREACHABLE: u8 = 3;
/// A time limit ran out before the end was seen.
pub const TIMEOUT: u8 = 124;
