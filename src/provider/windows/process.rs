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
    Ok(running.process(pid))
}

impl Running {
    fn process(&self, pid: u32) -> Process {
        Process::from_parts(pid, self.start(), 0)
    }

    /// Opens `target` for being given handles, if its id is its own still; from then on it stays so.
    pub(crate) fn giving(target: Process) -> Result<Self> {
        let pid = target.pid();
        let running = Running::open(pid, Purpose::Giving)
            .map_err(Error::io("opening the target process (it must be this user's)"))?;
        running.filter(|running| running.process(pid) == target).ok_or(Error::NoSuchProcess { pid })
    }
}
