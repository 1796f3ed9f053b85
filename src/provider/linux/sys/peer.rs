//! Who is at the other end of a link.
#![allow(unsafe_code)]

use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd};

/// The id of the process at the other end, or that listens, as the kernel knows it. 0 is a process that has no id in
/// this PID namespace; `rustix` has no value for that.
pub(crate) fn peer_pid(link: impl AsFd) -> rustix::io::Result<u32> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = libc::socklen_t::try_from(size_of_val(&found)).map_err(|_| Errno::INVAL)?;
    let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
    // SAFETY: the descriptor is open while it is borrowed, and the kernel writes at most `length` bytes of plain numbers.
    match unsafe { libc::getsockopt(link.as_fd().as_raw_fd(), level, name, (&raw mut found).cast(), &raw mut length) } {
        0 => Ok(u32::try_from(found.pid).unwrap_or(0)),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}
