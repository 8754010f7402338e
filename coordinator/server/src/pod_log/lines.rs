//! Stored lines as clients read them.

use std::collections::VecDeque;

use jiff::Timestamp;
use longshore_store::StoredLine;

/// Turns stored lines into the container's text.
pub(crate) struct Lines {
    /// Only those of one container, by its number.
    container: Option<u32>,
    since: Option<Timestamp>,
    timestamps: bool,
    /// Whether the last line has not ended yet.
    open: bool,
}

impl Lines {
    /// Lines written before `since` are left out; with `timestamps` each begins with its time.
    pub(crate) fn new(since: Option<Timestamp>, timestamps: bool) -> Self {
        Self { container: None, since, timestamps, open: false }
    }

    /// Of all lines only those of one container, by its number.
    pub(crate) fn of(mut self, container: u32) -> Self {
        self.container = Some(container);
        self
    }

    /// Appends the text of a chunk of whole stored lines.
    pub(crate) fn take(&mut self, chunk: &[u8], text: &mut Vec<u8>) {
        for line in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.line(line, text);
        }
    }

    /// Appends a line of Longshore's own.
    pub(crate) fn notice(&self, notice: &str, text: &mut Vec<u8>) {
        text.extend_from_slice(notice.as_bytes());
        text.push(b'\n');
    }

    fn line(&mut self, line: &[u8], text: &mut Vec<u8>) {
        let Some(StoredLine { time, container, partial, text: content, .. }) =
            StoredLine::parse(line)
        else {
            return;
        };
        if self.container.is_some_and(|wanted| wanted != container) {
            return;
        }
        if self.since.is_some_and(|since| written(time).is_some_and(|written| written < since)) {
            return;
        }
        if self.timestamps && !self.open {
            text.extend_from_slice(time.as_bytes());
            text.push(b' ');
        }
        self.open = partial;
        let content = match self.open {
            true => content.strip_suffix(b"\n").unwrap_or(content),
            false => content,
        };
        text.extend_from_slice(content);
    }
}

fn written(time: &str) -> Option<Timestamp> {
    time.parse().ok()
}

/// Keeps the last lines of a text.
pub(crate) struct Tail {
    most: usize,
    lines: VecDeque<Vec<u8>>,
    /// Whether the last line has not ended yet.
    open: bool,
}

impl Tail {
    pub(crate) fn new(most: u64) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { most, lines: VecDeque::new(), open: false }
    }

    pub(crate) fn take(&mut self, text: &[u8]) {
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            match self.lines.back_mut().filter(|_| self.open) {
                Some(last) => last.extend_from_slice(line),
                None => self.lines.push_back(line.to_vec()),
            }
            self.open = !line.ends_with(b"\n");
            if self.lines.len() > self.most {
                self.lines.pop_front();
            }
        }
    }

    /// The lines that were kept.
    pub(crate) fn text(&mut self) -> Vec<u8> {
        self.lines.drain(..).flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &[u8] = b"2026-01-02T03:04:05.000000001Z o one\n\
        2026-01-02T03:04:06.000000002Z ep two and \n\
        2026-01-02T03:04:06.000000003Z e more\n\
        2026-01-02T03:04:07.000000004Z o \n";

    fn text(mut lines: Lines) -> String {
        let mut text = Vec::new();
        lines.take(STORED, &mut text);
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn parts_of_a_line_are_joined() {
        assert_eq!(text(Lines::new(None, false)), "one\ntwo and more\n\n");
    }

    #[test]
    fn a_container_has_its_own_lines() {
        let stored = b"2026-01-02T03:04:05Z o main\n2026-01-02T03:04:05Z e2 other\n";
        let read = |container| {
            let mut text = Vec::new();
            Lines::new(None, false).of(container).take(stored, &mut text);
            String::from_utf8(text).expect("text")
        };
        assert_eq!((read(0), read(2), read(1)), ("main\n".into(), "other\n".into(), String::new()));
    }

    #[test]
    fn earlier_lines_are_left_out() {
        let since = "2026-01-02T03:04:06Z".parse().expect("a time");
        assert_eq!(text(Lines::new(Some(since), false)), "two and more\n\n");
    }

    #[test]
    fn times_stand_in_front() {
        let since = "2026-01-02T03:04:07Z".parse().expect("a time");
        assert_eq!(text(Lines::new(Some(since), true)), "2026-01-02T03:04:07.000000004Z \n");
    }

    #[test]
    fn the_last_lines_are_kept() {
        let mut tail = Tail::new(2);
        tail.take(b"a\nb\nc");
        tail.take(b"c\nd");
        assert_eq!(tail.text(), b"cc\nd");
        let mut none = Tail::new(0);
        none.take(b"a\nb\n");
        assert!(none.text().is_empty());
    }
}
