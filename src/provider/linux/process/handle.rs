//! A hold on one process, which whoever has its id later does not satisfy.

use super::{NO_PROC, own_namespace, unshifted};
use crate::error::{Error, Result};
use crate::process::Process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, test_kill_process};
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::fs::MetadataExt;

/// `PF_KTHREAD`, among the flags in `/proc/<pid>/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// A process, by a descriptor: whoever has its id later is another one.
#[derive(Debug)]
pub(crate) enum Handle {
    Pidfd(OwnedFd),
    /// Its directory in `/proc`, for systems that refuse `pidfd_open` (valgrind, gVisor, filters of system calls).
    Directory(OwnedFd),
}

/// What can be seen of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Whole(Process),
    /// A process below this PID namespace, whose own namespace `/proc` does not show: it is another user's.
    Part {
        pid: u32,
        start: u64,
    },
    /// `/proc` does not show it; whether it is below this PID namespace.
    Hidden {
        pid: u32,
        below: bool,
    },
    /// It has no id here.
    Outside,
    Ended,
    Kernel,
}

impl Handle {
    /// # Errors
    /// `SRCH` when there is no such process, `ACCESS` when `/proc` hides it and nothing else tells of it; `MFILE`,
    /// `NFILE` and `NOMEM` of a system that is short of something.
    pub(crate) fn open(pid: u32) -> rustix::io::Result<Self> {
        let id = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        match pidfd_open(id, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Handle::Pidfd(pidfd)),
            Err(Errno::NOSYS | Errno::PERM) => Handle::in_proc(id),
            Err(errno) => Err(errno),
        }
    }

    fn in_proc(id: Pid) -> rustix::io::Result<Self> {
        // In the /proc of another PID namespace, the id is another process's.
        if !own_levels().is_ok_and(|levels| levels == 1) {
            return Err(Errno::ACCESS);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, format!("/proc/{id}"), flags, Mode::empty()) {
            Ok(directory) => Ok(Handle::Directory(directory)),
            // Hidden, or gone.
            Err(Errno::NOENT | Errno::ACCESS) if test_kill_process(id) == Err(Errno::SRCH) => Err(Errno::SRCH),
            Err(Errno::NOENT) => Err(Errno::ACCESS),
            Err(errno) => Err(errno),
        }
    }

    /// Whether all its threads have ended. The kernel tells it of a process that nobody has waited for yet, too.
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Handle::Pidfd(pidfd) => {
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                matches!(poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&now)), Ok(1..))
            }
            Handle::Directory(directory) => match read_in(directory, "stat") {
                Ok(stat) => Stat::read(&stat).is_some_and(|stat| stat.gone && stat.threads <= 1),
                // The kernel opens nothing in the directory of a process that has been waited for.
                Err(errno) => matches!(errno, Errno::SRCH | Errno::NOENT),
            },
        }
    }

    /// What is readable when the process has ended; nothing where it must be asked.
    pub(crate) fn end(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Handle::Pidfd(pidfd) => Some(pidfd.as_fd()),
            Handle::Directory(_) => None,
        }
    }

    /// # Errors
    /// [`Error::System`] when `/proc` cannot be read, such as for want of a descriptor.
    pub(crate) fn look(&self) -> Result<Seen> {
        let seen = self.look_once()?;
        // What was read belongs to this process if it has not ended since.
        Ok(if self.has_ended() { Seen::Ended } else { seen })
    }

    fn look_once(&self) -> Result<Seen> {
        let Some(ids) = self.ids()? else { return Ok(Seen::Outside) };
        let below = ids.levels > 1 && ids.levels > own_levels()?;
        let pid = ids.inner;
        let stat = match fs::read_to_string(format!("/proc/{}/stat", ids.outer)) {
            Ok(stat) => stat,
            Err(error) => {
                return match error.raw_os_error().map(Errno::from_raw_os_error) {
                    Some(Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM) => Ok(Seen::Hidden { pid, below }),
                    _ => Err(Error::io("looking at a process in /proc")(error)),
                };
            }
        };
        let Some(stat) = Stat::read(&stat) else { return Ok(Seen::Hidden { pid, below }) };
        if stat.flags & KERNEL_THREAD != 0 {
            return Ok(Seen::Kernel);
        }
        let start = unshifted(stat.start)?;
        if !below {
            return Ok(Seen::Whole(Process::from_parts(pid, start, own_namespace()?)));
        }
        Ok(match fs::metadata(format!("/proc/{}/ns/pid", ids.outer)) {
            Ok(namespace) => Seen::Whole(Process::from_parts(pid, start, namespace.st_ino())),
            Err(_) => Seen::Part { pid, start },
        })
    }

    /// Its ids; nothing when it has none here, or has ended.
    fn ids(&self) -> Result<Option<Ids>> {
        match self {
            Handle::Pidfd(pidfd) => {
                let info = fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", pidfd.as_raw_fd()));
                Ok(Ids::read(&info.map_err(Error::io(NO_PROC))?))
            }
            Handle::Directory(directory) => match read_in(directory, "status") {
                Ok(status) => Ok(Ids::read(&status)),
                Err(Errno::SRCH | Errno::NOENT) => Ok(None),
                Err(errno) => Err(Error::system("looking at a process in /proc")(errno)),
            },
        }
    }
}

