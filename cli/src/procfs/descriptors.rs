//! `/proc/PID/fd` and `/proc/PID/fdinfo`: what a process has open.

use std::fmt::Display;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

/// The descriptor that a process has open under this number. `process` is its id, or `self`.
pub(crate) fn path(process: impl Display, number: impl Display) -> PathBuf {
    format!("/proc/{process}/fd/{number}").into()
}

/// A name in a directory that is open here, however long the path of that is.
pub(crate) fn beneath(directory: impl AsFd, name: &str) -> PathBuf {
    path("self", directory.as_fd().as_raw_fd()).join(name)
}

/// The numbers of the descriptors that a process has open.
pub(crate) fn numbers(process: impl Display) -> io::Result<impl Iterator<Item = u32>> {
    let entries = std::fs::read_dir(format!("/proc/{process}/fd"))?.flatten();
    Ok(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// The sockets that a process has open: the number of each descriptor, and the inode.
pub(crate) fn sockets(pid: i32) -> io::Result<impl Iterator<Item = (u32, u64)>> {
    Ok(numbers(pid)?.filter_map(move |number| Some((number, inode(&std::fs::read_link(path(pid, number)).ok()?)?))))
}

/// The flags that the open file has, and whether it is closed on exec.
pub(crate) fn flags(process: impl Display, number: impl Display) -> io::Result<Option<u32>> {
    let info = std::fs::read_to_string(format!("/proc/{process}/fdinfo/{number}"))?;
    Ok(flags_in(&info))
}

/// Of a link such as `socket:[4242]`.
fn inode(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn flags_in(info: &str) -> Option<u32> {
    info.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_flags_are_understood() {
        assert_eq!(inode(Path::new("socket:[4242]")), Some(4242));
        for other in ["", "socket:[]", "socket:[x]", "socket:4242", "pipe:[4242]", "/tmp/socket:[1]"] {
            assert_eq!(inode(Path::new(other)), None, "{other}");
        }
        assert_eq!(flags_in("pos:\t0\nflags:\t02000002\nmnt_id:\t9\n"), Some(0o2_000_002));
        assert_eq!(flags_in("pos:\t0\nflags:\t8\n"), None);
        assert_eq!(flags_in(""), None);
    }

    #[test]
    fn what_this_process_has_open_is_found() {
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let (number, inode) = (socket.as_raw_fd().unsigned_abs(), rustix::fs::fstat(&socket).unwrap().st_ino);
        let me = rustix::process::getpid().as_raw_pid();
        assert!(sockets(me).unwrap().any(|found| found == (number, inode)));
        assert!(flags("self", number).unwrap().is_some());
        assert!(flags("self", i32::MAX).is_err() && numbers(0).is_err());
    }
}
