//! What the machine allows, and the namespaces in which this process is.

use anyhow::{Context, Result};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

/// A number below `/proc/sys`, such as `net/core/somaxconn`.
pub(crate) fn setting(name: &str) -> Option<u64> {
    fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
}

/// How many segments of shared memory there are.
pub(crate) fn segments() -> Option<u64> {
    // The first line is a heading.
    fs::read_to_string("/proc/sysvipc/shm").ok().map(|table| table.lines().skip(1).count() as u64)
}

/// When it was started, in seconds since 1970.
pub(super) fn started() -> Option<u64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The number of the namespace of this kind in which this process is.
pub(crate) fn namespace(kind: &str) -> Option<u64> {
    fs::metadata(format!("/proc/self/ns/{kind}")).ok().map(|found| found.ino())
}

/// The option of the mount at `/proc` that hides processes, if it does.
pub(crate) fn hides_processes() -> io::Result<Option<String>> {
    fs::read_to_string("/proc/self/mountinfo").map(|mounts| hidepid(&mounts))
}

fn hidepid(mounts: &str) -> Option<String> {
    let mount = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some("/proc"))?;
    let (_, rest) = mount.split_once(" - ")?;
    let option = rest.split([' ', ',']).find_map(|option| option.strip_prefix("hidepid="))?;
    (!matches!(option, "0" | "off")).then(|| option.to_owned())
}

/// Descriptors, threads and bytes of memory of this process.
pub(crate) fn own_usage() -> Result<[u64; 3]> {
    let count = |folder: &str| fs::read_dir(folder).map(|entries| entries.count() as u64);
    let status = fs::read_to_string("/proc/self/status").context("reading /proc/self/status")?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes: u64 =
        kilobytes.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).context("reading RssAnon")?;
    Ok([count("/proc/self/fd")?, count("/proc/self/task")?, kilobytes * 1024])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_that_hides_processes_is_told() {
        let mount = |options| {
            format!("1 2 0:1 / / rw - ext4 /dev/a rw\n24 29 0:22 / /proc rw,nosuid - proc proc rw{options}\n")
        };
        assert_eq!(hidepid(&mount("")), None);
        assert_eq!(hidepid(&mount(",hidepid=0")), None);
        assert_eq!(hidepid(&mount(",gid=5,hidepid=invisible")), Some("invisible".to_owned()));
    }
}
