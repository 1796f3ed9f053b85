//! Locks of one byte that belong to an open file description (`F_OFD_SETLK`).
#![allow(unsafe_code)]

use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// Waits for the byte at `place`.
pub(crate) fn lock_range(file: &OwnedFd, place: u64) -> Result<(), Errno> {
    set(file, place, libc::F_WRLCK, libc::F_OFD_SETLKW)
}

/// Takes the byte at `place` together with others who take it so, or fails with `AGAIN`.
pub(crate) fn try_share_range(file: &OwnedFd, place: u64) -> Result<(), Errno> {
    set(file, place, libc::F_RDLCK, libc::F_OFD_SETLK)
}

/// Takes the byte at `place`, or fails with `AGAIN`.
pub(crate) fn try_lock_range(file: &OwnedFd, place: u64) -> Result<(), Errno> {
    set(file, place, libc::F_WRLCK, libc::F_OFD_SETLK)
}

/// Lets the byte at `place` go.
pub(crate) fn unlock_range(file: &OwnedFd, place: u64) -> Result<(), Errno> {
    set(file, place, libc::F_UNLCK, libc::F_OFD_SETLK)
}

fn set(file: &OwnedFd, place: u64, kind: libc::c_int, command: libc::c_int) -> Result<(), Errno> {
    // SAFETY: `flock` is plain numbers, for which all zeroes is a value; `l_pid` must be zero for these commands.
    let mut lock: libc::flock64 = unsafe { std::mem::zeroed() };
    lock.l_type = libc::c_short::try_from(kind).map_err(|_| Errno::INVAL)?;
    lock.l_whence = libc::c_short::try_from(libc::SEEK_SET).map_err(|_| Errno::INVAL)?;
    lock.l_start = i64::try_from(place).map_err(|_| Errno::INVAL)?;
    lock.l_len = 1;
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and `lock` outlives the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) } {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        _ => Ok(()),
    }
}
