//! Who processes are: by the kernel's word (descriptors of processes), and what `/proc` tells of these.

mod handle;
mod peer;

pub(crate) use handle::{Handle, Seen};
pub(crate) use peer::Peer;

use crate::error::{Error, Result};
use crate::process::Process;
use rustix::io::Errno;
use std::fs;
use std::os::linux::fs::MetadataExt;

/// Inode of the first time namespace, in which nothing is shifted.
const FIRST_TIME_NAMESPACE: u64 = 0xEFFF_FFFA;
/// Nanoseconds of a clock tick, in which `/proc` counts.
const TICK: i128 = 10_000_000;

const NO_PROC: &str = "reading /proc/self (is the /proc of this PID namespace mounted?)";
const HIDDEN: &str = "looking at a process that /proc hides (hidepid, ProtectProc); have it tell its Process";
const UNNAMED: &str =
    "naming a process of another user's PID namespace, which /proc does not show; have it tell its Process";
const OF_KERNEL: &str = "naming a thread of the kernel, which receives nothing";
const SHIFTED: &str = "counting time in a time namespace that is not this process's own, or not shifted by whole ticks";

pub(crate) fn current() -> Result<Process> {
    let stat = fs::read_to_string("/proc/self/stat").map_err(Error::io(NO_PROC))?;
    let pid = std::process::id();
    let start = handle::Stat::read(&stat).ok_or(Error::NoSuchProcess { pid })?.start;
    Ok(Process::from_parts(pid, unshifted(start)?, own_namespace()?))
}

pub(crate) fn find(pid: u32) -> Result<Process> {
    let gone = || Error::NoSuchProcess { pid };
    let handle = match Handle::open(pid) {
        Ok(handle) => handle,
        Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => {
            return Err(Error::system("looking for a process")(errno));
        }
        Err(Errno::ACCESS) => return Err(Error::system(HIDDEN)(Errno::ACCESS)),
        Err(_) => return Err(gone()),
    };
    match handle.look()? {
        Seen::Whole(process) => Ok(process),
        Seen::Ended => Err(gone()),
        Seen::Part { .. } => Err(Error::system(UNNAMED)(Errno::ACCESS)),
        Seen::Hidden { .. } => Err(Error::system(HIDDEN)(Errno::ACCESS)),
        Seen::Outside => Err(Error::system(NO_PROC)(Errno::NOENT)),
        Seen::Kernel => Err(Error::system(OF_KERNEL)(Errno::INVAL)),
    }
}

/// How far the clock since boot is shifted for this process, in nanoseconds: in a time namespace it is.
pub(crate) fn clock_shift() -> Result<i128> {
    let namespace = |name: &str| fs::metadata(format!("/proc/thread-self/ns/{name}")).map(|found| found.st_ino());
    match namespace("time") {
        // A kernel without them.
        Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => return Ok(0),
        Err(error) => return Err(Error::io(NO_PROC)(error)),
        Ok(FIRST_TIME_NAMESPACE) => return Ok(0),
        Ok(own) if namespace("time_for_children").ok() == Some(own) => {}
        Ok(_) => return Err(Error::system(SHIFTED)(Errno::INVAL)),
    }
    // A thread's own directory has none.
    let offsets = fs::read_to_string("/proc/self/timens_offsets").map_err(Error::io(SHIFTED))?;
    let shift = shift_of(&offsets).filter(|shift| shift % TICK == 0);
    shift.ok_or_else(|| Error::system(SHIFTED)(Errno::INVAL))
}

fn shift_of(offsets: &str) -> Option<i128> {
    let mut numbers = offsets.lines().find_map(|line| line.strip_prefix("boottime"))?.split_ascii_whitespace();
    let [seconds, nanoseconds] = [numbers.next()?.parse::<i128>().ok()?, numbers.next()?.parse::<i128>().ok()?];
    Some(seconds * 1_000_000_000 + nanoseconds)
}

/// A time of start as everybody counts it.
fn unshifted(start: u64) -> Result<u64> {
    let ticks = i128::from(start) - clock_shift()? / TICK;
    u64::try_from(ticks).map_err(|_| Error::system(SHIFTED)(Errno::INVAL))
}

fn own_namespace() -> Result<u64> {
    Ok(fs::metadata("/proc/thread-self/ns/pid").map_err(Error::io(NO_PROC))?.st_ino())
}

/// Whether the process with the id `pid` in this PID namespace has ended. What cannot be found out is no end.
pub(crate) fn has_ended(pid: u32) -> bool {
    match Handle::open(pid) {
        Ok(handle) => handle.has_ended(),
        Err(errno) => errno == Errno::SRCH,
    }
}

/// Whether `process` may live. One of another PID namespace may not, for all that is asked about here.
pub(crate) fn may_live(process: &Process) -> bool {
    let Ok(me) = Process::current() else { return true };
    if me.namespace != process.namespace || has_ended(process.pid()) {
        return false;
    }
    // Another process may have its id by now, where that can be seen.
    Process::from_pid(process.pid()).map_or(true, |found| found == *process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_has_seconds_and_nanoseconds() {
        assert_eq!(
            shift_of("monotonic           0         0\nboottime           -5        20\n"),
            Some(-4_999_999_980)
        );
        assert_eq!(shift_of("monotonic 0 0\n"), None);
    }

    #[test]
    fn a_process_has_ended_when_the_kernel_says_so() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::from_pid(child.id()).unwrap();
        assert!(!has_ended(child.id()) && may_live(&process));
        let another = Process::from_parts(process.pid(), 1, process.namespace);
        let elsewhere = Process::from_parts(process.pid(), 1, process.namespace + 1);
        assert!(!may_live(&another) && !may_live(&elsewhere));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(has_ended(child.id()) && !may_live(&process));
        assert!(has_ended(0) && has_ended(u32::MAX));
    }

    #[test]
    fn a_thread_of_the_kernel_is_no_target() {
        if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd") {
            assert!(find(2).unwrap_err().to_string().contains("thread of the kernel"));
        }
    }
}
