//! Faults, injected by `strace` into the calls of a running process.

use super::stage::Role;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a call may fail with. Calls whose failure would be the kernel's mistake are missing: `close`, `munmap`, `futex`.
/// Memory that cannot be had ends a Rust program.
const ERRORS: &[(&str, &[&str])] = &[
    ("accept4", &["EMFILE", "ENFILE", "EINTR", "ECONNABORTED", "ENOBUFS", "ENOMEM", "EAGAIN"]),
    ("bind", &["ENOSPC", "EACCES", "ENOMEM", "EADDRINUSE"]),
    ("clone3", &["EAGAIN", "ENOMEM"]),
    ("close", &[]),
    ("close_range", &["ENOSYS", "EMFILE", "EINVAL", "ENOMEM"]),
    ("connect", &["ECONNREFUSED", "EAGAIN", "EACCES", "ENOENT", "ENOMEM"]),
    ("epoll_create1", &["EMFILE", "ENFILE", "ENOMEM"]),
    ("epoll_ctl", &["ENOMEM", "ENOSPC"]),
    ("epoll_pwait", &["EINTR"]),
    ("epoll_pwait2", &["EINTR"]),
    ("epoll_wait", &["EINTR"]),
    ("eventfd2", &["EMFILE", "ENFILE", "ENOMEM"]),
    ("fchmodat", &["EPERM", "ENOENT"]),
    ("fcntl", &["EMFILE", "EAGAIN", "ENOLCK"]),
    ("flock", &["EINTR", "EAGAIN", "ENOLCK"]),
    ("fstat", &["EACCES", "ENOMEM"]),
    ("getdents64", &["ENOENT"]),
    ("getrandom", &["EINTR"]),
    ("getsockopt", &["EMFILE", "ENFILE", "ENOPROTOOPT", "EINVAL", "ESRCH"]),
    ("ioctl", &["ENOMEM"]),
    ("linkat", &["ENOSPC", "EEXIST"]),
    ("listen", &["EADDRINUSE", "ENOBUFS"]),
    ("mkdirat", &["ENOSPC", "EACCES", "EEXIST"]),
    ("newfstatat", &["EACCES", "ENOENT"]),
    ("openat", &["EMFILE", "ENFILE", "ENOENT", "EACCES", "EINTR"]),
    ("pidfd_open", &["EMFILE", "ENFILE", "ENOSYS", "ENOMEM", "EINVAL", "ESRCH"]),
    ("poll", &["EINTR", "ENOMEM", "EAGAIN"]),
    ("ppoll", &["EINTR", "ENOMEM", "EAGAIN"]),
    ("preadv2", &["EINTR"]),
    ("read", &["EINTR", "EIO"]),
    ("readlink", &["EACCES", "ENOMEM"]),
    ("readlinkat", &["EACCES", "ENOMEM"]),
    ("recvfrom", &["EINTR", "EAGAIN", "ECONNRESET", "ENOMEM"]),
    ("recvmsg", &["EINTR", "EAGAIN", "ECONNRESET", "ENOMEM", "ENOBUFS"]),
    ("renameat", &["ENOSPC", "EACCES", "ENOENT"]),
    ("renameat2", &["ENOSYS", "EINVAL", "EEXIST", "ENOSPC", "EACCES", "ENOENT"]),
    ("sendmsg", &["EINTR", "EAGAIN", "ECONNRESET", "EPIPE", "ETOOMANYREFS", "ENOBUFS", "ENOMEM"]),
    ("sendto", &["EAGAIN", "EPIPE"]),
    ("setsockopt", &["ENOBUFS", "ENOMEM"]),
    ("shutdown", &["ENOTCONN", "ENOBUFS"]),
    ("socket", &["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EACCES"]),
    ("socketpair", &["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]),
    ("statx", &["EACCES", "ENOENT"]),
    ("unlinkat", &["EACCES", "EBUSY"]),
    ("write", &["EINTR"]),
];

/// What a kernel, or a file system, does not have at all: these fail every time.
const MISSING: &[(&str, &str)] = &[
    ("renameat2", "EINVAL"),
    ("renameat2", "ENOSYS"),
    ("close_range", "ENOSYS"),
    ("pidfd_open", "ENOSYS"),
    ("pidfd_open", "EPERM"),
];

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Injection {
    call: String,
    /// Which of these calls of a thread, counted from 1; 0 is each.
    when: u32,
    /// An error's name, or `KILL`.
    what: String,
}

impl Injection {
    /// Whether no thread could be started, or none with descriptors of its own.
    pub(crate) fn starts_no_thread(&self) -> bool {
        matches!(self.call.as_str(), "clone3" | "close_range") && self.what != "KILL"
    }

    /// Whether the system lacks the call altogether.
    pub(crate) fn is_lack(&self) -> bool {
        self.when == 0
    }

    fn argument(&self) -> String {
        let Injection { call, when, what } = self;
        match what.as_str() {
            error if *when == 0 => format!("inject={call}:error={error}:when=1+"),
            "KILL" => format!("inject={call}:signal=KILL:when={when}"),
            error => format!("inject={call}:error={error}:when={when}"),
        }
    }
}

impl std::fmt::Display for Injection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.argument())
    }
}

