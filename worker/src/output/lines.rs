//! From what a container writes to the lines that are stored. Pure.
//!
//! A last line without its newline is stored as a piece that goes on, so that nothing is made up.

use std::collections::BTreeMap;

use longshore_store::StoredLine;

/// The longest text of one stored line in bytes, as container runtimes cut lines under Kubernetes.
pub(crate) const LONGEST: usize = 16 * 1024;

/// Where a container wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// What was written to: one of the streams of one of an attempt's containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Source {
    /// Its number among the template's, init containers first.
    pub(crate) container: u32,
    pub(crate) stream: Stream,
}

/// Cuts one attempt's output into stored lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pending: BTreeMap<Source, Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    /// A line of which the end has not come yet.
    text: Vec<u8>,
    /// Set after a loss: what comes up to the next newline is the rest of a line that is gone.
    skipping: bool,
}

impl Lines {
    /// Takes what was written at a moment (in RFC 3339) and gives each line that is
    /// now whole to `line`. Returns how many bytes were thrown away because the start of their line
    /// was lost before.
    pub(crate) fn push(
        &mut self,
        source: Source,
        data: &[u8],
        at: &str,
        mut line: impl FnMut(&[u8]),
    ) -> u64 {
        let pending = self.pending.entry(source).or_default();
        let (mut rest, mut skipped) = (data, 0);
        if pending.skipping {
            let end = rest.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            pending.skipping = end.is_none();
            skipped = end.unwrap_or(rest.len());
            rest = &rest[skipped..];
        }
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            pending.text.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            pending.cut(source, at, &mut line);
            render(source, false, at, &pending.text, &mut line);
            pending.text.clear();
        }
        pending.text.extend_from_slice(rest);
        pending.cut(source, at, &mut line);
        skipped as u64
    }

    /// Takes note that output of a stream was lost before what comes next. Returns how many bytes
    /// of a line begun before are lost with it.
    pub(crate) fn lost(&mut self, source: Source) -> u64 {
        let pending = self.pending.entry(source).or_default();
        let begun = pending.text.len() as u64;
        pending.text.clear();
        pending.skipping = true;
        begun
    }

    /// Gives what is left of lines without a newline, at the end of the output.
    pub(crate) fn finish(&mut self, at: &str, mut line: impl FnMut(&[u8])) {
        for (source, pending) in &mut self.pending {
            if !pending.text.is_empty() {
                render(*source, true, at, &pending.text, &mut line);
                pending.text.clear();
            }
        }
    }
}

impl Pending {
    /// Gives the pieces of a line that is longer than a stored line may be.
    fn cut(&mut self, source: Source, at: &str, line: &mut impl FnMut(&[u8])) {
        let mut from = 0;
        while self.text.len() - from > LONGEST {
            render(source, true, at, &self.text[from..from + LONGEST], line);
            from += LONGEST;
        }
        self.text.drain(..from);
    }
}

fn render(source: Source, partial: bool, at: &str, text: &[u8], line: &mut impl FnMut(&[u8])) {
    let error = source.stream == Stream::Err;
    line(&StoredLine::render(at, source.container, error, partial, text));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(container: u32, stream: Stream) -> Source {
        Source { container, stream }
    }

    fn push(lines: &mut Lines, stream: Stream, data: &[u8]) -> Vec<String> {
        push_of(lines, 0, stream, data)
    }

    fn push_of(lines: &mut Lines, container: u32, stream: Stream, data: &[u8]) -> Vec<String> {
        let mut stored = Vec::new();
        lines.push(of(container, stream), data, "T", |line| {
            stored.push(String::from_utf8(line.to_vec()).expect("UTF-8"));
        });
        stored
    }

    #[test]
    fn streams_keep_their_unfinished_lines_apart() {
        let mut lines = Lines::default();
        assert!(push(&mut lines, Stream::Out, b"one ").is_empty());
        assert_eq!(push(&mut lines, Stream::Err, b"bad\n"), ["T e bad\n"]);
        assert_eq!(push(&mut lines, Stream::Out, b"line\n\nnext"), ["T o one line\n", "T o \n"]);
        let mut rest = Vec::new();
        lines.finish("T", |line| rest.extend_from_slice(line));
        assert_eq!(rest, b"T op next\n");
    }

    #[test]
    fn containers_keep_their_lines_apart() {
        let mut lines = Lines::default();
        assert!(push_of(&mut lines, 0, Stream::Out, b"one ").is_empty());
        assert_eq!(push_of(&mut lines, 2, Stream::Out, b"other\n"), ["T o2 other\n"]);
        assert_eq!(push_of(&mut lines, 0, Stream::Out, b"line\n"), ["T o one line\n"]);
    }

    #[test]
    fn a_long_line_is_cut_into_pieces_that_add_up() {
        let mut lines = Lines::default();
        let long = "x".repeat(2 * LONGEST + 3) + "\n";
        let mut stored = Vec::new();
        for part in long.as_bytes().chunks(1000) {
            stored.extend(push(&mut lines, Stream::Out, part));
        }
        let lengths: Vec<_> = stored.iter().map(|line| line.trim_end().len()).collect();
        assert_eq!(lengths, [5 + LONGEST, 5 + LONGEST, 4 + 3]);
        assert!(stored[0].starts_with("T op x") && stored[2].starts_with("T o x"));
    }

    #[test]
    fn after_a_loss_the_rest_of_the_broken_line_is_counted_as_lost() {
        let mut lines = Lines::default();
        push(&mut lines, Stream::Out, b"begun");
        assert_eq!(lines.lost(of(0, Stream::Out)), 5);
        let mut stored = Vec::new();
        let skipped = lines
            .push(of(0, Stream::Out), b"rest\nwhole\n", "T", |line| stored.extend_from_slice(line));
        assert_eq!((skipped, stored.as_slice()), (5, &b"T o whole\n"[..]));
    }
}
