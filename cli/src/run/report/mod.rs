//! What the supervisor tells the person who started it.

pub(super) mod printer;

use printer::{Printer, Stream};
use serde::Serialize;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Report {
    Listening {
        name: String,
        address: String,
    },
    /// Metrics are answered for there.
    Metrics {
        address: String,
    },
    /// All workers of the first generation are ready.
    Ready {
        name: String,
        pid: u32,
        generation: u32,
        workers: Vec<i32>,
    },
    WorkerStarted {
        pid: i32,
        place: u32,
        generation: u32,
    },
    WorkerReady {
        pid: i32,
        place: u32,
        generation: u32,
    },
    WorkerEnded {
        pid: i32,
        place: u32,
        generation: u32,
        why: String,
        another_in_ms: Option<u64>,
    },
    /// It took too long, or a second signal came.
    Killed {
        pid: i32,
        why: String,
    },
    Reloading {
        generation: u32,
    },
    Reloaded {
        generation: u32,
        workers: Vec<i32>,
    },
    ReloadFailed {
        why: String,
    },
    Upgrading,
    Upgraded {
        version: String,
    },
    UpgradeFailed {
        why: String,
    },
    Trouble {
        why: String,
    },
    Draining,
    Ended,
}

/// Prints reports: as JSON lines on standard output, or as text on standard error.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    pub(crate) json: bool,
    pub(crate) printer: Printer,
}

impl Reporter {
    /// Something went wrong, and everything else goes on.
    pub(crate) fn trouble(&self, why: &str) {
        self.say(&Report::Trouble { why: why.to_owned() });
    }

    pub(crate) fn say(&self, report: &Report) {
        if self.json {
            self.printer.line(Stream::Output, serde_json::to_string(report).unwrap_or_default());
        } else if let Some(text) = text(report) {
            self.printer.line(Stream::Error, format!("sharesock: {text}"));
        }
    }
}

fn text(report: &Report) -> Option<String> {
    Some(match report {
        Report::Listening { name, address } => format!("{name} listens on {address}"),
        Report::Metrics { address } => format!("metrics at {address}"),
        Report::Ready { name, pid, workers, .. } => {
            format!("{name} is ready: supervisor {pid}, {}; SIGHUP reloads, SIGTERM ends", pids(workers))
        }
        Report::WorkerStarted { .. } | Report::WorkerReady { .. } | Report::Ended => return None,
        Report::WorkerEnded { pid, why, another_in_ms: Some(pause), .. } => {
            format!("worker {pid} {why}; another starts in {pause} ms")
        }
        Report::WorkerEnded { pid, why, .. } => format!("worker {pid} {why}"),
        Report::Killed { pid, why } => format!("worker {pid} is killed: {why}"),
        Report::Reloading { generation } => format!("starting generation {generation}"),
        Report::Reloaded { generation, workers } => {
            format!("generation {generation} has taken over, {}; the one before drains", pids(workers))
        }
        Report::ReloadFailed { why } => format!("the reload failed, the old workers go on: {why}"),
        Report::Upgrading => "upgrading".to_owned(),
        Report::Upgraded { version } => format!("upgraded: version {version} has taken over"),
        Report::UpgradeFailed { why } => format!("the upgrade failed, this supervisor goes on: {why}"),
        Report::Trouble { why } => why.clone(),
        Report::Draining => "asking the workers to finish; another signal ends at once".to_owned(),
    })
}

fn pids(workers: &[i32]) -> String {
    let pids: Vec<_> = workers.iter().map(i32::to_string).collect();
    match pids.len() {
        0 => "no workers yet".to_owned(),
        1 => format!("worker {}", pids.join("")),
        _ => format!("workers {}", pids.join(" ")),
    }
}
