//! How an attempt ended, as it is recorded, printed and handed on. Pure, and without an
//! allocator.

use crate::command::StartError;
use core::fmt::Write;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End<'a> {
    Exited {
        code: u8,
        /// The last signal that the launcher was sent and passed on before: the end may be its doing.
        told: Option<i32>,
    },
    Signaled(u8),
    StartError(StartError<'a>),
    Deadline,
    /// Nothing was started.
    Refused {
        reason: &'static str,
        errno: Option<i32>,
    },
}

impl End<'_> {
    pub(crate) fn refused(reason: &'static str, errno: i32) -> Self {
        Self::Refused { reason, errno: Some(errno) }
    }

    pub(crate) fn exit_code(&self) -> i32 {
        match *self {
            Self::Exited { code, .. } => i32::from(code),
            Self::Signaled(signal) => 128 + i32::from(signal),
            // As Docker has it.
            Self::StartError(StartError { errno: libc::ENOENT | libc::ENOTDIR, .. }) => 127,
            Self::StartError(_) => 126,
            Self::Deadline => 124,
            Self::Refused { .. } => 125,
        }
    }

    /// Writes the record: one line.
    pub(crate) fn write_record(&self, line: &mut Line) {
        match *self {
            Self::Exited { code, told: None } => line.put(format_args!("exited {code}")),
            Self::Exited { code, told: Some(signal) } => {
                line.put(format_args!("exited {code} told {signal}"));
            }
            Self::Signaled(signal) => line.put(format_args!("signaled {signal}")),
            Self::StartError(error) => {
                line.put(format_args!("start-error "));
                write_errno(error.errno, line);
                line.put(format_args!(" "));
                write_start_error(error, line);
            }
            Self::Deadline => line.put(format_args!("deadline")),
            Self::Refused { reason, errno } => write_refusal(reason, errno, line),
        }
        line.put(format_args!("\n"));
    }

    /// Writes what the attempt's log is to say: a line, or nothing.
    pub(crate) fn write_message(&self, line: &mut Line) {
        match *self {
            Self::StartError(error) => write_start_error(error, line),
            Self::Refused { reason, errno } => {
                line.put(format_args!("longshore: "));
                write_refusal(reason, errno, line);
            }
            Self::Exited { .. } | Self::Signaled(_) | Self::Deadline => return,
        }
        line.put(format_args!("\n"));
    }
}

/// A line in memory of its own. What doesn't fit is cut off; the newline always fits.
#[derive(Debug)]
pub(crate) struct Line {
    bytes: [u8; Self::CAPACITY],
    length: usize,
}

impl Line {
    const CAPACITY: usize = 512;

