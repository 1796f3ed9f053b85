//! What a worker had started, and left behind.

use super::context::Surroundings;
use super::output::{Kept, Output, Prefix};
use crate::run::clock::Moment;
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

/// What a worker had started, and left.
#[derive(Debug)]
pub(crate) struct Remnant {
    pub(crate) group: Pid,
    pub(crate) number: u64,
    pub(crate) output: Output,
    pub(crate) prefix: Prefix,
    /// When it is killed.
    pub(crate) due: Moment,
    /// How often it was.
    pub(crate) killed: u32,
}

/// What of it goes to a successor of the supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Left {
    group: i32,
    pub(crate) number: u64,
    due: Moment,
    prefix: String,
    kept: Kept,
}

impl Remnant {
    pub(crate) fn left(&self) -> Left {
        Left {
            group: self.group.as_raw_pid(),
            number: self.number,
            due: self.due,
            prefix: self.prefix.text.clone(),
            kept: self.output.kept.borrow().clone(),
        }
    }

    /// One that a predecessor had.
    pub(crate) fn take_over(around: &Surroundings, left: Left) -> Result<Self> {
        let prefix = Prefix { text: left.prefix, printer: around.printer.clone() };
        let paths = [false, true].map(|error| around.folder.output(left.number, error));
        let output = Output::take_over(paths, left.kept, &prefix)?;
        let group = Pid::from_raw(left.group).context("a process group is missing")?;
        Ok(Remnant { group, number: left.number, output, prefix, due: left.due, killed: 0 })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.group, signal);
    }
}
