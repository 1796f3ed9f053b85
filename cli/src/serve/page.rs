//! The page about a worker, for people and for machines.

use super::envelope::Envelope;
use super::files::{Plain, whole};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::fmt::Write;

/// What a worker counts.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Stats {
    pub(crate) generation: u32,
    /// Connections that it received.
    pub(crate) connections: Cell<u64>,
    /// Of these, those that it serves now.
    pub(crate) open: Cell<u64>,
    /// Of these, those that it handed over to another worker.
    pub(crate) handed_over: Cell<u64>,
    /// Of these, those that it refused, for their client had too many.
    pub(crate) refused: Cell<u64>,
    /// Requests that it answered, this one among them.
    pub(crate) requests: Cell<u64>,
}

/// Counts of one worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) pid: u32,
    /// Connections that it serves, those on their way among them.
    pub(crate) open: u64,
    /// Connections that it was given since it started.
    pub(crate) given: u64,
}

/// Figures of all workers, as of a moment ago.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// Workers of the generation that serves.
    pub(crate) workers: Vec<Count>,
    /// Median of the time that hand-offs take, in microseconds.
    pub(crate) hand_off_us: Option<f64>,
}

/// Contents of the page: a connection and its worker.
#[derive(Debug, Serialize)]
pub(crate) struct Page<'a> {
    /// Id of the process that accepted this connection.
    accepted_by: u32,
    /// Id of the process that answers.
    served_by: u32,
    /// Number of moves of this connection from one worker to another.
    moves: u32,
    /// Microseconds from the hand-off of this connection to its arrival here; where nobody tells, the median of all.
    hand_off_us: Option<f64>,
    worker: Of<'a>,
}

#[derive(Debug, Serialize)]
struct Of<'a> {
    #[serde(flatten)]
    stats: &'a Stats,
    workers: Vec<Count>,
}

impl<'a> Page<'a> {
    pub(crate) fn new(stats: &'a Stats, view: View, envelope: Envelope, took_us: Option<f64>) -> Self {
        let Envelope { accepted_by, moves, .. } = envelope;
        let (served_by, hand_off_us) = (std::process::id(), took_us.or(view.hand_off_us));
        Page { accepted_by, served_by, moves, hand_off_us, worker: Of { stats, workers: view.workers } }
    }
}

/// The page as JSON.
pub(crate) fn json(page: &Page<'_>) -> Plain {
    whole(StatusCode::OK, "application/json", serde_json::to_string(page).unwrap_or_default())
}

/// The page for people.
pub(crate) fn html(page: &Page<'_>) -> Plain {
    let Of { stats, workers } = &page.worker;
    let hand_off = page.hand_off_us.map_or_else(|| "an unknown time".to_owned(), |time| format!("{time:.1} µs"));
    let rows = [
        ("this connection was accepted by process", page.accepted_by.to_string()),
        ("and is served by process", page.served_by.to_string()),
        ("hand-offs take (this one, if it moved; else the median), waking included", hand_off),
        ("it moved from worker to worker", format!("{} time{}", page.moves, if page.moves == 1 { "" } else { "s" })),
        ("generation of this worker", stats.generation.to_string()),
        ("connections it received", stats.connections.get().to_string()),
        ("of these open now", stats.open.get().to_string()),
        ("of these handed over to another worker", stats.handed_over.get().to_string()),
        ("requests it answered", stats.requests.get().to_string()),
    ];
    let mut text = String::from(
        "<!doctype html><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><link rel=icon href=\"data:,\">\
         <title>sharesock</title><style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;\
         max-width:50rem;margin:2rem auto;padding:0 1rem}td{padding:.2em 1em .2em 0}</style>\
         <h1>One process accepts, another serves</h1><table>",
    );
    for (what, value) in rows {
        let _ = write!(text, "<tr><td>{what}<td><b>{value}</b>");
    }
    text.push_str(
        "</table><h2>All workers, a moment ago</h2><table><tr><td>process<td>connections open<td>given to it so far",
    );
    for Count { pid, open, given } in workers {
        let _ = write!(text, "<tr><td>{pid}<td><b>{open}</b><td><b>{given}</b>");
    }
    text.push_str("</table><p><a href=\"status.json\">as JSON</a>");
    whole(StatusCode::OK, "text/html; charset=utf-8", text)
}
