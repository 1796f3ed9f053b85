//! Who processes are: by the kernel's word (descriptors of processes), and what `/proc` tells of these.

use super::sys::{Credentials, peer_credentials, peer_pidfd};
use crate::error::{Error, Result};
use crate::process::Process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::fs::MetadataExt;

/// Inode of the first time namespace, in which nothing is shifted.
const FIRST_TIME_NAMESPACE: u64 = 0xEFFF_FFFA;
/// Nanoseconds of a clock tick, in which `/proc` counts.
const TICK: i128 = 10_000_000;
/// `PF_KTHREAD`, among the flags in `/proc/<pid>/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;

const NO_PROC: &str = "reading /proc/self (is the /proc of this PID namespace mounted?)";
const HIDDEN: &str = "looking at a process that /proc hides (hidepid, ProtectProc); have it tell its Process";
const UNNAMED: &str =
    "naming a process of another user's PID namespace, which /proc does not show; have it tell its Process";
const OF_KERNEL: &str = "naming a thread of the kernel, which receives nothing";
const SHIFTED: &str = "counting time in a time namespace that is not this process's own, or not shifted by whole ticks";

pub(crate) fn current() -> Result<Process> {
    let stat = fs::read_to_string("/proc/self/stat").map_err(Error::io(NO_PROC))?;
    let pid = std::process::id();
    let start = Stat::read(&stat).ok_or(Error::NoSuchProcess { pid })?.start;
    Ok(Process::from_parts(pid, unshifted(start)?, own_namespace()?))
}

pub(crate) fn find(pid: u32) -> Result<Process> {
    let gone = || Error::NoSuchProcess { pid };
    let handle = match Handle::open(pid) {
        Ok(handle) => handle,
        Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => {
            return Err(Error::system("looking for a process")(errno));
        }
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

/// A process, by a descriptor: whoever has its id later is another one.
#[derive(Debug)]
pub(crate) struct Handle(OwnedFd);

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
    pub(crate) fn open(pid: u32) -> rustix::io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        pidfd_open(pid, PidfdFlags::empty()).map(Handle)
    }

    /// Whether all its threads have ended. The kernel tells it of a process that nobody has waited for yet, too.
    pub(crate) fn has_ended(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&now)), Ok(1..))
    }

    /// # Errors
    /// [`Error::System`] when `/proc` cannot be read, such as for want of a descriptor.
    pub(crate) fn look(&self) -> Result<Seen> {
        let seen = self.look_once()?;
        // What was read belongs to this process if it has not ended since.
        Ok(if self.has_ended() { Seen::Ended } else { seen })
    }

    fn look_once(&self) -> Result<Seen> {
        let info = fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", self.0.as_raw_fd()));
        let ids = Ids::read(&info.map_err(Error::io(NO_PROC))?);
        let Some(ids) = ids else { return Ok(Seen::Outside) };
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
}

impl AsFd for Handle {
    /// Readable when the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
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

/// Who is at the other end of a link, or listens there: what the kernel noted when the link was made.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    /// The process; nothing where the kernel keeps none of a process that has ended, or that has no id here.
    pub(crate) handle: Option<Handle>,
    credentials: Credentials,
    seen: Seen,
}

impl Peer {
    pub(crate) fn of(link: impl AsFd) -> Result<Self> {
        let unknown = Error::system("asking who is at the other end of a link");
        let credentials = peer_credentials(&link).map_err(&unknown)?;
        let handle = match peer_pidfd(&link) {
            Ok(pidfd) => Some(Handle(pidfd)),
            Err(errno @ (Errno::MFILE | Errno::NFILE)) => return Err(unknown(errno)),
            // Before Linux 6.5: whoever has the id now, if it is that user's.
            Err(Errno::NOPROTOOPT) => Handle::open(credentials.pid).ok().filter(|_| is_of(credentials)),
            Err(_) => None,
        };
        let seen = match &handle {
            _ if credentials.pid == 0 => Seen::Outside,
            Some(handle) => handle.look()?,
            None => Seen::Ended,
        };
        Ok(Peer { uid: credentials.uid, handle, credentials, seen })
    }

    /// The id that the process has here; 0 is none.
    pub(crate) fn pid(&self) -> u32 {
        self.credentials.pid
    }

    /// Whether it has ended, as far as the kernel tells.
    pub(crate) fn has_ended(&self) -> bool {
        self.seen == Seen::Ended || self.handle.as_ref().is_some_and(Handle::has_ended)
    }

    /// Whether what this process says of itself agrees with all that the kernel knows.
    ///
    /// Of one without an id here, and of one that has ended, that is not all there is to know: then its word is added.
    pub(crate) fn is(&self, claim: &Process, me: &Process) -> bool {
        let foreign = claim.namespace != me.namespace;
        match self.seen {
            Seen::Whole(process) => process == *claim,
            Seen::Part { pid, start } => foreign && *claim == Process::from_parts(pid, start, claim.namespace),
            Seen::Hidden { pid, below } => foreign == below && claim.pid() == pid,
            Seen::Outside => foreign,
            // One that lives is not the one that has ended.
            Seen::Ended => foreign || (claim.pid() == self.credentials.pid && find(claim.pid()).ok() != Some(*claim)),
            Seen::Kernel => false,
        }
    }

    /// The same of a process of which only the id and the tag are known.
    pub(crate) fn may_be(&self, who: crate::process::Who) -> bool {
        match self.seen {
            Seen::Whole(process) => process.who() == who,
            Seen::Part { pid, .. } | Seen::Hidden { pid, .. } => pid == who.0,
            Seen::Outside => true,
            Seen::Ended | Seen::Kernel => false,
        }
    }

    /// Whether who it is rests on nothing but its word: it has ended, and says that it was of another PID namespace.
    pub(crate) fn is_hearsay(&self, claim: &Process, me: &Process) -> bool {
        self.seen == Seen::Ended && claim.namespace != me.namespace
    }
}

fn is_of(credentials: Credentials) -> bool {
    fs::metadata(format!("/proc/{}", credentials.pid)).is_ok_and(|folder| folder.st_uid() == credentials.uid)
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
struct Stat {
    flags: u64,
    /// In clock ticks since boot, as this time namespace counts them.
    start: u64,
}

impl Stat {
    fn read(stat: &str) -> Option<Self> {
        // The command, in parentheses, may hold anything, parentheses among it.
        let (_, fields) = stat.rsplit_once(") ")?;
        // Fields are counted from 1, and the first after the command is the third.
        let mut fields = fields.split_ascii_whitespace();
        let flags = fields.nth(6)?.parse().ok()?;
        let start = fields.nth(12)?.parse().ok()?;
        Some(Stat { flags, start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_shift_has_seconds_and_nanoseconds() {
        assert_eq!(
            shift_of("monotonic           0         0\nboottime           -5        20\n"),
            Some(-4_999_999_980)
        );
        assert_eq!(shift_of("monotonic 0 0\n"), None);
    }

    #[test]
    fn a_process_is_seen_until_it_ends() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let handle = Handle::open(child.id()).unwrap();
        assert_eq!(handle.look(), Ok(Seen::Whole(find(child.id()).unwrap())));
        assert!(!handle.has_ended());
        child.kill().unwrap();
        // Nobody has waited for it yet.
        while !handle.has_ended() {
            std::thread::yield_now();
        }
        assert_eq!((handle.look(), find(child.id())), (Ok(Seen::Ended), Err(Error::NoSuchProcess { pid: child.id() })));
        child.wait().unwrap();
        assert_eq!(handle.look(), Ok(Seen::Ended));
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
