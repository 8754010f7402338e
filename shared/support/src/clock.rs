//! The clocks that leases and log lines use.
//!
//! Deadlines that users see are Redis' time; nothing here judges those.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of CLOCK_BOOTTIME: runs on while the host sleeps, is the same in
/// every container of the host, and never jumps. The deadline that a worker
/// writes for the launcher is in this unit.
pub fn boottime_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// [`boottime_ns`] as a duration since the host's start.
pub fn boottime() -> Duration {
    Duration::from_nanos(boottime_ns())
}

/// `time` as the lines of a container's log carry it: RFC 3339, nine digits of
/// a second, `Z`.
pub fn log_stamp(time: SystemTime) -> String {
    humantime::format_rfc3339_nanos(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boottime_only_grows() {
        let before = boottime_ns();
        assert!(before > 0);
        assert!(boottime_ns() >= before);
    }

    #[test]
    fn a_stamp_has_nine_digits() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 5);
        assert_eq!(log_stamp(time), "2023-11-14T22:13:20.000000005Z");
    }
}
