//! What the front tells the person who started it.

use super::listen::Bound;
use serde::Serialize;
use std::io::Write;

/// Something that happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Report<'a> {
    Listening {
        #[serde(flatten)]
        bound: &'a Bound,
    },
    Ready {
        /// The front's own id: where signals go.
        pid: u32,
        generation: u32,
        workers: Vec<u32>,
    },
    WorkerEnded {
        pid: u32,
        why: String,
        another_in_ms: Option<u64>,
    },
    Reloading,
    Reloaded {
        generation: u32,
        workers: Vec<u32>,
    },
    ReloadFailed {
        why: &'a str,
    },
    Trouble {
        why: String,
    },
    Draining,
    Ended,
}

/// Prints reports: as JSON lines on standard output, or as text, of which only addresses go there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reporter {
    pub(crate) json: bool,
}

impl Reporter {
    pub(crate) fn say(self, report: &Report<'_>) {
        // That nobody reads any more is no reason to stop serving.
        if self.json {
            let line = serde_json::to_string(report).unwrap_or_default();
            let _ = writeln!(std::io::stdout(), "{line}");
            return;
        }
        let _ = match report {
            Report::Listening { bound } => writeln!(std::io::stdout(), "listening on http://{}/", bound.address),
            Report::Ready { pid, workers, .. } => {
                say(format_args!("process {pid} is ready, with workers {}; {}", pids(workers), crate::system::ASKING))
            }
            Report::WorkerEnded { pid, why, another_in_ms: Some(pause) } => {
                say(format_args!("worker {pid} ended ({why}); another starts in {pause} ms"))
            }
            Report::WorkerEnded { pid, why, .. } => say(format_args!("worker {pid} ended ({why})")),
            Report::Reloading => say(format_args!("starting new workers")),
            Report::Reloaded { workers, .. } => say(format_args!("new workers {} have taken over", pids(workers))),
            Report::ReloadFailed { why } => say(format_args!("the new workers failed ({why}); the old ones go on")),
            Report::Trouble { why } => say(format_args!("{why}")),
            Report::Draining => say(format_args!("finishing what is in flight; another signal ends at once")),
            Report::Ended => Ok(()),
        };
    }
}

fn say(text: std::fmt::Arguments<'_>) -> std::io::Result<()> {
    writeln!(std::io::stderr(), "sharesock: {text}")
}

fn pids(workers: &[u32]) -> String {
    workers.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}
