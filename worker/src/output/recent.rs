//! The last stored lines of an attempt, so that a broken-off stream can be taken up without loss and
//! without repeating itself. Pure.

use std::collections::VecDeque;

use longshore_store::StoredLine;

use super::lines::{Source, Stream};

/// How much is remembered; more than a container writes in the second that is compared.
const LINES: usize = 1000;
const BYTES: usize = 256 * 1024;

/// The last stored lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    lines: VecDeque<Line>,
    bytes: usize,
    /// What is remembered begins after this moment, in RFC 3339; `None` if that is all there is.
    after: Option<String>,
}

#[derive(Clone, Debug)]
struct Line {
    source: Source,
    /// When it was written, in RFC 3339.
    time: String,
    text: Vec<u8>,
}

impl Recent {
    /// Remembers the stored lines of a chunk.
    pub(crate) fn remember(&mut self, chunk: &[u8]) {
        for line in chunk.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = StoredLine::parse(line) else { continue };
            let stream = if line.error { Stream::Err } else { Stream::Out };
            let source = Source { container: line.container, stream };
            let text = line.text.strip_suffix(b"\n").unwrap_or(line.text);
            self.bytes += text.len();
            let (time, text) = (line.time.to_owned(), text.to_vec());
            self.lines.push_back(Line { source, time, text });
            while self.lines.len() > LINES || self.bytes > BYTES {
                self.forget_first();
            }
        }
    }

    fn forget_first(&mut self) {
        if let Some(Line { text, time, .. }) = self.lines.pop_front() {
            self.bytes -= text.len();
            self.after = Some(time);
        }
    }

    /// The moment after which a container's lines are remembered, if not all of them are.
    pub(crate) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// When the last line was written, in RFC 3339; `None` if there is none.
    pub(crate) fn last(&self) -> Option<&str> {
        self.lines.back().map(|line| line.time.as_str())
    }

    /// The same for one stream.
    pub(crate) fn last_of(&self, stream: Stream) -> Option<&str> {
        let line = self.lines.iter().rfind(|line| line.source.stream == stream);
        line.map(|line| line.time.as_str())
    }

    /// Only what was written from a moment on, in RFC 3339.
    pub(crate) fn from(mut self, moment: &str) -> Self {
        self.lines.retain(|line| line.time.as_str() >= moment);
        self.after = self.after.filter(|after| after.as_str() >= moment);
        self
    }

    /// Only what one container has written.
    pub(crate) fn of(mut self, container: u32) -> Self {
        self.lines.retain(|line| line.source.container == container);
        self
    }

    /// The texts of one stream's last lines.
    pub(crate) fn lines(&self, of: Stream) -> impl Iterator<Item = &[u8]> {
        let lines = self.lines.iter().filter(move |line| line.source.stream == of);
        lines.map(|line| line.text.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_lines_are_remembered_by_stream() {
        let mut recent = Recent::default();
        recent.remember(b"T1 o one\nT2 e bad line\nT2 o1 other\nT3 op \n");
        assert_eq!(recent.last(), Some("T3"));
        let other = recent.clone().of(1);
        assert_eq!((other.last(), other.after()), (Some("T2"), None));
        assert_eq!(recent.last_of(Stream::Err), Some("T2"));
        assert_eq!(recent.clone().from("T3").lines(Stream::Out).count(), 1);
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
        assert_eq!(recent.after(), Some("T"));
        assert_eq!(recent.from("U").after(), None);
    }
}
