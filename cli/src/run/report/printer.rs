//! Printing without ever waiting: a supervisor must not stand still because nobody reads what it prints.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Most lines, or pieces of what is printed raw, that wait to be printed; more are dropped, and counted.
const MOST_WAITING: usize = 4096;

/// Destination of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Output,
    Error,
}

impl Stream {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stream::Output => "stdout",
            Stream::Error => "stderr",
        }
    }
}

enum Work {
    Print(Stream, Vec<u8>),
    /// Answered when everything before is printed.
    Flush(SyncSender<()>),
}

/// A thread that prints.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    work: SyncSender<Work>,
    dropped: Arc<AtomicU64>,
}

impl Printer {
    pub(crate) fn start() -> Self {
        let (work, to_do) = sync_channel(MOST_WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        std::thread::spawn(move || {
            for work in to_do {
                let dropped = counted.swap(0, Ordering::Relaxed);
                if dropped > 0 {
                    let why = format!("sharesock: {dropped} lines were not printed: nobody reads them fast enough\n");
                    print(Stream::Error, why.as_bytes());
                }
                match work {
                    Work::Print(stream, bytes) => print(stream, &bytes),
                    Work::Flush(done) => drop(done),
                }
            }
        });
        Printer { work, dropped }
    }

    /// Prints this, sooner or later.
    pub(crate) fn print(&self, stream: Stream, bytes: Vec<u8>) {
        if let Err(TrySendError::Full(_)) = self.work.try_send(Work::Print(stream, bytes)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything is printed, for a second at most.
    pub(crate) fn flush(&self) {
        let (done, wait) = sync_channel(0);
        if self.work.try_send(Work::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(Duration::from_secs(1));
        }
    }
}

fn print(stream: Stream, bytes: &[u8]) {
    fn write(mut to: impl Write, bytes: &[u8]) -> std::io::Result<()> {
        to.write_all(bytes)?;
        to.flush()
    }
    // That nobody listens any more is no reason to end.
    let _ = match stream {
        Stream::Output => write(std::io::stdout(), bytes),
        Stream::Error => write(std::io::stderr(), bytes),
    };
}
