//! A completion port, as a place where threads wait for hints.
#![allow(unsafe_code)]

use super::wide::milliseconds;
use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::time::Duration;
use windows_sys::Win32::Foundation::{INVALID_HANDLE_VALUE, WAIT_TIMEOUT};
use windows_sys::Win32::Storage::FileSystem::SetFileCompletionNotificationModes;
use windows_sys::Win32::System::IO::{
    CreateIoCompletionPort, GetQueuedCompletionStatusEx, OVERLAPPED_ENTRY, PostQueuedCompletionStatus,
};
use windows_sys::Win32::System::WindowsProgramming::FILE_SKIP_COMPLETION_PORT_ON_SUCCESS;

/// How many hints are taken at a time.
const HINTS: usize = 64;

/// Says for which key there may be something to do.
///
/// Only keys are taken from it. What became of an operation is read where the operation is, so a packet that outlives
/// its pipe does no harm.
#[derive(Debug)]
pub(crate) struct Port(OwnedHandle);

impl Port {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: this makes a port and touches no other handle.
        let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, std::ptr::null_mut(), 0, 0) };
        match port.is_null() {
            true => Err(io::Error::last_os_error()),
            // SAFETY: the port was made just now, and nobody else has its handle.
            false => Ok(Port(unsafe { OwnedHandle::from_raw_handle(port) })),
        }
    }

    /// From now on the end of each operation on `file` that did not end at once is reported under `key`.
    pub(super) fn attach(&self, file: BorrowedHandle<'_>, key: usize) -> io::Result<()> {
        // SAFETY: both handles are open as long as they are borrowed.
        if unsafe { CreateIoCompletionPort(file.as_raw_handle(), self.0.as_raw_handle(), key, 0) }.is_null() {
            return Err(io::Error::last_os_error());
        }
        let modes = FILE_SKIP_COMPLETION_PORT_ON_SUCCESS as u8;
        // SAFETY: as above.
        match unsafe { SetFileCompletionNotificationModes(file.as_raw_handle(), modes) } {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Reports `key` to one thread that waits.
    pub(crate) fn post(&self, key: usize) -> io::Result<()> {
        // SAFETY: no operation goes with the packet, and whoever takes it looks for none.
        match unsafe { PostQueuedCompletionStatus(self.0.as_raw_handle(), 0, key, std::ptr::null()) } {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Waits for keys; none when the time is over.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<usize>> {
        let mut entries = [OVERLAPPED_ENTRY::default(); HINTS];
        let mut count = 0;
        // SAFETY: the array has room for as many entries as are asked for, and both outlive the call.
        let done = unsafe {
            GetQueuedCompletionStatusEx(
                self.0.as_raw_handle(),
                entries.as_mut_ptr(),
                HINTS as u32,
                &mut count,
                milliseconds(timeout),
                0,
            )
        };
        if done == 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() == i32::try_from(WAIT_TIMEOUT).ok() {
                true => Ok(Vec::new()),
                false => Err(error),
            };
        }
        Ok(entries.iter().take(count as usize).map(|entry| entry.lpCompletionKey).collect())
    }
}
