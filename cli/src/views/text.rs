//! What `sharesock status` prints.

use super::fields::{self, Field, GAP};
use super::rates::WorkerRates;
use super::units::{self, count, of, pad, plain};
use crate::status::{HandOffs, ListenerStatus, Status, SupervisorState, WorkerState, WorkerStatus};
use anstyle::{AnsiColor, Style};
use std::fmt::Write;

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
/// Not yellow, which cannot be read on white.
const CHANGING: Style = AnsiColor::Magenta.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// A supervisor, for people; with colours if asked.
pub(crate) fn text(status: &Status, color: bool) -> String {
    let mut page = Page { text: String::new(), color };
    page.head(status);
    if !status.listeners.is_empty() {
        page.listeners(&status.listeners);
    }
    if let Some(hand_offs) = &status.hand_offs {
        page.hand_offs(hand_offs);
    }
    if !status.workers.is_empty() {
        page.workers(status);
    }
    page.text
}

pub(crate) fn state(state: SupervisorState) -> &'static str {
    match state {
        SupervisorState::Starting => "starting",
        SupervisorState::Running => "running",
        SupervisorState::Degraded => "degraded",
        SupervisorState::Reloading => "reloading",
        SupervisorState::Upgrading => "upgrading",
        SupervisorState::Stopping => "stopping",
    }
}

struct Page {
    text: String,
    color: bool,
}

impl Page {
    fn line(&mut self, line: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn head(&mut self, status: &Status) {
        let style = if status.state == SupervisorState::Running { GOOD } else { CHANGING };
        let doing = match status.state {
            SupervisorState::Degraded if status.wanted > 0 => {
                format!("degraded ({} of {} workers are ready)", status.ready, status.wanted)
            }
            other => state(other).to_owned(),
        };
        let (name, doing) = (self.paint(BOLD, &plain(&status.name)), self.paint(style, &doing));
        let (pid, up, version) = (status.pid, units::duration(status.uptime_s), plain(&status.version));
        self.line(&format!("{name}: {doing}, pid {pid}, up {up}, sharesock {version}"));
        if let Some(failure) = &status.last_failure {
            let failure = self.paint(BAD, &format!("{}{}", fields::failure(status), plain(failure)));
            self.line(&failure);
        }
        let changes = [of(status.reloads, "reload"), of(status.upgrades, "upgrade"), of(status.restarts, "restart")];
        self.line(&format!("generation {}, {}", status.generation, changes.join(", ")));
        if status.connections_cut > 0 {
            let cut = of(status.connections_cut, "connection");
            self.line(&format!("{cut} cut off at the stop deadline"));
        }
    }

    fn listeners(&mut self, listeners: &[ListenerStatus]) {
        let names: Vec<_> = listeners.iter().map(|listener| plain(&listener.name)).collect();
        let widest = names.iter().map(|name| units::width(name)).max().unwrap_or(0).max("listener".len());
        self.line("");
        let title = format!("{}  queued  backlog  address", pad("listener", widest, false));
        self.line(&self.paint(DIM, &title));
        for (listener, name) in listeners.iter().zip(names) {
            let known = |number: Option<u64>| number.map_or_else(|| units::UNKNOWN.to_owned(), count);
            let (queued, backlog) = (known(listener.queued), known(listener.backlog));
            let [name, queued, backlog] = [pad(&name, widest, false), pad(&queued, 6, true), pad(&backlog, 7, true)];
            self.line(&format!("{name}  {queued}  {backlog}  {}", plain(&listener.address)));
        }
    }

    fn hand_offs(&mut self, hand_offs: &HandOffs) {
        let mut line = format!("{}, {} waiting", of(hand_offs.total, "hand-off"), count(hand_offs.waiting));
        if let Some(median) = hand_offs.median_us {
            let _ = write!(line, ", median {}", units::microseconds(median));
        }
        if let Some(slowest) = hand_offs.slowest_percent_us {
            let _ = write!(line, ", 99% within {}", units::microseconds(slowest));
        }
        self.line("");
        self.line(&line);
    }

    fn workers(&mut self, status: &Status) {
        let mut shown = vec![Field::Place, Field::Pid, Field::Generation, Field::State, Field::Uptime];
        shown.extend([Field::Connections, Field::Memory, Field::ProcessorTime]);
        if status.hand_offs.is_some() {
            shown.push(Field::HandedOff);
        }
        let mut workers: Vec<_> = status.workers.iter().collect();
        workers.sort_by_key(|worker| (worker.place, worker.generation, worker.pid));
        let cell = |field: Field, worker: &WorkerStatus| field.cell(worker, WorkerRates::default());
        let widest = |field| workers.iter().map(|worker| units::width(&cell(field, worker))).max().unwrap_or(0);
        let columns = fields::fit(&shown, usize::MAX, widest);
        let between = " ".repeat(GAP);
        let title =
            columns.iter().map(|column| pad(column.field.look().title, column.width, column.field.look().right));
        self.line("");
        self.line(&self.paint(DIM, &title.collect::<Vec<_>>().join(&between)));
        for worker in workers {
            let cells = columns.iter().map(|column| {
                let text = pad(&cell(column.field, worker), column.width, column.field.look().right);
                if column.field == Field::State { self.paint(style(worker.state), &text) } else { text }
            });
            let cells: Vec<_> = cells.collect();
            self.line(&cells.join(&between));
            self.below(worker);
        }
    }

    /// What the worker says and prints, which may be long.
    fn below(&mut self, worker: &WorkerStatus) {
        if let Some(says) = worker.says.as_deref().filter(|says| !says.trim().is_empty()) {
            self.line(&format!("       {} {}", self.paint(DIM, "says:"), plain(says)));
        }
        for line in &worker.output {
            self.line(&format!("       {} {}", self.paint(DIM, "│"), plain(line)));
        }
    }
}

fn style(state: WorkerState) -> Style {
    if state == WorkerState::Ready { GOOD } else { CHANGING }
}
