//! When to end: what the deadline file says, and what to do at a given time. Times are
//! nanoseconds of `CLOCK_BOOTTIME`.

use crate::sys;
use std::os::fd::OwnedFd;

/// The content of a deadline file: twenty digits and a newline.
const LENGTH: usize = 21;

/// How often the file is looked at while its deadline is further away, in nanoseconds: a deadline
/// moved to an earlier time is noticed within this.
const LOOK_EVERY: u64 = 1_000_000_000;

/// Readings before a file that changes under each of them is given up on.
const READINGS: u32 = 8;

/// Reads the deadline. The error is a reason to refuse.
pub(crate) fn read(file: &OwnedFd) -> Result<u64, &'static str> {
    // One byte more than it may have, to see that it has no more.
    let mut content = [0; LENGTH + 1];
    let mut again = [0; LENGTH + 1];
    let mut length = sys::read_from_start(file, &mut content).ok_or("deadline unreadable")?;
    // A read beside the worker's write may see half of each, and half of each may be later than
    // both: two readings must agree.
    for _ in 0..READINGS {
        let second = sys::read_from_start(file, &mut again).ok_or("deadline unreadable")?;
        if content[..length] == again[..second] {
            return parse(&content[..length]).ok_or("deadline malformed");
        }
        (content, length) = (again, second);
    }
    Err("deadline unreadable")
}

/// The time that the content of a deadline file names.
fn parse(content: &[u8]) -> Option<u64> {
    let digits = content.strip_suffix(b"\n").filter(|digits| digits.len() == LENGTH - 1)?;
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing before this time, as far as the deadline is concerned.
    SleepUntil(u64),
    /// Read the deadline file, then say so with [`Watch::looked`].
    Look,
    /// The deadline has passed, and the file was read after it had.
    End,
}

/// The deadline as last read, and when to read it again.
#[derive(Debug)]
pub(crate) struct Watch {
    deadline: u64,
    next_look: u64,
    /// When the file was last read; 0 before the first time.
    looked: u64,
}

impl Watch {
    /// A watch that looks at the file in its first step, whatever `deadline` is.
    pub(crate) fn new(deadline: u64) -> Self {
        Self { deadline, next_look: 0, looked: 0 }
    }

    /// Whether the deadline is not in the future.
    pub(crate) fn passed(&self, now: u64) -> bool {
        now >= self.deadline
    }

    pub(crate) fn step(&self, now: u64) -> Step {
        if self.passed(now) {
            if self.looked >= self.deadline { Step::End } else { Step::Look }
        } else if now >= self.next_look {
            Step::Look
        } else {
            Step::SleepUntil(self.deadline.min(self.next_look))
        }
    }

    /// Takes in what was read at `now`: the file's deadline, or nothing if it can't be read, when
    /// the last one stands.
    pub(crate) fn looked(&mut self, reading: Option<u64>, now: u64) {
        if let Some(deadline) = reading {
            self.deadline = deadline;
        }
        self.looked = now;
        self.next_look = now.saturating_add(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// A watch that read `deadline` at `now`.
    fn watch(deadline: u64, now: u64) -> Watch {
        let mut watch = Watch::new(deadline);
        watch.looked(Some(deadline), now);
        watch
    }

    #[test]
    fn a_deadline_is_twenty_digits_and_a_newline() {
        assert_eq!(parse(b"00000000000000000000\n"), Some(0));
        assert_eq!(parse(b"00000000012345678901\n"), Some(12_345_678_901));
        assert_eq!(parse(b"18446744073709551615\n"), Some(u64::MAX));
    }

    #[test]
    fn anything_else_is_no_deadline() {
        for wrong in [
            &b""[..],
            b"\n",
            b"1\n",
            b"00000000012345678901",
            b"0000000001234567890\n",
            b"000000000123456789012",
            b"00000000012345678901\n\n",
            b"000000000123456789012\n",
            b"0000000001234567890a\n",
            b"+0000000012345678901\n",
            b" 0000000012345678901\n",
            b"18446744073709551616\n",
            b"99999999999999999999\n",
            b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\n",
        ] {
            assert_eq!(parse(wrong), None, "{:?}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn a_far_deadline_is_looked_at_each_second() {
        let mut watch = watch(100 * SECOND, 10 * SECOND);
        assert_eq!(watch.step(10 * SECOND), Step::SleepUntil(11 * SECOND));
        assert_eq!(watch.step(11 * SECOND - 1), Step::SleepUntil(11 * SECOND));
        assert_eq!(watch.step(11 * SECOND), Step::Look);
        watch.looked(Some(101 * SECOND), 11 * SECOND);
        assert_eq!(watch.step(11 * SECOND), Step::SleepUntil(12 * SECOND));
    }

    #[test]
    fn a_near_deadline_is_met_to_the_nanosecond() {
        let mut watch = watch(SECOND + 5, SECOND);
        assert_eq!(watch.step(SECOND + 4), Step::SleepUntil(SECOND + 5));
        assert_eq!(watch.step(SECOND + 5), Step::Look);
        watch.looked(Some(SECOND + 5), SECOND + 6);
        assert_eq!(watch.step(SECOND + 6), Step::End);
    }

    #[test]
    fn a_deadline_moved_on_at_the_last_moment_counts() {
        let mut watch = watch(2 * SECOND, SECOND);
        assert_eq!(watch.step(2 * SECOND), Step::Look);
        watch.looked(Some(20 * SECOND), 2 * SECOND);
        assert_eq!(watch.step(2 * SECOND), Step::SleepUntil(3 * SECOND));
    }

    #[test]
    fn a_deadline_moved_on_to_a_time_that_has_passed_too_ends() {
        let mut watch = watch(2 * SECOND, SECOND);
        watch.looked(Some(3 * SECOND), 9 * SECOND);
        assert_eq!(watch.step(9 * SECOND), Step::End);
    }

    #[test]
    fn twenty_zeros_end_at_the_next_look() {
        let mut watch = watch(100 * SECOND, SECOND);
        watch.looked(Some(0), 2 * SECOND);
        assert_eq!(watch.step(2 * SECOND), Step::End);
    }

    #[test]
    fn an_unreadable_file_changes_nothing() {
        let mut watch = watch(3 * SECOND, SECOND);
        watch.looked(None, 2 * SECOND);
        assert_eq!(watch.step(2 * SECOND), Step::SleepUntil(3 * SECOND));
        watch.looked(None, 3 * SECOND);
        assert_eq!(watch.step(3 * SECOND), Step::End);
    }

    #[test]
    fn a_new_watch_looks_first() {
        assert_eq!(Watch::new(9 * SECOND).step(SECOND), Step::Look);
        assert_eq!(Watch::new(9 * SECOND).step(9 * SECOND), Step::Look);
    }
}
