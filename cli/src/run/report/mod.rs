//! Reports to the person who started the supervisor.

mod past;
pub(super) mod printer;

use super::worker::lines::readable;
use crate::views::units::of;
pub(crate) use past::Past;
use printer::{Printer, Stream};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Report {
    Listening {
        name: String,
        address: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<String>,
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
        /// Number that it still had, if they were counted.
        #[serde(skip_serializing_if = "Option::is_none")]
        connections: Option<u64>,
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
        path: PathBuf,
        from_version: String,
        from_path: PathBuf,
    },
    UpgradeFailed {
        why: String,
    },
    Trouble {
        why: String,
    },
    Draining,
    Ended,
    /// A worker printed a line.
    Output {
        pid: i32,
        place: u32,
        stream: &'static str,
        line: String,
    },
}

/// Format of workers' output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OutputFormat {
    /// Byte for byte.
    Raw,
    /// Line by line, with the worker's place before each.
    Prefix,
    /// As events: a JSON line each, on standard output.
    Json,
}

/// Format of everything that is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    pub(crate) json: bool,
    pub(crate) output: OutputFormat,
    /// Whether lines of text begin with the time.
    pub(crate) time: bool,
}

/// The worker that a line comes from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Before its lines.
    pub(crate) prefix: String,
    pub(crate) pid: i32,
    pub(crate) place: u32,
}

/// An event as it is printed.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    report: &'a Report,
}

/// Prints reports and what workers print. JSON lines go to standard output, which has nothing else then; the text of
/// reports goes to standard error.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    pub(crate) format: Format,
    pub(crate) printer: Printer,
    /// The latest reports.
    pub(crate) past: Past,
}

impl Reporter {
    /// Something went wrong, and everything else goes on.
    pub(crate) fn trouble(&self, why: &str) {
        self.say(&Report::Trouble { why: why.to_owned() });
    }

    pub(crate) fn say(&self, report: &Report) {
        let text = text(report);
        if let Some(text) = &text {
            self.past.add(text);
        }
        if self.format.json {
            self.event(report);
        } else if let Some(text) = text {
            self.text(Stream::Error, &format!("sharesock: {text}"));
        }
    }

    /// A worker printed this line.
    pub(crate) fn line(&self, source: &Source, stream: Stream, line: String) {
        let Source { prefix, pid, place } = source;
        if self.format.output == OutputFormat::Json {
            self.event(&Report::Output { pid: *pid, place: *place, stream: stream.name(), line });
        } else {
            self.text(self.text_stream(stream), &format!("{prefix}{}", readable(&line)));
        }
    }

    /// A worker printed these bytes.
    pub(crate) fn raw(&self, stream: Stream, bytes: &[u8]) {
        self.printer.print(self.text_stream(stream), bytes.to_vec());
    }

    /// Stream on which text from this one is printed.
    fn text_stream(&self, stream: Stream) -> Stream {
        if self.format.json { Stream::Error } else { stream }
    }

    fn event(&self, report: &Report) {
        let mut line = serde_json::to_vec(&Line { time: crate::time::now(), report }).unwrap_or_default();
        line.push(b'\n');
        self.printer.print(Stream::Output, line);
    }

    fn text(&self, stream: Stream, text: &str) {
        let line = if self.format.time { format!("{} {text}\n", crate::time::now()) } else { format!("{text}\n") };
        self.printer.print(stream, line.into_bytes());
    }
}

fn text(report: &Report) -> Option<String> {
    Some(match report {
        Report::Listening { name, url: Some(url), .. } => format!("{name} is served at {url}"),
        Report::Listening { name, address, .. } => format!("{name} listens on {address}"),
        Report::Metrics { address } => format!("metrics at {address}"),
        Report::Ready { name, pid, workers, .. } => {
            format!("{name} is ready: supervisor {pid}, {}; SIGHUP reloads, SIGTERM ends", pids(workers))
        }
        Report::WorkerStarted { .. } | Report::WorkerReady { .. } | Report::Ended | Report::Output { .. } => {
            return None;
        }
        Report::WorkerEnded { pid, why, another_in_ms: Some(pause), .. } => {
            format!("worker {pid} {why}; another starts in {pause} ms")
        }
        Report::WorkerEnded { pid, why, .. } => format!("worker {pid} {why}"),
        Report::Killed { pid, why, connections: Some(count @ 1..) } => {
            format!("worker {pid} is killed, which cuts off {}: {why}", of(*count, "connection"))
        }
        Report::Killed { pid, why, .. } => format!("worker {pid} is killed: {why}"),
        Report::Reloading { generation } => format!("starting generation {generation}"),
        Report::Reloaded { generation, workers } => {
            format!("generation {generation} has taken over, {}; the one before drains", pids(workers))
        }
        Report::ReloadFailed { why } => format!("the reload failed, the old workers go on: {why}"),
        Report::Upgrading => "upgrading".to_owned(),
        Report::Upgraded { version, path, from_version, from_path } => {
            format!("upgraded: {}", replaced(version, path, from_version, from_path))
        }
        Report::UpgradeFailed { why } => format!("the upgrade failed, this supervisor goes on: {why}"),
        Report::Trouble { why } => why.clone(),
        Report::Draining => "asking the workers to finish; another signal ends at once".to_owned(),
    })
}

/// Which program has replaced which.
pub(super) fn replaced(version: &str, path: &Path, from_version: &str, from_path: &Path) -> String {
    let (new, old) = (path.display(), from_path.display());
    match version == from_version {
        true if path == from_path => format!("the version is the same as before: {version} ({new})"),
        true => format!("version {version} ({new}) replaces the same version ({old})"),
        false => format!("version {version} ({new}) replaces version {from_version} ({old})"),
    }
}

fn pids(workers: &[i32]) -> String {
    let pids: Vec<_> = workers.iter().map(i32::to_string).collect();
    match pids.len() {
        0 => "no workers yet".to_owned(),
        1 => format!("worker {}", pids.join("")),
        _ => format!("workers {}", pids.join(" ")),
    }
}
