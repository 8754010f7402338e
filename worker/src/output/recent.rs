//! The last stored lines of an attempt, so that a broken-off stream can be taken up without loss and
//! without repeating itself. Pure.

use std::collections::VecDeque;

use longshore_store::StoredLine;

use super::lines::{Source, Stream};

/// How much is remembered; more than a container writes in the second that is compared.
const LINES: usize = 1000;
const BYTES: usize = 256 * 1024;

/// The texts of the last stored lines and the moment of the very last one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    since: Option<String>,
    lines: VecDeque<(Source, Vec<u8>)>,
    bytes: usize,
}

impl Recent {
    /// Remembers the stored lines of a chunk.
    pub(crate) fn remember(&mut self, chunk: &[u8]) {
        for line in chunk.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = StoredLine::parse(line) else { continue };
            let stream = if line.error { Stream::Err } else { Stream::Out };
            let source = Source { container: line.container, stream };
            let text = line.text.strip_suffix(b"\n").unwrap_or(line.text);
            self.since = Some(line.time.to_owned());
            self.bytes += text.len();
            self.lines.push_back((source, text.to_vec()));
            while self.lines.len() > LINES || self.bytes > BYTES {
                let Some((_, text)) = self.lines.pop_front() else { break };
                self.bytes -= text.len();
            }
        }
    }

    /// When the last line was written, in RFC 3339; `None` if there is none.
    pub(crate) fn since(&self) -> Option<&str> {
        self.since.as_deref()
    }

    /// Only what one container has written.
    pub(crate) fn of(mut self, container: u32) -> Self {
        self.lines.retain(|(source, _)| source.container == container);
        self
    }

    /// The texts of one stream's last lines.
    pub(crate) fn lines(&self, of: Stream) -> impl Iterator<Item = &[u8]> {
        let lines = self.lines.iter().filter(move |(source, _)| source.stream == of);
        lines.map(|(_, text)| text.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_lines_are_remembered_by_stream() {
        let mut recent = Recent::default();
        recent.remember(b"T1 o one\nT2 e bad line\nT2 o1 other\nT3 op \n");
        assert_eq!(recent.since(), Some("T3"));
        let other = recent.clone().of(1);
        assert_eq!(other.lines(Stream::Out).collect::<Vec<_>>(), [&b"other"[..]]);
        let recent = recent.of(0);
        assert_eq!(recent.lines(Stream::Out).collect::<Vec<_>>(), [&b"one"[..], b""]);
        assert_eq!(recent.lines(Stream::Err).collect::<Vec<_>>(), [b"bad line"]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut recent = Recent::default();
        let line = format!("T o {}\n", "x".repeat(1000));
        (0..5000).for_each(|_| recent.remember(line.as_bytes()));
        assert!(recent.bytes <= BYTES && recent.lines.len() <= LINES);
    }
}
