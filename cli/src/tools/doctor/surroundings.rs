//! The kernel, `/proc`, and the namespaces in which this process is.

use super::Check;
use crate::procfs::machine::{hides_processes, namespace, setting};

/// The first kernel that has all that is used.
const OLDEST: (u32, u32) = (5, 10);
/// The namespaces that a machine has when it starts have these numbers.
const FIRST_IPC: u64 = 0xEFFF_FFFF;
const FIRST_PID: u64 = 0xEFFF_FFFC;

pub(super) fn checks() -> Vec<Check> {
    let checks = [kernel(), proc_mount(), pid_namespace(), ipc_namespace()];
    checks.into_iter().chain(setting("kernel/yama/ptrace_scope").map(ptrace_scope)).collect()
}

/// Whom Yama lets `run` look at, where there is Yama. Descriptors can be seen whatever it says; calls cannot.
fn ptrace_scope(scope: u64) -> Check {
    let name = "ptrace scope";
    match scope {
        0 | 1 => Check::ok(name, format!("{scope}: `run` sees what its workers wait for")),
        _ => Check::warn(
            name,
            format!("{scope}: the system calls in which processes wait are hidden"),
            "`run` sees workers serve by their epoll sets alone, and tries others by connections: set the sysctl \
             kernel.yama.ptrace_scope to 1, give it CAP_SYS_PTRACE (if the scope is 2), or choose --ready http or notify",
        ),
    }
}

fn kernel() -> Check {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    match version(&release) {
        Some(found) if found >= OLDEST => Check::ok("kernel", release),
        Some(_) => Check::fail("kernel", release, "sharesock needs Linux 5.10 or later: update the kernel"),
        None => Check::warn("kernel", release, "its version is not understood; it must be 5.10 or later"),
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn proc_mount() -> Check {
    let name = "/proc";
    let Ok(hidepid) = hides_processes() else {
        let mend = "processes cannot be told from each other: mount -t proc proc /proc";
        return Check::fail(name, "is not mounted", mend);
    };
    match hidepid {
        None => Check::ok(name, "is mounted, and shows all processes"),
        Some(hidepid) => Check::warn(
            name,
            format!("is mounted with hidepid={hidepid}"),
            "duplicating for processes of other users, and seeing what they hold, will not work: mount -o \
             remount,hidepid=0 /proc, or add gid= of a group that has this user",
        ),
    }
}

fn pid_namespace() -> Check {
    let name = "PID namespace";
    match namespace("pid") {
        Some(FIRST_PID) => Check::ok(name, "the machine's own"),
        Some(number) => Check::ok(
            name,
            format!(
                "{number}, of a container: processes outside are named by Endpoint::process, and share by a mounted domain"
            ),
        ),
        None => Check::fail(name, "cannot be told", "processes cannot be told from each other: mount /proc"),
    }
}

fn ipc_namespace() -> Check {
    let name = "IPC namespace";
    match namespace("ipc") {
        Some(FIRST_IPC) => Check::ok(name, "the machine's own"),
        Some(number) => Check::ok(
            name,
            format!(
                "{number}, of a container: network events are shared with processes of the same IPC namespace alone"
            ),
        ),
        None => Check::warn(name, "cannot be told", "network events need System V shared memory"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_understood() {
        assert_eq!(version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(version("5.4"), Some((5, 4)));
        assert_eq!(version("noise"), None);
    }

    #[test]
    fn a_scope_that_hides_calls_is_warned_of() {
        let warns = |scope| ptrace_scope(scope).describe().contains("CAP_SYS_PTRACE");
        assert_eq!([0, 1, 2, 3].map(warns), [false, false, true, true]);
    }
}
