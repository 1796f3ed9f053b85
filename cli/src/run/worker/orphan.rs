//! The process group of a worker that has ended, with what it had started in it.

use super::context::WorkerContext;
use super::output::{Kept, Output, Prefix};
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

/// A process group that has lost its worker.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) group: Pid,
    pub(crate) number: u64,
    pub(crate) output: Output,
    pub(crate) prefix: Prefix,
    pub(crate) stop_signal: Signal,
}

/// What of it goes to a successor of the supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OrphanRecord {
    group: i32,
    pub(crate) number: u64,
    stop_signal: i32,
    prefix: String,
    kept: Kept,
}

impl Orphan {
    pub(crate) fn record(&self) -> OrphanRecord {
        OrphanRecord {
            group: self.group.as_raw_pid(),
            number: self.number,
            stop_signal: self.stop_signal.as_raw(),
            prefix: self.prefix.text.clone(),
            kept: self.output.kept.borrow().clone(),
        }
    }

    /// One that a predecessor had.
    pub(crate) fn take_over(context: &WorkerContext, record: OrphanRecord) -> Result<Self> {
        let prefix = Prefix { text: record.prefix, printer: context.printer.clone() };
        let paths = [false, true].map(|error| context.folder.output(record.number, error));
        let output = Output::take_over(paths, record.kept, &prefix)?;
        let group = Pid::from_raw(record.group).context("a process group is missing")?;
        let stop_signal = Signal::from_named_raw(record.stop_signal).unwrap_or(Signal::TERM);
        Ok(Orphan { group, number: record.number, output, prefix, stop_signal })
    }

    pub(crate) fn ask_to_end(&self) {
        self.signal(self.stop_signal);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.group, signal);
    }
}