    pub(crate) fn new() -> Self {
        Self { bytes: [0; Self::CAPACITY], length: 0 }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn put(&mut self, text: core::fmt::Arguments<'_>) {
        // It has no error to give: see below.
        let _ = self.write_fmt(text);
    }

    fn push(&mut self, byte: u8) {
        // The last place is the newline's.
        let end = if byte == b'\n' { Self::CAPACITY } else { Self::CAPACITY - 1 };
        if self.length < end {
            self.bytes[self.length] = byte;
            self.length += 1;
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

fn write_refusal(reason: &str, errno: Option<i32>, line: &mut Line) {
    line.put(format_args!("refused {reason}"));
    if let Some(errno) = errno {
        line.put(format_args!(": "));
        write_errno(errno, line);
    }
}

/// Writes Docker's message for a command that can't be started.
fn write_start_error(error: StartError<'_>, line: &mut Line) {
    let Some(name) = error.name else {
        return line.put(format_args!("no command specified"));
    };
    line.put(format_args!("exec: \""));
    write_quoted(name, line);
    line.put(format_args!("\": "));
    match error.errno {
        libc::ENOENT if !name.contains(&b'/') => {
            line.put(format_args!("executable file not found in $PATH"));
        }
        errno => match errno_text(errno) {
            Some((_, text)) => line.put(format_args!("{text}")),
            None => line.put(format_args!("errno {errno}")),
        },
    }
}

/// Writes a name so that it stays on its line and within its quotes, and is cut to a length that
/// leaves room for what follows.
fn write_quoted(name: &[u8], line: &mut Line) {
    const LONGEST: usize = 256;
    let mut room = LONGEST;
    for part in name.utf8_chunks() {
        for character in part.valid().chars() {
            let plain = !(character.is_control() || matches!(character, '"' | '\\'));
            let cost = if plain { character.len_utf8() } else { "\\u{ffffff}".len() };
            if cost > room {
                return line.put(format_args!("..."));
            }
            room -= cost;
            match plain {
                true => line.put(format_args!("{character}")),
                false => line.put(format_args!("{}", character.escape_default())),
            }
        }
        for byte in part.invalid() {
            if room < 4 {
                return line.put(format_args!("..."));
            }
            room -= 4;
            line.put(format_args!("\\x{byte:02x}"));
        }
    }
}

fn write_errno(errno: i32, line: &mut Line) {
    match errno_text(errno) {
        Some((name, _)) => line.put(format_args!("{name}")),
        None => line.put(format_args!("E{errno}")),
    }
}

/// The name and the text of the errors that execve and fork give.
fn errno_text(errno: i32) -> Option<(&'static str, &'static str)> {
    Some(match errno {
        libc::E2BIG => ("E2BIG", "argument list too long"),
        libc::EACCES => ("EACCES", "permission denied"),
        libc::EAGAIN => ("EAGAIN", "resource temporarily unavailable"),
        libc::EINVAL => ("EINVAL", "invalid argument"),
        libc::EIO => ("EIO", "input/output error"),
        libc::EISDIR => ("EISDIR", "is a directory"),
        libc::ELIBBAD => ("ELIBBAD", "accessing a corrupted shared library"),
        libc::ELOOP => ("ELOOP", "too many levels of symbolic links"),
        libc::EMFILE => ("EMFILE", "too many open files"),
        libc::ENAMETOOLONG => ("ENAMETOOLONG", "file name too long"),
        libc::ENFILE => ("ENFILE", "too many open files in system"),
        libc::ENOENT => ("ENOENT", "no such file or directory"),
        libc::ENOEXEC => ("ENOEXEC", "exec format error"),
        libc::ENOMEM => ("ENOMEM", "cannot allocate memory"),
        libc::ENOTDIR => ("ENOTDIR", "not a directory"),
        libc::EPERM => ("EPERM", "operation not permitted"),
        libc::ETXTBSY => ("ETXTBSY", "text file busy"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(end: End<'_>) -> String {
        let mut line = Line::new();
        end.write_record(&mut line);
        String::from_utf8(line.as_bytes().to_vec()).expect("UTF-8")
    }

    fn start_error(name: &[u8], errno: i32) -> End<'_> {
        End::StartError(StartError { name: Some(name), errno })
    }

    #[test]
    fn each_end_has_its_record_and_code() {
        let none = StartError { name: None, errno: libc::ENOENT };
        for (end, line, code) in [
            (End::Exited { code: 0, told: None }, "exited 0\n", 0),
            (End::Exited { code: 255, told: None }, "exited 255\n", 255),
            (End::Exited { code: 0, told: Some(15) }, "exited 0 told 15\n", 0),
            (End::Signaled(9), "signaled 9\n", 137),
            (End::Deadline, "deadline\n", 124),
            (
                End::Refused { reason: "deadline passed", errno: None },
                "refused deadline passed\n",
                125,
            ),
            (
                End::refused("deadline can't be opened", libc::ENOENT),
                "refused deadline can't be opened: ENOENT\n",
                125,
            ),
            (
                start_error(b"foo", libc::ENOENT),
                "start-error ENOENT exec: \"foo\": executable file not found in $PATH\n",
                127,
            ),
            (
                start_error(b"/foo", libc::ENOENT),
                "start-error ENOENT exec: \"/foo\": no such file or directory\n",
                127,
            ),
            (
                start_error(b"/foo", libc::EACCES),
                "start-error EACCES exec: \"/foo\": permission denied\n",
                126,
            ),
            (start_error(b"/foo", 9999), "start-error E9999 exec: \"/foo\": errno 9999\n", 126),
            (End::StartError(none), "start-error ENOENT no command specified\n", 127),
        ] {
            assert_eq!(record(end), line);
            assert_eq!(end.exit_code(), code, "{line}");
        }
    }

    #[test]
    fn a_name_stays_within_its_line_and_quotes() {
        assert_eq!(
            record(start_error(b"a\nb\"c\\d\x1b\xff\xc3\xa9", libc::ENOENT)),
            "start-error ENOENT exec: \"a\\nb\\\"c\\\\d\\u{1b}\\xff\u{e9}\": executable file not \
             found in $PATH\n"
        );
    }

    #[test]
    fn a_long_name_is_cut_and_the_rest_is_there() {
        for byte in [b'x', b'\n', 0xff] {
            let name = vec![byte; 100_000];
            let line = record(start_error(&name, libc::ENOENT));
            assert!(line.ends_with("...\": executable file not found in $PATH\n"), "{line}");
            assert!(line.len() < Line::CAPACITY);
        }
    }

    #[test]
    fn a_line_keeps_its_newline_whatever_its_length() {
        let mut line = Line::new();
        line.put(format_args!("{:2000}\n", ""));
        assert_eq!(line.as_bytes().len(), Line::CAPACITY);
        assert!(line.as_bytes().ends_with(b"\n"));
    }
}
