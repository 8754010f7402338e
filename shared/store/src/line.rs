//! The lines of an attempt's output as they are stored.
//!
//! `<RFC 3339 with 9 digits, Z> <o|e>[N][p] <text>\n`: `o` is the standard output, `e` the standard error;
//! N is the number of the container among the template's, init containers first, and absent for 0; `p`
//! marks a piece that the next line of the same stream continues.

use std::str::from_utf8;

/// A stored line, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredLine<'a> {
    /// When it was written, in RFC 3339.
    pub time: &'a str,
    pub container: u32,
    /// Whether it is of the standard error.
    pub error: bool,
    /// Whether the next line of the same stream continues it.
    pub partial: bool,
    /// With its newline.
    pub text: &'a [u8],
}

impl<'a> StoredLine<'a> {
    /// `None` for what is no stored line.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let time = from_utf8(parts.next()?).ok()?;
        let mark = from_utf8(parts.next()?).ok()?;
        let text = parts.next()?;
        let (error, rest) = match mark.strip_prefix('o') {
            Some(rest) => (false, rest),
            None => (true, mark.strip_prefix('e')?),
        };
        let (number, partial) = match rest.strip_suffix('p') {
            Some(number) => (number, true),
            None => (rest, false),
        };
        let container = if number.is_empty() { 0 } else { number.parse().ok()? };
        Some(Self { time, container, error, partial, text })
    }

    /// The line as it is stored; `text` is without a newline.
    pub fn render(time: &str, container: u32, error: bool, partial: bool, text: &[u8]) -> Vec<u8> {
        let mut line = Vec::with_capacity(time.len() + text.len() + 8);
        line.extend_from_slice(time.as_bytes());
        line.extend_from_slice(if error { b" e" } else { b" o" });
        if container > 0 {
            line.extend_from_slice(container.to_string().as_bytes());
        }
        if partial {
            line.push(b'p');
        }
        line.push(b' ');
        line.extend_from_slice(text);
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_as_it_was_rendered() {
        for (container, error, partial, stored) in [
            (0, false, false, "T o a b\n"),
            (0, true, true, "T ep a b\n"),
            (3, false, false, "T o3 a b\n"),
            (12, true, true, "T e12p a b\n"),
        ] {
            let line = StoredLine::render("T", container, error, partial, b"a b");
            assert_eq!(line, stored.as_bytes());
            let text = &b"a b\n"[..];
            let expected = StoredLine { time: "T", container, error, partial, text };
            assert_eq!(StoredLine::parse(&line), Some(expected));
        }
        for wrong in ["", "T", "T o", "T x a\n", "T ox a\n", "[longshore: 1 bytes"] {
            assert_eq!(StoredLine::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