fn read_in(directory: &OwnedFd, name: &str) -> rustix::io::Result<String> {
    let mut file = fs::File::from(openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
    let mut text = String::new();
    let read = file.read_to_string(&mut text);
    read.map_err(|error| error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))?;
    Ok(text)
}

/// The ids of a process that a descriptor of it shows: in the PID namespace of `/proc`, and as it sees itself.
#[derive(Debug, PartialEq, Eq)]
struct Ids {
    outer: u32,
    inner: u32,
    /// How many PID namespaces, from that of `/proc` down, it has an id in.
    levels: usize,
}

impl Ids {
    fn read(info: &str) -> Option<Self> {
        let line = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        // 0 is a process that `/proc` cannot show, -1 one that is gone.
        let outer = line("Pid:")?.parse().ok().filter(|pid| *pid != 0)?;
        let ids = line("NSpid:").map(|ids| ids.split_ascii_whitespace().collect::<Vec<_>>()).unwrap_or_default();
        let inner = ids.last().map_or(Some(outer), |id| id.parse().ok())?;
        Some(Ids { outer, inner, levels: ids.len().max(1) })
    }
}

/// In how many PID namespaces, from that of `/proc` down, this process has an id.
fn own_levels() -> Result<usize> {
    let status = fs::read_to_string("/proc/thread-self/status").map_err(Error::io(NO_PROC))?;
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    Ok(ids.map_or(1, |ids| ids.split_ascii_whitespace().count()))
}

/// What is of interest in `/proc/<pid>/stat`.
pub(super) struct Stat {
    /// `Z` or `X`: its first thread has ended.
    gone: bool,
    flags: u64,
    threads: u64,
    /// In clock ticks since boot, as this time namespace counts them.
    pub(super) start: u64,
}

impl Stat {
    pub(super) fn read(stat: &str) -> Option<Self> {
        // The command, in parentheses, may hold anything, parentheses among it.
        let (_, fields) = stat.rsplit_once(") ")?;
        // Fields are counted from 1, and the first after the command is the third.
        let mut fields = fields.split_ascii_whitespace();
        let gone = matches!(fields.next()?, "Z" | "X");
        let flags = fields.nth(5)?.parse().ok()?;
        let threads = fields.nth(10)?.parse().ok()?;
        let start = fields.nth(1)?.parse().ok()?;
        Some(Stat { gone, flags, threads, start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::linux::process::find;

    #[test]
    fn a_command_may_hold_parentheses() {
        let fields = (4..=30).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let stat = Stat::read(&format!("1 (a) b (c) S {fields}\n")).unwrap();
        assert_eq!((stat.flags, stat.start), (9, 22));
        assert!(Stat::read("noise").is_none());
    }

    #[test]
    fn ids_are_those_of_each_namespace() {
        let ids = |text: &str| Ids::read(text);
        assert_eq!(ids("pos:\t0\nPid:\t44\nNSpid:\t44\n"), Some(Ids { outer: 44, inner: 44, levels: 1 }));
        assert_eq!(ids("Pid:\t44\nNSpid:\t44\t7\t1\n"), Some(Ids { outer: 44, inner: 1, levels: 3 }));
        assert_eq!(ids("Pid:\t0\n"), None);
        assert_eq!(ids("Pid:\t-1\n"), None);
        assert_eq!(ids("pos:\t0\n"), None);
    }

    #[test]
    fn a_process_is_seen_until_it_ends() {
        for open in [Handle::open, |pid: u32| Handle::in_proc(Pid::from_raw(pid.try_into().unwrap()).unwrap())] {
            let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
            let handle = open(child.id()).unwrap();
            assert_eq!(handle.look(), Ok(Seen::Whole(find(child.id()).unwrap())));
            assert!(!handle.has_ended());
            child.kill().unwrap();
            // Nobody has waited for it yet.
            while !handle.has_ended() {
                std::thread::yield_now();
            }
            let gone = Err(Error::NoSuchProcess { pid: child.id() });
            assert_eq!((handle.look(), find(child.id())), (Ok(Seen::Ended), gone));
            child.wait().unwrap();
            assert_eq!(handle.look(), Ok(Seen::Ended));
            assert!(matches!(open(child.id()), Err(Errno::SRCH)));
        }
    }

    #[test]
    fn a_process_lives_on_without_its_first_thread() {
        // Where the first thread of a process ended, only its other threads tell that it lives.
        let stat = |state: &str, threads: u32| {
            let (flags, times) = (["4"; 5].join(" "), ["0"; 10].join(" "));
            Stat::read(&format!("1 (a) {state} {flags} 9 {times} {threads} 0 22 0\n")).unwrap()
        };
        let ended = |stat: Stat| stat.gone && stat.threads <= 1;
        assert!(!ended(stat("S", 1)) && !ended(stat("Z", 2)) && ended(stat("Z", 1)) && ended(stat("X", 0)));
    }
}
