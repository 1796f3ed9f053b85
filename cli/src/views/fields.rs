//! What is told of a worker, column by column.

use super::rates::WorkerRates;
use super::units::{self, UNKNOWN};
use crate::status::{Status, WorkerState, WorkerStatus};
use std::cmp::Ordering;

/// A column of a table of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Place,
    Pid,
    Generation,
    State,
    Uptime,
    Connections,
    Memory,
    /// Now.
    Processor,
    /// Since it started.
    ProcessorTime,
    /// Hand-offs to it, now.
    HandOffs,
    /// Since it started.
    HandedOff,
    Says,
}

/// How a column looks.
pub(crate) struct Look {
    pub(crate) title: &'static str,
    /// Numbers stand to the right.
    pub(crate) right: bool,
    /// As wide as what is usual, so that columns do not move with every number.
    pub(crate) least: usize,
    /// Where there is no room, what has the highest goes first.
    pub(crate) rank: u8,
}

impl Field {
    pub(crate) fn look(self) -> Look {
        let (title, right, least, rank) = match self {
            Self::Place => ("place", true, 5, 2),
            Self::Pid => ("pid", true, 7, 0),
            Self::Generation => ("gen", true, 3, 8),
            Self::State => ("state", false, 8, 1),
            Self::Uptime => ("up", true, 7, 7),
            Self::Connections => ("conns", true, 6, 3),
            Self::Memory => ("memory", true, 8, 5),
            Self::Processor => ("cpu", true, 4, 4),
            Self::ProcessorTime => ("cpu", true, 7, 4),
            Self::HandOffs => ("hand-offs/s", true, 11, 6),
            Self::HandedOff => ("handed off", true, 10, 6),
            Self::Says => ("says", false, 12, 9),
        };
        Look { title, right, least, rank }
    }

    pub(crate) fn cell(self, worker: &WorkerStatus, rates: WorkerRates) -> String {
        let known = |number: Option<u64>, show: fn(u64) -> String| number.map_or_else(|| UNKNOWN.to_owned(), show);
        let measured = |number: Option<f64>, show: fn(f64) -> String| number.map_or_else(|| UNKNOWN.to_owned(), show);
        match self {
            Self::Place => worker.place.to_string(),
            Self::Pid => worker.pid.to_string(),
            Self::Generation => worker.generation.to_string(),
            Self::State => state(worker.state).to_owned(),
            Self::Uptime => units::duration(worker.uptime_s),
            Self::Connections => known(worker.connections, units::count),
            Self::Memory => known(worker.memory_bytes, units::bytes),
            Self::Processor => measured(rates.processor, units::percent),
            Self::ProcessorTime => measured(worker.cpu_s, units::processor_time),
            Self::HandOffs => measured(rates.hand_offs, units::rate),
            Self::HandedOff => units::count(worker.handed_off),
            Self::Says => units::plain(worker.says.as_deref().unwrap_or_default()),
        }
    }

    /// What comes first in a table sorted by it: of ids the lowest, of amounts the largest.
    pub(crate) fn order(self, a: (&WorkerStatus, WorkerRates), b: (&WorkerStatus, WorkerRates)) -> Ordering {
        let most = |a: Option<f64>, b: Option<f64>| b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0));
        let ((a, of_a), (b, of_b)) = (a, b);
        match self {
            Self::Place => a.place.cmp(&b.place),
            Self::Pid => a.pid.cmp(&b.pid),
            Self::Generation => b.generation.cmp(&a.generation),
            Self::State => (a.state as u8).cmp(&(b.state as u8)),
            Self::Uptime => b.uptime_s.total_cmp(&a.uptime_s),
            Self::Connections => b.connections.cmp(&a.connections),
            Self::Memory => b.memory_bytes.cmp(&a.memory_bytes),
            Self::Processor => most(of_a.processor, of_b.processor),
            Self::ProcessorTime => most(a.cpu_s, b.cpu_s),
            Self::HandOffs => most(of_a.hand_offs, of_b.hand_offs),
            Self::HandedOff => b.handed_off.cmp(&a.handed_off),
            Self::Says => a.says.cmp(&b.says),
        }
        .then_with(|| (a.place, a.generation, a.pid).cmp(&(b.place, b.generation, b.pid)))
    }
}

/// Title of the last failure.
pub(crate) fn failure(status: &Status) -> String {
    let ago = |age| format!(" {} ago", units::duration(age));
    format!("last failure{}: ", status.last_failure_age_s.map(ago).unwrap_or_default())
}

pub(crate) fn state(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Starting => "starting",
        WorkerState::Ready => "ready",
        WorkerState::Draining => "draining",
    }
}

/// A column and how wide it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) field: Field,
    pub(crate) width: usize,
}

/// Space between two columns.
pub(crate) const GAP: usize = 2;

/// Those that have room in this width, `widest` being what a column's widest cell takes.
pub(crate) fn fit(fields: &[Field], room: usize, widest: impl Fn(Field) -> usize) -> Vec<Column> {
    let width = |field: Field| match field {
        // It takes what is left, and is cut off there.
        Field::Says => field.look().least,
        _ => widest(field).max(field.look().least).max(units::width(field.look().title)),
    };
    let mut columns: Vec<_> = fields.iter().map(|&field| Column { field, width: width(field) }).collect();
    let taken = |columns: &[Column]| columns.iter().map(|column| column.width + GAP).sum::<usize>().saturating_sub(GAP);
    while columns.len() > 1 && taken(&columns) > room {
        let Some(last) = columns.iter().map(|column| column.field.look().rank).max() else { break };
        columns.retain(|column| column.field.look().rank != last);
    }
    let left = room.saturating_sub(taken(&columns));
    if let Some(says) = columns.iter_mut().find(|column| column.field == Field::Says) {
        says.width += left;
    }
    columns
}
