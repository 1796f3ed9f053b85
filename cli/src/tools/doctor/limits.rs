//! What the machine allows.

use super::Check;
use crate::procfs::machine::{self, setting};
use rustix::process::{Resource, getrlimit};

/// The shared memory of a domain's events, with a little room.
const TABLE: u64 = 9 << 20;
/// So many links a listener of the library lets wait.
const LINKS: u64 = 4096;
/// A process that reads or routes connections needs thousands of descriptors.
const FEW_DESCRIPTORS: u64 = 4096;
/// The kernel's own default.
const DATAGRAMS: u64 = 10;
/// No bound.
const ALL: u64 = u64::MAX;

pub(super) fn checks() -> Vec<Check> {
    vec![descriptors(), in_flight(), segments(), segment_size(), backlog(), datagrams()]
}

fn number(limit: u64) -> String {
    if limit == ALL { "no bound".to_owned() } else { limit.to_string() }
}

/// What programs are started with, and may raise.
fn open_files() -> (u64, u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    (crate::system::former_limit_of_descriptors().unwrap_or(ALL), maximum.unwrap_or(ALL))
}

fn descriptors() -> Check {
    let name = "open files";
    let (soft, hard) = open_files();
    let found = format!("{}, and a process may raise that to {}", number(soft), number(hard));
    if hard < FEW_DESCRIPTORS {
        return Check::warn(
            name,
            found,
            "each connection that is shared is a descriptor: raise the hard limit (LimitNOFILE= of systemd, ulimit -Hn)",
        );
    }
    if soft < FEW_DESCRIPTORS {
        return Check::warn(
            name,
            found,
            "programs that do not raise it themselves have few: ulimit -n, or LimitNOFILE= of systemd",
        );
    }
    Check::ok(name, found)
}

fn in_flight() -> Check {
    let name = "descriptors in flight";
    let (soft, _) = open_files();
    let found = format!("at most {} of this user, as many as a sender may have open", number(soft));
    if soft < FEW_DESCRIPTORS {
        let mend = "what is more is held at its source until it is claimed: raise the sender's limit of open files";
        return Check::warn(name, found, mend);
    }
    Check::ok(name, found)
}

fn segments() -> Check {
    let name = "kernel.shmmni";
    let most = setting("kernel/shmmni");
    let used = machine::segments();
    match (most, used) {
        (Some(most), Some(used)) if used >= most => Check::fail(
            name,
            format!("all {most} segments of shared memory are in use"),
            "network events will not work in a new domain: remove some (ipcs -m, ipcrm), or raise kernel.shmmni",
        ),
        (Some(most), Some(used)) => Check::ok(name, format!("{most}, of which {used} are in use")),
        _ => unknown(name),
    }
}

fn segment_size() -> Check {
    let name = "kernel.shmmax";
    match setting("kernel/shmmax") {
        Some(most) if most < TABLE => Check::fail(
            name,
            most.to_string(),
            format!("network events will not work: sysctl kernel.shmmax={TABLE}, or more"),
        ),
        Some(most) => Check::ok(name, most.to_string()),
        None => unknown(name),
    }
}

fn backlog() -> Check {
    let name = "net.core.somaxconn";
    match setting("net/core/somaxconn") {
        Some(most) if most < LINKS => Check::warn(
            name,
            most.to_string(),
            format!("a busy target makes new sources wait, and duplicates are held: sysctl net.core.somaxconn={LINKS}"),
        ),
        Some(most) => Check::ok(name, most.to_string()),
        None => unknown(name),
    }
}

fn datagrams() -> Check {
    let name = "net.unix.max_dgram_qlen";
    match setting("net/unix/max_dgram_qlen") {
        Some(most) if most < DATAGRAMS => Check::warn(
            name,
            most.to_string(),
            format!("who is registered for events may be woken late: sysctl net.unix.max_dgram_qlen={DATAGRAMS}"),
        ),
        Some(most) => Check::ok(name, most.to_string()),
        None => unknown(name),
    }
}

fn unknown(name: &'static str) -> Check {
    Check::warn(name, "cannot be read", "whether it is large enough is not known: /proc/sys may be masked here")
}
