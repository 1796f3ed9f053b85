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
            self.readers.push(tokio::task::spawn_local(read(receiver, kept, stream, echo)));
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

async fn read(receiver: pipe::Receiver, kept: Rc<RefCell<Kept>>, stream: Stream, echo: Echo) {
    let is_raw = echo.reporter.format.output == OutputFormat::Raw;
    let print = |lines: Vec<String>| {
        for line in lines.into_iter().filter(|_| !is_raw) {
            echo.reporter.line(&echo.source, stream, line);
        }
    };
    let mut buffer = vec![0; 64 << 10];
    loop {
        if receiver.readable().await.is_err() {
            break;
        }
        // What was read is kept before anything else can happen: this task may be stopped when it waits.
        match receiver.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                print(kept.borrow_mut().take(stream, bytes));
                // The printer counts pieces; each is to be small.
                bytes.chunks(LONGEST_LINE).filter(|_| is_raw).for_each(|piece| echo.reporter.raw(stream, piece));
            }
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
}
