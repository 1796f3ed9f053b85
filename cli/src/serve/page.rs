//! The page about a worker, for people and for machines.

use super::control::Count;
use super::envelope::Envelope;
use super::files::{Plain, whole};
use http::StatusCode;
use serde::Serialize;
use std::cell::{Cell, RefCell};
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
    /// Requests that it answered, this one among them.
    pub(crate) requests: Cell<u64>,
    /// What all workers of this generation had a moment ago, as far as the front has told.
    pub(crate) workers: RefCell<Vec<Count>>,
}

#[derive(Debug, Serialize)]
struct Status<'a> {
    /// Id of the process that accepted this connection.
    accepted_by: u32,
    /// Id of the process that answers.
    served_by: u32,
    /// Which of the listeners the connection came in by, from 0.
    listener: u32,
    /// Microseconds from the hand-off of this connection to its arrival here.
    hand_off_us: f64,
    worker: &'a Stats,
}

impl<'a> Status<'a> {
    fn new(worker: &'a Stats, envelope: Envelope, took_us: f64) -> Self {
        let Envelope { accepted_by, listener, .. } = envelope;
        Status { accepted_by, served_by: std::process::id(), listener, hand_off_us: took_us, worker }
    }
}

/// The page as JSON.
pub(crate) fn json(stats: &Stats, envelope: Envelope, took_us: f64) -> Plain {
    let text = serde_json::to_string(&Status::new(stats, envelope, took_us)).unwrap_or_default();
    whole(StatusCode::OK, "application/json", text)
}

/// The page for people.
pub(crate) fn html(stats: &Stats, envelope: Envelope, took_us: f64) -> Plain {
    let status = Status::new(stats, envelope, took_us);
    let rows = [
        ("this connection was accepted by process", status.accepted_by.to_string()),
        ("and is served by process", status.served_by.to_string()),
        ("the hand-off took", format!("{:.1} µs", status.hand_off_us)),
        ("generation of this worker", stats.generation.to_string()),
        ("connections it received", stats.connections.get().to_string()),
        ("of these open now", stats.open.get().to_string()),
        ("of these handed over to another worker", stats.handed_over.get().to_string()),
        ("requests it answered", stats.requests.get().to_string()),
    ];
    let mut page = String::from(
        "<!doctype html><meta charset=utf-8><title>sharesock</title>\
         <style>body{font:16px sans-serif;margin:3em}td{padding:.2em 1em}</style>\
         <h1>One process accepts, another serves</h1><table>",
    );
    for (what, value) in rows {
        let _ = write!(page, "<tr><td>{what}<td><b>{value}</b>");
    }
    page.push_str("</table><h2>All workers, a moment ago</h2><table><tr><td>process<td>open<td>given");
    for Count { pid, open, given } in stats.workers.borrow().iter() {
        let _ = write!(page, "<tr><td>{pid}<td><b>{open}</b><td><b>{given}</b>");
    }
    page.push_str("</table><p><a href=\"status.json\">as JSON</a>");
    whole(StatusCode::OK, "text/html; charset=utf-8", page)
}
