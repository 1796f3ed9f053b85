//! The page about the workers, for people and for machines.

use super::connection::Phase;
use super::envelope::Envelope;
use super::files::{Plain, begin, endless, whole};
use super::system::Figures;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Time between two events of the page.
const EVENT_INTERVAL: Duration = Duration::from_secs(1);

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
    /// Of these, those that it refused: their client had too many, or sent what is no request.
    pub(crate) refused: Cell<u64>,
    /// Requests that it answered, this one among them.
    pub(crate) requests: Cell<u64>,
}

/// Counts of one worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) pid: u32,
    pub(crate) generation: u32,
    /// Such as `ready`, where that is known.
    pub(crate) state: String,
    /// Connections that it serves, those on their way among them.
    pub(crate) open: u64,
    /// Connections that it was given since it started.
    pub(crate) given: u64,
    /// The same for each second, on average, where it is known how long ago that was.
    #[serde(default)]
    pub(crate) given_per_second: Option<f64>,
}

/// Figures of all workers, as of a moment ago.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct View {
    /// Such as `running` or `reloading`, where that is known.
    pub(crate) state: String,
    /// The generation that serves.
    pub(crate) generation: u32,
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
    state: String,
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
        let View { state, workers, .. } = view;
        Page { accepted_by, served_by, moves, hand_off_us, state, worker: Of { stats, workers } }
    }
}

/// The page as JSON.
pub(crate) fn json(page: &Page<'_>) -> Plain {
    whole(StatusCode::OK, "application/json", serde_json::to_string(page).unwrap_or_default())
}

/// The page for people: all of it without a script, which only keeps it up to date.
pub(crate) fn html(page: &Page<'_>) -> Plain {
    let Of { stats, workers } = &page.worker;
    let hand_off = page.hand_off_us.map_or_else(|| "an unknown time".to_owned(), |time| format!("{time:.1} µs"));
    let moves = format!("{} time{}", page.moves, if page.moves == 1 { "" } else { "s" });
    let mut text = begin("sharesock");
    let _ = write!(
        text,
        "<h1>One process accepts, another serves</h1><p>Process <b>{}</b> accepted this connection, and process <b>{}</b> serves \
         it. It moved from worker to worker {moves}. A hand-off takes {hand_off}.<h2>Workers</h2><p id=state>{}\
         <table><thead><tr><th>process<th class=wide>generation<th>state<th>open<th>given<th>per second<tbody id=workers class=short>",
        page.accepted_by, page.served_by, page.state
    );
    for Count { pid, generation, state, open, given, given_per_second } in workers {
        let rate = given_per_second.map_or_else(|| "\u{2013}".to_owned(), |rate| format!("{rate:.1}"));
        let _ = write!(
            text,
            "<tr class={state}><td>{pid}<td class=wide>{generation}<td>{state}<td>{open}<td>{given}<td>{rate}"
        );
    }
    text.push_str(
        "</table><h2>Hand-offs</h2><p id=rate>Their number each second, for a minute, is drawn here by a script.</p>\
         <svg viewBox=\"0 0 60 12\" preserveAspectRatio=none role=img aria-label=\"hand-offs in each of the last 60 seconds\"><g id=plot></g></svg>\
         <h2>This worker</h2><table>",
    );
    for (what, value) in [
        ("generation", stats.generation.into()),
        ("connections received", stats.connections.get()),
        ("of these open now", stats.open.get()),
        ("of these handed over to another worker", stats.handed_over.get()),
        ("of these refused, for they were too many or sent no request", stats.refused.get()),
        ("requests answered", stats.requests.get()),
    ] {
        let _ = write!(text, "<tr><td>{what}<td>{value}");
    }
    text.push_str("</table><p><a href=status.json>as JSON</a><script>");
    text.push_str(SCRIPT);
    text.push_str("</script>");
    whole(StatusCode::OK, "text/html; charset=utf-8", text)
}

/// Shows each event.
const SCRIPT: &str = include_str!("page.js");

/// Figures of all workers, one event a second, until this worker is replaced: a browser then asks again, and another answers.
pub(crate) fn events(figures: Rc<Figures>, mut phase: watch::Receiver<Phase>) -> Plain {
    let (send, receive) = mpsc::channel(1);
    tokio::task::spawn_local(async move {
        loop {
            let view = serde_json::to_string(&figures.look().await).unwrap_or_default();
            if send.send(format!("retry: 500\ndata: {view}\n\n").into()).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(EVENT_INTERVAL) => {}
                () = send.closed() => return,
                _ = phase.changed() => return,
            }
        }
    });
    endless("text/event-stream", receive)
}
