//! Processes that a worker has left: its process group, and groups of daemons that have left that.

use super::context::WorkerContext;
use super::lines::Kept;
use super::output::{Echo, Output};
use crate::run::report::Source;
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use serde::{Deserialize, Serialize};

/// Process groups that have lost their worker.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) group: Pid,
    /// Other groups that its processes have made.
    pub(crate) strays: Vec<Pid>,
    /// Nothing is left of the worker's own group: another process may have its number.
    pub(crate) group_gone: bool,
    /// The signal that they were sent last.
    pub(crate) sent: Option<Signal>,
    pub(crate) number: u64,
    pub(crate) output: Output,
    pub(crate) echo: Echo,
    pub(crate) stop_signal: Signal,
    /// Its processes do not become children of this one.
    pub(crate) is_foreign: bool,
}

/// The part of it that goes to a successor of the supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OrphanRecord {
    group: i32,
    #[serde(default)]
    strays: Vec<i32>,
    pub(crate) number: u64,
    stop_signal: i32,
    prefix: String,
    #[serde(default)]
    slot: u32,
    kept: Kept,
}

impl Orphan {
    pub(crate) fn record(&self) -> OrphanRecord {
        OrphanRecord {
            group: self.group.as_raw_pid(),
            strays: self.strays.iter().map(|group| group.as_raw_pid()).collect(),
            number: self.number,
            stop_signal: self.stop_signal.as_raw(),
            prefix: self.echo.source.prefix.clone(),
            slot: self.echo.source.place,
            kept: self.output.kept.borrow().clone(),
        }
    }

    /// One that a predecessor had.
    pub(crate) fn take_over(context: &WorkerContext, record: OrphanRecord, is_foreign: bool) -> Result<Self> {
        let source = Source { prefix: record.prefix, pid: record.group, place: record.slot };
        let echo = Echo { source, reporter: context.reporter.clone() };
        let paths = [false, true].map(|error| context.folder.output(record.number, error));
        let output = Output::take_over(paths, record.kept, &echo)?;
        let group = Pid::from_raw(record.group).context("a process group is missing")?;
        let stop_signal = Signal::from_named_raw(record.stop_signal).unwrap_or(Signal::TERM);
        let strays = record.strays.into_iter().filter_map(Pid::from_raw).collect();
        let number = record.number;
        Ok(Orphan { group, group_gone: false, strays, number, output, echo, stop_signal, sent: None, is_foreign })
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = Pid> {
        self.strays.iter().copied().chain((!self.group_gone).then_some(self.group))
    }

    /// Forgets the groups in which nothing is left, and tells them: a later one may get the same number.
    pub(crate) fn forget_gone(&mut self) -> Vec<Pid> {
        let gone: Vec<_> = self.groups().filter(|group| test_kill_process_group(*group).is_err()).collect();
        self.group_gone |= gone.contains(&self.group);
        self.strays.retain(|group| !gone.contains(group));
        gone
    }

    /// Whether anything is left in them.
    pub(crate) fn lives(&self) -> bool {
        self.groups().any(|group| test_kill_process_group(group).is_ok())
    }

    /// Counts a group among them, and signals it as these were; whether it was not yet.
    pub(crate) fn adopt(&mut self, group: Pid) -> bool {
        let is_new = !self.groups().any(|known| known == group);
        if is_new {
            self.strays.push(group);
            let _ = kill_process_group(group, self.sent.unwrap_or(self.stop_signal));
        }
        is_new
    }

    pub(crate) fn ask_to_end(&mut self) {
        self.signal(self.stop_signal);
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        self.sent = Some(signal);
        self.groups().for_each(|group| _ = kill_process_group(group, signal));
    }
}
