//! The kernel, `/proc`, and the namespaces in which this process is.

use super::Check;
use crate::procfs::machine::{hides_processes, namespace};

/// The first kernel that has all that is used.
const OLDEST: (u32, u32) = (5, 10);
/// The namespaces that a machine has when it starts have these numbers.
const FIRST_IPC: u64 = 0xEFFF_FFFF;
const FIRST_PID: u64 = 0xEFFF_FFFC;

pub(super) fn checks() -> Vec<Check> {
    vec![kernel(), proc_mount(), pid_namespace(), ipc_namespace()]
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
}
