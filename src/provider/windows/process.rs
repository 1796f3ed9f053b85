//! Who processes are: an id, and when the process was created.

use super::sys::{Purpose, Running};
use crate::error::{Error, Result};
use crate::process::Process;

pub(crate) fn current() -> Result<Process> {
    find(std::process::id())
}

pub(crate) fn find(pid: u32) -> Result<Process> {
    let running = Running::open(pid, Purpose::Asking).map_err(Error::io("looking for a process"))?;
    let running = running.ok_or(Error::NoSuchProcess { pid })?;
    Ok(Process::from_parts(pid, running.start(), 0))
}
