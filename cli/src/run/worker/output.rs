//! What a worker prints: line by line, with its name before each, and the last of it kept.

use crate::run::report::printer::{Printer, Stream};
use anyhow::{Context, Result};
use rustix::fs::{CWD, Mode, OFlags, mkfifoat};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;

/// Most lines that are kept of each worker.
const KEPT_LINES: usize = 100;
/// Most bytes that are kept of each worker: all of it goes to a successor, and there may be a thousand workers.
const KEPT_BYTES: usize = 64 << 10;
/// Largest line, in bytes; a longer one is broken.
const LONGEST_LINE: usize = 8 << 10;

/// What is known of a worker's output; it goes from a supervisor to its successor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    lines: VecDeque<String>,
    /// Begun, on standard output and on standard error.
    begun: [Vec<u8>; 2],
}

impl Kept {
    /// Takes in bytes; the lines that are whole now.
    fn take(&mut self, stream: Stream, bytes: &[u8]) -> Vec<String> {
        let [output, error] = &mut self.begun;
        let begun = if stream == Stream::Output { output } else { error };
        let mut whole = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => whole.push(std::mem::take(begun)),
                byte => begun.push(*byte),
            }
            if begun.len() >= LONGEST_LINE {
                whole.push(std::mem::take(begun));
            }
        }
        let whole: Vec<_> = whole.iter().map(|line| readable(line)).collect();
        for line in &whole {
            self.lines.push_back(line.clone());
            while self.lines.len() > KEPT_LINES || self.lines.iter().map(String::len).sum::<usize>() > KEPT_BYTES {
                self.lines.pop_front();
            }
        }
        whole
    }

    /// The line that was begun when the stream ended.
    fn end(&mut self, stream: Stream) -> Vec<String> {
        let [output, error] = &self.begun;
        let begun = if stream == Stream::Output { output } else { error };
        if begun.is_empty() { Vec::new() } else { self.take(stream, b"\n") }
    }

    pub(crate) fn last(&self, count: usize) -> Vec<String> {
        self.lines.iter().skip(self.lines.len().saturating_sub(count)).cloned().collect()
    }
}

/// Colours pass; what else a terminal would obey does not.
fn readable(line: &[u8]) -> String {
    let show = |letter: char| if letter.is_control() && !"\t\u{1b}".contains(letter) { '\u{fffd}' } else { letter };
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).chars().map(show).collect()
}

/// Reads what one worker prints.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) kept: Rc<RefCell<Kept>>,
    paths: [PathBuf; 2],
    readers: Vec<JoinHandle<()>>,
    /// While it is paused.
    held: Vec<OwnedFd>,
}

/// Holds pipes open: who writes to one that nobody has open to read is ended by that.
pub(crate) fn hold(paths: &[PathBuf]) -> Vec<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    paths.iter().filter_map(|path| rustix::fs::open(path, flags, Mode::empty()).ok()).collect()
}

/// How lines begin.
#[derive(Debug, Clone)]
pub(crate) struct Prefix {
    pub(crate) text: String,
    pub(crate) printer: Printer,
}

