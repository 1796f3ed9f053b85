//! Reads what a worker prints.

use super::lines::{Kept, LONGEST_LINE};
use crate::run::report::printer::Stream;
use crate::run::report::{OutputFormat, Reporter, Source};
use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, Mode, OFlags, mkfifoat};
use std::cell::RefCell;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;

/// Most reads of a pipe when its worker has ended: as much as the largest pipe holds.
const LAST_READS: usize = 16;

thread_local! {
    /// Buffer for each read, which waits for nothing. One for each pipe would cost memory, and with it time: all of a
    /// process is copied when it starts another.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 << 10]);
}

/// Reads what one worker prints.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) kept: Rc<RefCell<Kept>>,
    paths: [PathBuf; 2],
    readers: Vec<(Rc<Reader>, JoinHandle<()>)>,
    /// While it is paused.
    held: Vec<OwnedFd>,
}

/// Reads one of its pipes.
#[derive(Debug)]
struct Reader {
    receiver: pipe::Receiver,
    kept: Rc<RefCell<Kept>>,
    stream: Stream,
    echo: Echo,
}

/// Holds pipes open: who writes to one that nobody has open to read is ended by that.
pub(crate) fn hold(paths: &[PathBuf]) -> Vec<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    paths.iter().filter_map(|path| rustix::fs::open(path, flags, Mode::empty()).ok()).collect()
}

/// Prints what a worker printed.
#[derive(Debug, Clone)]
pub(crate) struct Echo {
    pub(crate) source: Source,
    pub(crate) reporter: Reporter,
}

impl Output {
    /// Makes the pipes; nothing is read until it is resumed. The ends to write to are for the worker.
    /// A worker of another user may open what it has once more, as `/dev/stdout`.
    pub(crate) fn open(paths: [PathBuf; 2], owner: Option<(u32, u32)>) -> Result<(Self, [File; 2])> {
        let make = |path: &Path| {
            mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)
                .map_err(std::io::Error::from)
                .and_then(|()| owner.map_or(Ok(()), |(user, group)| chown(path, Some(user), Some(group))))
                .with_context(|| format!("making the pipe {}", path.display()))
        };
        paths.iter().try_for_each(|path| make(path))?;
        let mut output = Output::default();
        output.paths = paths;
        output.pause();
        let [out, err] = &output.paths;
        // To open a pipe that nobody reads would never end.
        ensure!(output.held.len() == 2, "cannot open the pipe {}", out.display());
        let end = |path: &Path| File::options().write(true).open(path).context("opening a pipe");
        let ends = [end(out)?, end(err)?];
        Ok((output, ends))
    }

    /// Goes on where a predecessor has stopped.
    pub(crate) fn take_over(paths: [PathBuf; 2], kept: Kept, echo: &Echo) -> Result<Self> {
        let mut output = Output { kept: Rc::new(RefCell::new(kept)), paths, readers: Vec::new(), held: Vec::new() };
        output.resume(echo)?;
        Ok(output)
    }

    pub(crate) fn resume(&mut self, echo: &Echo) -> Result<()> {
        for (path, stream) in self.paths.iter().zip([Stream::Output, Stream::Error]) {
            let receiver = pipe::OpenOptions::new().open_receiver(path);
            let receiver = receiver.with_context(|| format!("opening the pipe {}", path.display()))?;
            let (kept, echo) = (Rc::clone(&self.kept), echo.clone());
            let reader = Rc::new(Reader { receiver, kept, stream, echo });
            let task = tokio::task::spawn_local(read(Rc::clone(&reader)));
            self.readers.push((reader, task));
        }
        self.held.clear();
        Ok(())
    }

    /// Reads nothing more until it is resumed; what is written meanwhile waits.
    pub(crate) fn pause(&mut self) {
        self.held = hold(&self.paths);
        self.stop();
    }

    /// Whether a successor could open the pipes.
    pub(crate) fn has_names(&self) -> bool {
        self.paths.iter().all(|path| path.exists())
    }

    fn stop(&mut self) {
        self.readers.drain(..).for_each(|(_, task)| task.abort());
    }

    /// Reads what is in the pipes: all that a worker printed, when it has ended. Nothing waits for descendants that keep
    /// the pipes open.
    pub(crate) fn drain(&self) {
        // Tokio would not know yet that something has come.
        let read = |reader: &Reader, buffer: &mut [u8]| rustix::io::read(&reader.receiver, buffer).map_err(Into::into);
        for (reader, _) in &self.readers {
            (0..LAST_READS).take_while(|_| reader.read(|buffer| read(reader, buffer))).for_each(drop);
        }
    }

    /// The same, when nothing more is to come; a line that was begun ends here.
    pub(crate) fn finish(&self) {
        self.drain();
        self.readers.iter().for_each(|(reader, _)| reader.end());
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Reader {
    /// Reads, and takes note of it; whether there may be more.
    fn read(&self, read: impl FnOnce(&mut [u8]) -> std::io::Result<usize>) -> bool {
        BUFFER.with_borrow_mut(|buffer| match read(buffer) {
            Ok(length) => self.note(buffer.get(..length).unwrap_or_default()),
            Err(error) => error.kind() == ErrorKind::Interrupted,
        })
    }

    fn note(&self, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            self.end();
            return false;
        }
        let lines = self.kept.borrow_mut().take(self.stream, bytes);
        self.print(lines);
        if self.is_raw() {
            // The printer counts pieces; each is to be small.
            bytes.chunks(LONGEST_LINE).for_each(|piece| self.echo.reporter.raw(self.stream, piece));
        }
        true
    }

    fn end(&self) {
        let lines = self.kept.borrow_mut().end(self.stream);
        self.print(lines);
    }

    fn print(&self, lines: Vec<String>) {
        for line in lines.into_iter().filter(|_| !self.is_raw()) {
            self.echo.reporter.line(&self.echo.source, self.stream, line);
        }
    }

    fn is_raw(&self) -> bool {
        self.echo.reporter.format.output == OutputFormat::Raw
    }
}

async fn read(reader: Rc<Reader>) {
    while reader.receiver.readable().await.is_ok() {
        let mut is_empty = false;
        // Bytes are kept before anything else can happen: this task may be stopped when it waits.
        let may_be_more = reader.read(|buffer| {
            let read = reader.receiver.try_read(buffer);
            is_empty = read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            read
        });
        if !may_be_more && !is_empty {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::report::printer::Printer;
    use crate::run::report::{Format, Past, Reporter, Source};
    use std::io::Write;

    #[tokio::test]
    async fn all_that_is_in_a_pipe_is_read_though_somebody_keeps_it_open() {
        let folder = tempfile::tempdir().unwrap();
        let (mut output, [mut out, _err]) =
            Output::open(["out", "err"].map(|name| folder.path().join(name)), None).unwrap();
        let reporter = Reporter {
            format: Format { json: true, output: OutputFormat::Json, time: false },
            printer: Printer::start(),
            past: Past::default(),
        };
        let echo = Echo { source: Source { prefix: String::new(), pid: 1, place: 0 }, reporter };
        let local = tokio::task::LocalSet::new();
        let _entered = local.enter();
        output.resume(&echo).unwrap();
        out.write_all(b"one\ntwo\nthr").unwrap();
        output.drain();
        assert_eq!(output.kept.borrow().last(9), ["one", "two"]);
        out.write_all(b"ee").unwrap();
        output.finish();
        assert_eq!(output.kept.borrow().last(9), ["one", "two", "three"]);
    }
}
