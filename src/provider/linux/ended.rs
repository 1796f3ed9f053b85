//! Whether a process has ended, by the kernel's word: `/proc` may hide one that lives.

use crate::process::Process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Whether the process with the id `pid` in this PID namespace has ended. What cannot be found out is no end.
pub(crate) fn has_ended(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return true };
    match pidfd_open(pid, PidfdFlags::empty()) {
        // It is readable when all threads of the process have ended, waited for or not.
        Ok(process) => matches!(
            poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 })),
            Ok(1..)
        ),
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
}
