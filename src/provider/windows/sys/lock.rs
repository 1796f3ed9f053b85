//! Locks of one byte that belong to an open file.
#![allow(unsafe_code)]

use super::SharedFile;
use std::io;
use std::os::windows::io::AsRawHandle;
use windows_sys::Win32::Foundation::ERROR_LOCK_VIOLATION;
use windows_sys::Win32::Storage::FileSystem::{
    LOCK_FILE_FLAGS, LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx, UnlockFileEx,
};
use windows_sys::Win32::System::IO::OVERLAPPED;

/// Waits for the byte at `place`.
pub(crate) fn lock_range(file: &SharedFile, place: u64) -> io::Result<()> {
    lock(file, place, LOCKFILE_EXCLUSIVE_LOCK)
}

/// Takes the byte at `place`, unless somebody has it.
pub(crate) fn try_lock_range(file: &SharedFile, place: u64) -> io::Result<bool> {
    match lock(file, place, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(ERROR_LOCK_VIOLATION.cast_signed()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Lets the byte at `place` go.
pub(crate) fn unlock_range(file: &SharedFile, place: u64) -> io::Result<()> {
    let mut at = at(place);
    // SAFETY: the file is open for as long as it is borrowed; for one opened for synchronous use, as all of a domain
    // are, `at` is needed only until the call returns.
    super::checked(unsafe { UnlockFileEx(file.as_raw_handle(), 0, 1, 0, &raw mut at) })
}

fn lock(file: &SharedFile, place: u64, flags: LOCK_FILE_FLAGS) -> io::Result<()> {
    let mut at = at(place);
    // SAFETY: as in `unlock_range`.
    super::checked(unsafe { LockFileEx(file.as_raw_handle(), flags, 0, 1, 0, &raw mut at) })
}

fn at(place: u64) -> OVERLAPPED {
    let mut at = OVERLAPPED::default();
    at.Anonymous.Anonymous.Offset = (place & u64::from(u32::MAX)) as u32;
    at.Anonymous.Anonymous.OffsetHigh = (place >> 32) as u32;
    at
}
