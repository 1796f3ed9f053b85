//! The process group of a worker that has ended, with what it had started in it.

use super::context::WorkerContext;
use super::lines::Kept;
use super::output::{Echo, Output};
use crate::run::report::Source;
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

/// A process group that has lost its worker.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) group: Pid,
    pub(crate) number: u64,
    pub(crate) output: Output,
    pub(crate) echo: Echo,
    pub(crate) stop_signal: Signal,
    /// Its processes do not become children of this one.
    pub(crate) is_foreign: bool,
}

/// What of it goes to a successor of the supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OrphanRecord {
    group: i32,
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
        Ok(Orphan { group, number: record.number, output, echo, stop_signal, is_foreign })
    }

    pub(crate) fn ask_to_end(&self) {
        self.signal(self.stop_signal);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.group, signal);
    }
}
