//! A lock that processes take on a socket that they share, which goes with its holder.
#![allow(unsafe_code)]

use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Held by one *process* at a time: unlike all else of a socket, a record lock (`F_SETLK`) belongs to a process and not to
/// the open file description that the processes share. It is not inherited by `fork`.
#[derive(Debug)]
pub(crate) struct Exclusive<'a>(BorrowedFd<'a>);

impl<'a> Exclusive<'a> {
    /// # Errors
    /// `AGAIN` when another process has it.
    pub(crate) fn take(socket: &'a impl AsFd) -> Result<Self, Errno> {
        let socket = socket.as_fd();
        set(socket, libc::F_WRLCK).map_err(|errno| if errno == Errno::ACCESS { Errno::AGAIN } else { errno })?;
        Ok(Exclusive(socket))
    }
}

impl Drop for Exclusive<'_> {
    fn drop(&mut self) {
        let _ = set(self.0, libc::F_UNLCK);
    }
}

fn set(socket: BorrowedFd<'_>, kind: libc::c_int) -> Result<(), Errno> {
    // SAFETY: `flock` is plain numbers, for which all zeroes is a value: the whole of the file, from its beginning.
    let mut lock: libc::flock64 = unsafe { std::mem::zeroed() };
    lock.l_type = libc::c_short::try_from(kind).map_err(|_| Errno::INVAL)?;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and `lock` outlives the call.
    match unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETLK, &raw mut lock) } {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        _ => Ok(()),
    }
}
