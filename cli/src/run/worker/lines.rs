//! Output of a worker, cut into lines, of which the last are kept.

use crate::run::report::printer::Stream;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Most lines that are kept of each worker.
const KEPT_LINES: usize = 100;
/// Most bytes that are kept of each worker: all of it goes to a successor, and there may be a thousand workers.
const KEPT_BYTES: usize = 64 << 10;
/// Largest line, in bytes; a longer one is broken between two letters.
pub(super) const LONGEST_LINE: usize = 8 << 10;

/// State of reading a worker's output; it goes from a supervisor to its successor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    lines: VecDeque<String>,
    /// Begun, on standard output and on standard error.
    begun: [Vec<u8>; 2],
}

impl Kept {
    /// Takes in bytes; the lines that are whole now.
    pub(super) fn take(&mut self, stream: Stream, bytes: &[u8]) -> Vec<String> {
        let begun = self.begun(stream);
        let mut whole = Vec::new();
        bytes.iter().for_each(|byte| whole.extend(add(begun, *byte)));
        self.keep(&whole);
        whole
    }

    /// The line that was begun when the stream ended.
    pub(super) fn end(&mut self, stream: Stream) -> Vec<String> {
        let begun = std::mem::take(self.begun(stream));
        let text = begun.strip_suffix(b"\r").unwrap_or(&begun);
        let last = if text.is_empty() { Vec::new() } else { vec![as_text(text)] };
        self.keep(&last);
        last
    }

    fn begun(&mut self, stream: Stream) -> &mut Vec<u8> {
        let [output, error] = &mut self.begun;
        if stream == Stream::Output { output } else { error }
    }

    fn keep(&mut self, lines: &[String]) {
        for line in lines {
            self.lines.push_back(readable(line));
            while self.lines.len() > KEPT_LINES || self.lines.iter().map(String::len).sum::<usize>() > KEPT_BYTES {
                self.lines.pop_front();
            }
        }
    }

    pub(crate) fn last(&self, count: usize) -> Vec<String> {
        self.lines.iter().skip(self.lines.len().saturating_sub(count)).cloned().collect()
    }
}

/// Adds a byte to the line that was begun; a line, if that makes one whole. Lines end with `\n` or `\r\n`. A lone `\r`, by
/// which programs show progress, ends one as well, but makes no empty line.
fn add(begun: &mut Vec<u8>, byte: u8) -> Option<String> {
    let mut whole = None;
    if begun.last() == Some(&b'\r') {
        if byte == b'\r' {
            return None;
        }
        begun.pop();
        if byte != b'\n' && !begun.is_empty() {
            whole = Some(as_text(&std::mem::take(begun)));
        }
    }
    match byte {
        b'\n' => return Some(as_text(&std::mem::take(begun))),
        b'\r' => {}
        _ if begun.len() >= LONGEST_LINE => {
            // The beginning of a letter goes to the next line.
            let cut_off = begun.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
            let rest = begun.split_off(begun.len() - cut_off);
            whole = Some(as_text(&std::mem::replace(begun, rest)));
        }
        _ => {}
    }
    begun.push(byte);
    whole
}

fn as_text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

/// Colours pass; what else a terminal would obey does not.
pub(crate) fn readable(line: &str) -> String {
    let show = |letter: char| if letter.is_control() && !"\t\u{1b}".contains(letter) { '\u{fffd}' } else { letter };
    line.chars().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(bytes: &[u8]) -> Vec<String> {
        let mut kept = Kept::default();
        let mut lines = kept.take(Stream::Output, bytes);
        lines.extend(kept.end(Stream::Output));
        lines
    }

    proptest! {
        /// However the bytes come, the lines are the same.
        #[test]
        fn lines_do_not_depend_on_how_they_arrive(text in "[a-cé\r\n]{0,200}", cut in 0..200_usize) {
            let bytes = text.as_bytes();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let mut kept = Kept::default();
            let mut parts = kept.take(Stream::Output, first);
            parts.extend(kept.take(Stream::Output, second));
            parts.extend(kept.end(Stream::Output));
            prop_assert_eq!(&parts, &lines(bytes));
            if !text.contains('\r') {
                prop_assert_eq!(parts, text.lines().map(str::to_owned).collect::<Vec<_>>());
            }
        }

        /// No letter is cut in two, and none is lost.
        #[test]
        fn long_lines_break_between_letters(text in "[aé日😀]{0,9}", times in 1..3000_usize) {
            let text = text.repeat(times);
            let broken = lines(text.as_bytes());
            prop_assert!(broken.iter().all(|line| !line.is_empty() && line.len() <= LONGEST_LINE));
            prop_assert_eq!(broken.concat(), text);
        }
    }

    #[test]
    fn a_line_as_long_as_allowed_is_one_line() {
        for end in ["", "\n", "\r\n"] {
            let text = "x".repeat(LONGEST_LINE) + end;
            assert_eq!(lines(text.as_bytes()), ["x".repeat(LONGEST_LINE)], "{end:?}");
        }
        let longer = "x".repeat(LONGEST_LINE + 1) + "\n\n";
        assert_eq!(lines(longer.as_bytes()), ["x".repeat(LONGEST_LINE), "x".to_owned(), String::new()]);
    }

    #[test]
    fn carriage_returns_end_lines() {
        assert_eq!(lines(b"1%\r2%\r3%\n"), ["1%", "2%", "3%"]);
        assert_eq!(lines(b"\r1%\r\r2%\r\n\r\nend\r"), ["1%", "2%", "", "end"]);
    }

    #[test]
    fn what_is_no_text_is_replaced_alone() {
        assert_eq!(lines(b"a\xff\xfe\x00\xc3\xa9\xe6\x97b\n"), ["a\u{fffd}\u{fffd}\0é\u{fffd}b"]);
        assert_eq!(readable("a\x07\tb\0"), "a\u{fffd}\tb\u{fffd}");
        // Nothing but what is no text is broken, too.
        assert_eq!(lines(&[0xff; LONGEST_LINE + 1]).concat().chars().count(), LONGEST_LINE + 1);
    }

    #[test]
    fn few_lines_are_kept() {
        let mut kept = Kept::default();
        (0..=KEPT_LINES).for_each(|_| _ = kept.take(Stream::Error, &[b'x'; LONGEST_LINE]));
        assert_eq!(kept.last(usize::MAX).len(), KEPT_BYTES / LONGEST_LINE);
        (0..2 * KEPT_LINES).for_each(|number| _ = kept.take(Stream::Output, format!("{number}\n").as_bytes()));
        assert_eq!(kept.last(2), ["198", "199"]);
        assert_eq!(kept.last(usize::MAX).len(), KEPT_LINES);
    }
}