impl Output {
    /// Makes the pipes: the ends to write to are for the worker.
    pub(crate) fn open(paths: [PathBuf; 2], prefix: &Prefix) -> Result<(Self, [File; 2])> {
        let make = |path: &Path| {
            let made = mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR);
            made.with_context(|| format!("making the pipe {}", path.display()))
        };
        paths.iter().try_for_each(|path| make(path))?;
        let output = Output::take_over(paths, Kept::default(), prefix)?;
        let [out, err] = &output.paths;
        let end = |path: &Path| File::options().write(true).open(path).context("opening a pipe");
        let ends = [end(out)?, end(err)?];
        Ok((output, ends))
    }

    /// Goes on where a predecessor has stopped.
    pub(crate) fn take_over(paths: [PathBuf; 2], kept: Kept, prefix: &Prefix) -> Result<Self> {
        let mut output = Output { kept: Rc::new(RefCell::new(kept)), paths, readers: Vec::new(), held: Vec::new() };
        output.resume(prefix)?;
        Ok(output)
    }

    pub(crate) fn resume(&mut self, prefix: &Prefix) -> Result<()> {
        for (path, stream) in self.paths.iter().zip([Stream::Output, Stream::Error]) {
            let receiver = pipe::OpenOptions::new().open_receiver(path);
            let receiver = receiver.with_context(|| format!("opening the pipe {}", path.display()))?;
            let (kept, prefix) = (Rc::clone(&self.kept), prefix.clone());
            self.readers.push(tokio::task::spawn_local(read(receiver, kept, stream, prefix)));
        }
        self.held.clear();
        Ok(())
    }

    /// Reads nothing more until it is resumed; what is written meanwhile waits.
    pub(crate) fn pause(&mut self) {
        self.held = hold(&self.paths);
        self.stop();
    }

    fn stop(&mut self) {
        self.readers.drain(..).for_each(|reader| reader.abort());
    }

    /// Waits until everything is read: all who could write have ended.
    pub(crate) async fn finish(&mut self) {
        // One that has ended must not be awaited again, also if whoever awaits this gives up and comes back.
        while let Some(reader) = self.readers.last_mut() {
            let _ = reader.await;
            self.readers.pop();
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn read(receiver: pipe::Receiver, kept: Rc<RefCell<Kept>>, stream: Stream, prefix: Prefix) {
    let print = |lines: Vec<String>| {
        for line in lines {
            prefix.printer.line(stream, format!("{}{line}", prefix.text));
        }
    };
    let mut bytes = vec![0; 64 << 10];
    loop {
        if receiver.readable().await.is_err() {
            break;
        }
        // What was read is kept before anything else can happen: this task may be stopped when it waits.
        match receiver.try_read(&mut bytes) {
            Ok(0) => break,
            Ok(length) => print(kept.borrow_mut().take(stream, bytes.get(..length).unwrap_or_default())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        tokio::task::yield_now().await;
    }
    print(kept.borrow_mut().end(stream));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However the bytes come, the lines are the same.
        #[test]
        fn lines_do_not_depend_on_how_they_arrive(text in "[a-c\n]{0,200}", cut in 0..200_usize) {
            let bytes = text.as_bytes();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let mut kept = Kept::default();
            let mut lines = kept.take(Stream::Output, first);
            lines.extend(kept.take(Stream::Output, second));
            lines.extend(kept.end(Stream::Output));
            prop_assert_eq!(lines, text.lines().map(str::to_owned).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn what_is_finished_can_be_finished_again() {
        let ended = tokio::spawn(async {});
        let endless = tokio::spawn(std::future::pending());
        let mut output = Output::default();
        output.readers.extend([endless, ended]);
        for _ in 0..2 {
            assert!(tokio::time::timeout(std::time::Duration::from_millis(10), output.finish()).await.is_err());
        }
        output.pause();
        output.finish().await;
        output.finish().await;
    }

    #[test]
    fn long_lines_are_broken_and_few_are_kept() {
        let mut kept = Kept::default();
        assert_eq!(kept.take(Stream::Error, &[b'x'; 3 * LONGEST_LINE]).len(), 3);
        (0..KEPT_LINES).for_each(|_| _ = kept.take(Stream::Error, &[b'x'; LONGEST_LINE]));
        assert_eq!(kept.last(usize::MAX).len(), KEPT_BYTES / LONGEST_LINE);
        (0..2 * KEPT_LINES).for_each(|number| _ = kept.take(Stream::Output, format!("{number}\n").as_bytes()));
        assert_eq!(kept.last(2), ["198", "199"]);
        assert_eq!(kept.last(usize::MAX).len(), KEPT_LINES);
        assert_eq!(readable(b"a\x07b\r"), "a\u{fffd}b");
    }
}
