//! Locks of one byte that belong to an open file description (`F_OFD_SETLK`).
//!
//! A directory, which can only be opened for reading, takes shared ones.
#![allow(unsafe_code)]

use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// Waits for the byte at `place`.
pub(crate) fn lock_range(file: &OwnedFd, place: u64) -> Result<(), Errno> {
    call(file, place, 1, libc::F_WRLCK, libc::F_OFD_SETLKW).map(drop)
}

/// Takes the byte at `place` together with others who take it so, or fails with `AGAIN`.
pub(crate) fn try_share_range(file: &OwnedFd, place: u64) -> Result<(), Errno> {
    call(file, place, 1, libc::F_RDLCK, libc::F_OFD_SETLK).map(drop)
}

/// Takes the byte at `place`, or fails with `AGAIN`.
pub(crate) fn try_lock_range(file: &OwnedFd, place: u64) -> Result<(), Errno> {
    call(file, place, 1, libc::F_WRLCK, libc::F_OFD_SETLK).map(drop)
}

/// Lets the byte at `place` go.
pub(crate) fn unlock_range(file: &OwnedFd, place: u64) -> Result<(), Errno> {
    call(file, place, 1, libc::F_UNLCK, libc::F_OFD_SETLK).map(drop)
}

/// The place of a byte from `first` to `last` that others have locked or share, if there is one.
pub(crate) fn locked_by_others(file: &OwnedFd, first: u64, last: u64) -> Result<Option<u64>, Errno> {
    let length = last.checked_sub(first).and_then(|more| more.checked_add(1)).ok_or(Errno::INVAL)?;
    let found = call(file, first, length, libc::F_WRLCK, libc::F_OFD_GETLK)?;
    let free = libc::c_int::from(found.l_type) == libc::F_UNLCK;
    // One that is longer may begin before.
    Ok((!free).then(|| u64::try_from(found.l_start).unwrap_or(0).max(first)))
}

fn call(
    file: &OwnedFd,
    place: u64,
    length: u64,
    kind: libc::c_int,
    command: libc::c_int,
) -> Result<libc::flock64, Errno> {
    // SAFETY: `flock` is plain numbers, for which all zeroes is a value; `l_pid` must be zero for these commands.
    let mut lock: libc::flock64 = unsafe { std::mem::zeroed() };
    lock.l_type = libc::c_short::try_from(kind).map_err(|_| Errno::INVAL)?;
    lock.l_whence = libc::c_short::try_from(libc::SEEK_SET).map_err(|_| Errno::INVAL)?;
    lock.l_start = i64::try_from(place).map_err(|_| Errno::INVAL)?;
    lock.l_len = i64::try_from(length).map_err(|_| Errno::INVAL)?;
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and `lock` outlives the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) } {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        _ => Ok(lock),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn what_is_shared_on_a_directory_is_found_by_others_alone() {
        let path = std::env::temp_dir().join(format!("sharesock-lock-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let [mine, theirs] = [0, 1].map(|_| OwnedFd::from(File::open(&path).unwrap()));
        try_share_range(&mine, 7).unwrap();
        try_share_range(&mine, 1 << 62).unwrap();
        assert_eq!(locked_by_others(&mine, 0, 1 << 62), Ok(None));
        assert_eq!(locked_by_others(&theirs, 0, 100), Ok(Some(7)));
        assert_eq!(locked_by_others(&theirs, 8, 100), Ok(None));
        assert_eq!(locked_by_others(&theirs, 8, (1 << 62) + 9), Ok(Some(1 << 62)));
        try_share_range(&theirs, 7).unwrap();
        unlock_range(&mine, 7).unwrap();
        assert_eq!(locked_by_others(&mine, 7, 7), Ok(Some(7)));
        assert_eq!(locked_by_others(&theirs, 7, 7), Ok(None));
        std::fs::remove_dir(&path).unwrap();
    }
}
