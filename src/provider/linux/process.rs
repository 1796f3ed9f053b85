//! Who processes are, from `/proc`.

use crate::error::{Error, Result};
use crate::process::Process;
use rustix::io::Errno;
use std::fs;
use std::os::linux::fs::MetadataExt;

pub(crate) fn current() -> Result<Process> {
    let unreadable = Error::io("reading /proc/self (is /proc mounted?)");
    let stat = fs::read_to_string("/proc/self/stat").map_err(&unreadable)?;
    let namespace = fs::metadata("/proc/self/ns/pid").map_err(&unreadable)?.st_ino();
    let pid = std::process::id();
    let start = start_time(&stat).ok_or(Error::NoSuchProcess { pid })?;
    Ok(Process::from_parts(pid, start, namespace))
}

pub(crate) fn find(pid: u32) -> Result<Process> {
    let gone = || Error::NoSuchProcess { pid };
    let unreadable = |error: std::io::Error| match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT | Errno::SRCH) | None => gone(),
        Some(_) => Error::io("looking for a process in /proc")(error),
    };
    let folder = format!("/proc/{pid}");
    let stat = fs::read_to_string(format!("{folder}/stat")).map_err(unreadable)?;
    let start = start_time(&stat).ok_or_else(gone)?;
    let status = fs::read_to_string(format!("{folder}/status")).map_err(unreadable)?;
    let inner = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .and_then(|ids| ids.split_ascii_whitespace().next_back().and_then(|id| id.parse().ok()));
    // Another user's namespace link is not readable: then it is taken to be ours.
    let namespace = fs::metadata(format!("{folder}/ns/pid"))
        .or_else(|_| fs::metadata("/proc/self/ns/pid"))
        .map_err(|_| gone())?
        .st_ino();
    match inner {
        // It is just being reaped.
        Some(0) => Err(gone()),
        inner => Ok(Process::from_parts(inner.unwrap_or(pid), start, namespace)),
    }
}

/// The start time in `/proc/<pid>/stat`, in clock ticks since boot; nothing for a process that has ended.
fn start_time(stat: &str) -> Option<u64> {
    // The command, in parentheses, may hold anything, parentheses among it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    (!matches!(state, "Z" | "X" | "x")).then(|| fields.nth(18)?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_hold_parentheses() {
        let fields = (4..=30).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(start_time(&format!("1 (a) b (c) S {fields}")), Some(22));
        assert_eq!(start_time(&format!("1 (a) Z {fields}")), None);
        assert_eq!(start_time("noise"), None);
    }
}
