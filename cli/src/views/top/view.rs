//! What is shown and how: the state of the live view, and what keys do to it.

use super::super::fields::Field;
use super::super::rates::{Rates, WorkerKey};
use super::super::trends::Trends;
use crate::status::{Status, WorkerStatus};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::time::{Duration, Instant};

/// The columns, in the order in which they stand and in which one sorts by them.
pub(crate) const FIELDS: [Field; 10] = [
    Field::Place,
    Field::Pid,
    Field::Generation,
    Field::State,
    Field::Uptime,
    Field::Connections,
    Field::Memory,
    Field::Processor,
    Field::HandOffs,
    Field::Says,
];

/// How far Page Up and Page Down go.
const PAGE: usize = 10;

/// All that the screen is drawn from.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) rates: Rates,
    pub(crate) trends: Trends,
    pub(crate) interval: Duration,
    pub(crate) sort: Field,
    pub(crate) reversed: bool,
    pub(crate) paused: bool,
    pub(crate) help: bool,
    pub(crate) selected: Option<WorkerKey>,
    pub(crate) trouble: Option<Trouble>,
}

/// Why there is nothing new to show.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) why: String,
    pub(crate) since: Instant,
}

/// What is to be done after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Draw,
    /// Ask the supervisor at once.
    Fetch,
    Quit,
}

impl View {
    pub(crate) fn new(interval: Duration) -> Self {
        View {
            rates: Rates::default(),
            trends: Trends::default(),
            interval,
            sort: Field::Place,
            reversed: false,
            paused: false,
            help: false,
            selected: None,
            trouble: None,
        }
    }

    /// Takes what asking the supervisor gave.
    pub(crate) fn take(&mut self, answer: anyhow::Result<Status>, now: Instant) {
        match answer {
            Ok(status) => {
                self.trouble = None;
                self.rates.take(status);
                self.trends.take(&self.rates);
                self.keep_selected();
            }
            Err(error) => {
                let since = self.trouble.take().map_or(now, |trouble| trouble.since);
                self.trouble = Some(Trouble { why: format!("{error:#}"), since });
            }
        }
    }

    /// The workers, sorted.
    pub(crate) fn workers(&self) -> Vec<&WorkerStatus> {
        let mut workers: Vec<_> = self.status().map_or(&[][..], |status| &status.workers).iter().collect();
        workers.sort_by(|a, b| self.sort.order((a, self.rates.worker(a)), (b, self.rates.worker(b))));
        if self.reversed {
            workers.reverse();
        }
        workers
    }

    pub(crate) fn status(&self) -> Option<&Status> {
        self.rates.status()
    }

    /// The columns that there is something to tell in.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let Some(status) = self.status() else { return Vec::new() };
        let told = |field: &Field| match field {
            Field::HandOffs => status.hand_offs.is_some(),
            Field::Says => status.workers.iter().any(|worker| worker.says.is_some()),
            _ => true,
        };
        FIELDS.into_iter().filter(told).collect()
    }

    pub(crate) fn press(&mut self, key: KeyEvent) -> Next {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if control => return Next::Quit,
            _ if control => {}
            KeyCode::Esc if self.help => self.help = false,
            KeyCode::Char('q') | KeyCode::Esc => return Next::Quit,
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Char('s') => self.sort_by_next(),
            KeyCode::Char('S') => self.reversed = !self.reversed,
            KeyCode::Char('p' | ' ') => {
                self.paused = !self.paused;
                return if self.paused { Next::Draw } else { Next::Fetch };
            }
            KeyCode::Down | KeyCode::Char('j') => self.select(|at, _| at.map_or(0, |at| at + 1)),
            KeyCode::Up | KeyCode::Char('k') => self.select(|at, last| at.map_or(last, |at| at.saturating_sub(1))),
            KeyCode::PageDown => self.select(|at, _| at.unwrap_or(0) + PAGE),
            KeyCode::PageUp => self.select(|at, last| at.unwrap_or(last).saturating_sub(PAGE)),
            KeyCode::Home => self.select(|_, _| 0),
            KeyCode::End => self.select(|_, last| last),
            _ => {}
        }
        Next::Draw
    }

    fn sort_by_next(&mut self) {
        let fields = self.fields();
        let at = fields.iter().position(|&field| field == self.sort);
        self.sort = fields.get(at.map_or(0, |at| at + 1)).copied().unwrap_or(Field::Place);
        self.reversed = false;
    }

    /// `to` tells where to go from where one is (if anywhere) and where the last worker is.
    fn select(&mut self, to: impl FnOnce(Option<usize>, usize) -> usize) {
        let workers = self.workers();
        let last = workers.len().saturating_sub(1);
        let at = workers.iter().position(|&worker| Some(worker.into()) == self.selected);
        self.selected = workers.get(to(at, last).min(last)).map(|&worker| worker.into());
    }

    /// If the selected worker is gone, the newest in its place is selected.
    fn keep_selected(&mut self) {
        let Some(selected) = self.selected else { return };
        let workers = self.workers();
        if !workers.iter().any(|&worker| selected == worker.into()) {
            let heirs = workers.iter().filter(|worker| worker.place == selected.place);
            self.selected = heirs.max_by_key(|worker| worker.generation).map(|&worker| worker.into());
        }
    }
}
