//! Printing without ever waiting: a supervisor must not stand still because nobody reads what it prints.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Most lines that wait to be printed; more are dropped, and counted.
const MOST_WAITING: usize = 4096;

/// Where a line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stream {
    Output,
    Error,
}

enum Work {
    Line(Stream, String),
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
                    print(
                        Stream::Error,
                        &format!("sharesock: {dropped} lines were not printed: nobody reads them fast enough"),
                    );
                }
                match work {
                    Work::Line(stream, line) => print(stream, &line),
                    Work::Flush(done) => drop(done),
                }
            }
        });
        Printer { work, dropped }
    }

    pub(crate) fn line(&self, stream: Stream, line: String) {
        if let Err(TrySendError::Full(_)) = self.work.try_send(Work::Line(stream, line)) {
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

fn print(stream: Stream, line: &str) {
    // That nobody listens any more is no reason to end.
    let _ = match stream {
        Stream::Output => writeln!(std::io::stdout(), "{line}"),
        Stream::Error => writeln!(std::io::stderr(), "{line}"),
    };
}
