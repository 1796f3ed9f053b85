//! The table of workers of the live view.

use super::super::fields::{self, Column, Field, GAP};
use super::super::units::{self, cut, of, pad};
use super::draw::{BOLD, CHANGING, DIM, GOOD};
use super::view::View;
use crate::status::{Status, WorkerState, WorkerStatus};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

/// Marks the selected worker.
const MARK: &str = "› ";

pub(crate) fn title(status: &Status) -> String {
    let workers = match status.workers.len() {
        0 => "no workers".to_owned(),
        some => of(some as u64, "worker"),
    };
    let count = |state| status.workers.iter().filter(|worker| worker.state == state).count();
    let others = [(count(WorkerState::Starting), "starting"), (count(WorkerState::Draining), "draining")];
    others
        .iter()
        .filter(|(count, _)| *count > 0)
        .fold(workers, |title, (count, what)| format!("{title}, {count} {what}"))
}

/// Titles of columns, and as many workers as have room in so many lines, the selected one among them.
pub(crate) fn table(view: &View, lines: usize, width: usize) -> Vec<Line<'static>> {
    let workers = view.workers();
    let mark = units::width(MARK);
    let cell = |field: Field, worker: &WorkerStatus| field.cell(worker, view.rates.worker(worker));
    let widest = |field| workers.iter().map(|worker| units::width(&cell(field, worker))).max().unwrap_or(0);
    let columns = fields::fit(&view.fields(), width.saturating_sub(mark), widest);

    let titles = columns.iter().enumerate().map(|(at, column)| {
        let look = column.field.look();
        let style = if column.field == view.sort { BOLD } else { DIM };
        Span::styled(gap(at) + &pad(look.title, column.width, look.right), style)
    });
    let mut all = vec![Line::from_iter(std::iter::once(Span::raw(" ".repeat(mark))).chain(titles))];

    let rows = lines.saturating_sub(1);
    let selected = workers.iter().position(|&worker| Some(worker.into()) == view.selected);
    let first = first(workers.len(), rows, selected);
    for (at, worker) in workers.iter().enumerate().skip(first).take(rows) {
        let cells = columns.iter().enumerate().map(|(at, column)| {
            let text = pad(&cut(&cell(column.field, worker), column.width), column.width, column.field.look().right);
            Span::styled(gap(at) + &text, style(*column, worker))
        });
        let is_selected = Some(at) == selected;
        let marked = if is_selected { MARK.to_owned() } else { " ".repeat(mark) };
        let line = Line::from_iter(std::iter::once(Span::styled(marked, BOLD)).chain(cells));
        all.push(if is_selected { line.patch_style(Modifier::BOLD) } else { line });
    }
    all
}

/// The selected one stays in the middle until there is no more at that side.
fn first(all: usize, rows: usize, selected: Option<usize>) -> usize {
    selected.unwrap_or(0).saturating_sub(rows / 2).min(all.saturating_sub(rows))
}

fn gap(at: usize) -> String {
    " ".repeat(if at == 0 { 0 } else { GAP })
}

fn style(column: Column, worker: &WorkerStatus) -> Style {
    match (column.field, worker.state) {
        (Field::State, WorkerState::Ready) => GOOD,
        (Field::State, _) => CHANGING,
        (Field::Generation | Field::Uptime | Field::Says, _) => DIM,
        _ => Style::new(),
    }
}