/// A `strace` that watches a process.
pub(crate) struct Strace {
    child: Child,
    log: PathBuf,
}

impl Strace {
    /// Attaches to all threads of process `pid`, and waits until that is done; why not, else.
    pub(crate) fn attach(pid: u32, log: &Path, injection: Option<&Injection>) -> Result<Self, String> {
        let calls: Vec<_> = ERRORS.iter().map(|(call, _)| *call).collect();
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-p", &pid.to_string(), "-e", &format!("trace={}", calls.join(","))]);
        command.args(["-e", "signal=none", "-o"]).arg(log);
        if let Some(injection) = injection {
            command.args(["-e", &injection.argument()]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut strace =
            Strace { child: child.map_err(|error| format!("cannot be run: {error}"))?, log: log.to_owned() };
        let until = Instant::now() + Duration::from_secs(20);
        while !is_traced(pid) {
            if strace.child.try_wait().is_ok_and(|ended| ended.is_some()) || Instant::now() > until {
                let mut said = String::new();
                let _ = strace.child.kill();
                let _ = strace.child.stderr.take().map(|mut from| std::io::Read::read_to_string(&mut from, &mut said));
                return Err(said);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(strace)
    }

    /// Ends the watching; the lines of its log.
    pub(crate) fn finish(mut self) -> Vec<String> {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
        std::fs::read_to_string(&self.log).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}

fn is_traced(pid: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    tasks.flatten().all(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|tracer| tracer.trim() != "0"))
    })
}

/// Whether a log tells of an error that was injected.
pub(crate) fn was_injected(log: &[String]) -> bool {
    log.iter().any(|line| line.contains("(INJECTED)"))
}

/// Every fault for the calls in a log.
pub(crate) fn faults_of(log: &[String], role: Role) -> Vec<Injection> {
    let mut counts = std::collections::HashMap::<(&str, &str), u32>::new();
    let mut faults = BTreeSet::new();
    for line in log {
        // "1234 openat(AT_FDCWD, ...": which thread, which call.
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, arguments)) = rest.trim_start().split_once('(') else { continue };
        let Some((_, errors)) = ERRORS.iter().find(|(name, _)| *name == call) else { continue };
        let when = counts.entry((thread, call)).or_default();
        *when += 1;
        // A source takes back what it put in itself: the kernel cannot say that it has not come yet.
        let takes_back = role == Role::Source && call == "recvmsg" && arguments.contains("iov_len=66556");
        let fitting =
            errors.iter().filter(|error| fits(call, arguments, error) && !(takes_back && **error == "EAGAIN"));
        let kinds = std::iter::once(&"KILL").chain(fitting);
        faults.extend(kinds.map(|what| Injection { call: call.into(), when: *when, what: (*what).into() }));
    }
    for (call, error) in MISSING.iter().filter(|(call, _)| counts.keys().any(|(_, came)| came == call)) {
        faults.insert(Injection { call: (*call).into(), when: 0, what: (*error).into() });
    }
    faults.into_iter().collect()
}

/// Whether this call can fail so.
fn fits(call: &str, arguments: &str, error: &str) -> bool {
    match call {
        "fcntl" if arguments.contains("F_DUPFD") => error == "EMFILE",
        "fcntl" => arguments.contains("F_SETLK") && error != "EMFILE" && !arguments.contains("F_UNLCK"),
        // SO_PEERPIDFD gives a descriptor; strace may not know its name.
        "getsockopt" => arguments.contains("0x4d") || arguments.contains("SO_PEERPIDFD"),
        // The standard library waits for a child's word in one that blocks.
        "recvfrom" => error == "EINTR" || arguments.contains("MSG_DONTWAIT"),
        _ => true,
    }
}
