//! Who is at the other end of a link, and other questions to a socket that `rustix` does not ask.
#![allow(unsafe_code)]

use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// `SO_PEERPIDFD`, since Linux 6.5.
const PEER_PIDFD: libc::c_int = 77;
const PASS_RIGHTS: libc::c_int = 83;

/// Ids of the process at the other end, or that listens, as the kernel noted them when the link was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// 0 is a process that has no id in this PID namespace.
    pub(crate) pid: u32,
    pub(crate) uid: u32,
}

/// `SO_PEERCRED`; `rustix` has no value for a process without an id here.
pub(crate) fn peer_credentials(link: impl AsFd) -> rustix::io::Result<Credentials> {
    let nobody = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let found = ask(link, libc::SO_PEERCRED, nobody)?;
    Ok(Credentials { pid: u32::try_from(found.pid).unwrap_or(0), uid: found.uid })
}

/// The process at the other end, or that listens: whoever has its id later is another one.
///
/// # Errors
/// `NOPROTOOPT` where the kernel cannot tell; `SRCH` for a process that is gone, where it does not tell of these.
pub(crate) fn peer_pidfd(link: impl AsFd) -> rustix::io::Result<OwnedFd> {
    let number: RawFd = ask(link, PEER_PIDFD, -1)?;
    // SAFETY: the kernel made this descriptor for us a moment ago, and nobody else knows of it.
    if number >= 0 { Ok(unsafe { OwnedFd::from_raw_fd(number) }) } else { Err(Errno::BADF) }
}

/// Has the kernel refuse messages with descriptors to this socket (`SO_PASSRIGHTS`, since Linux 6.16), where it can.
pub(crate) fn refuse_descriptors(socket: impl AsFd) {
    let (socket, no): (_, libc::c_int) = (socket.as_fd().as_raw_fd(), 0);
    let length = libc::socklen_t::try_from(size_of_val(&no)).unwrap_or(0);
    // SAFETY: the descriptor is open while it is borrowed, and the kernel reads `length` bytes of `no`.
    unsafe { libc::setsockopt(socket, libc::SOL_SOCKET, PASS_RIGHTS, (&raw const no).cast(), length) };
}

/// Whether the last `close` of a socket may wait for its peer (`SO_LINGER`).
pub(crate) fn lingers(socket: impl AsFd) -> bool {
    let off = libc::linger { l_onoff: 0, l_linger: 0 };
    ask(socket, libc::SO_LINGER, off).is_ok_and(|linger| linger.l_onoff != 0 && linger.l_linger != 0)
}

/// How many descriptors are in the queue of a socket of the `AF_UNIX` family; of one that listens, in those of the links that
/// wait. Unlike a look at the queue, it depends on nothing that a peer may have set (`SO_PEEK_OFF`).
pub(crate) fn descriptors_in_queue(socket: impl AsFd) -> Option<usize> {
    let path = format!("/proc/thread-self/fdinfo/{}", socket.as_fd().as_raw_fd());
    let info = std::fs::read_to_string(path).ok()?;
    info.lines().find_map(|line| line.strip_prefix("scm_fds:"))?.trim().parse().ok()
}

/// An option of `SOL_SOCKET` whose value is plain numbers, for which any bytes are a value.
fn ask<T: Copy>(socket: impl AsFd, name: libc::c_int, mut value: T) -> rustix::io::Result<T> {
    let mut length = libc::socklen_t::try_from(size_of::<T>()).map_err(|_| Errno::INVAL)?;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open while it is borrowed, and the kernel writes at most `length` bytes of plain numbers.
    match unsafe { libc::getsockopt(socket, libc::SOL_SOCKET, name, (&raw mut value).cast(), &raw mut length) } {
        0 => Ok(value),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}
