//! Another process, held on to.
#![allow(unsafe_code)]

use super::PipeEvent;
use super::wide::milliseconds;
use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::time::Duration;
use windows_sys::Win32::Foundation::{DuplicateHandle, WAIT_FAILED, WAIT_OBJECT_0};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, OpenProcess, PROCESS_DUP_HANDLE, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
    WaitForMultipleObjects, WaitForSingleObject,
};

/// A process that this one gives handles to. While it is held, no other process gets its id.
#[derive(Debug)]
pub(crate) struct TargetProcess(OwnedHandle);

impl TargetProcess {
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        let access = PROCESS_DUP_HANDLE | PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;
        // SAFETY: it takes numbers only.
        let process = unsafe { OpenProcess(access, 0, pid) };
        match process.is_null() {
            true => Err(io::Error::last_os_error()),
            // SAFETY: the handle was opened just now, and nobody else has it.
            false => Ok(TargetProcess(unsafe { OwnedHandle::from_raw_handle(process) })),
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        // SAFETY: the handle is open as long as `self` lives.
        unsafe { WaitForSingleObject(self.0.as_raw_handle(), 0) == WAIT_OBJECT_0 }
    }

    /// Puts a handle to the same object into the process's table, and tells its number there.
    pub(crate) fn give(&self, handle: BorrowedHandle<'_>, access: u32) -> io::Result<u64> {
        let mut number = std::ptr::null_mut();
        // SAFETY: both handles are open as long as they are borrowed; the number is that of another table, and is
        // never used as a handle here.
        let given = unsafe {
            DuplicateHandle(
                GetCurrentProcess(),
                handle.as_raw_handle(),
                self.0.as_raw_handle(),
                &mut number,
                access,
                0,
                0,
            )
        };
        match given {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(number as u64),
        }
    }

    /// Waits until the event is set or the process ends, for at most `timeout`.
    pub(crate) fn wait(&self, event: &PipeEvent, timeout: Option<Duration>) -> io::Result<()> {
        let handles = [event.as_raw_handle(), self.0.as_raw_handle()];
        // SAFETY: there are two handles, open as long as they are borrowed.
        match unsafe { WaitForMultipleObjects(2, handles.as_ptr(), 0, milliseconds(timeout)) } {
            WAIT_FAILED => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}
