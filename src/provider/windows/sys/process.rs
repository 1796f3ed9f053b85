//! Other processes: that they run, since when, what they are called, and giving them handles.
#![allow(unsafe_code)]

use super::PipeEvent;
use super::wide::milliseconds;
use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::time::Duration;
use windows_sys::Win32::Foundation::{
    DUPLICATE_SAME_ACCESS, DuplicateHandle, ERROR_INVALID_PARAMETER, FILETIME, WAIT_FAILED, WAIT_OBJECT_0,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetProcessId, GetProcessTimes, OpenProcess, PROCESS_ACCESS_RIGHTS, PROCESS_DUP_HANDLE,
    PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, QueryFullProcessImageNameW, WaitForMultipleObjects,
    WaitForSingleObject,
};

/// What a process is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be asked who it is.
    Asking,
    /// To put handles into it.
    Giving,
}

impl Purpose {
    fn rights(self) -> PROCESS_ACCESS_RIGHTS {
        let asking = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;
        match self {
            Purpose::Asking => asking,
            Purpose::Giving => asking | PROCESS_DUP_HANDLE,
        }
    }
}

/// A process that was running when it was opened. While this exists no other process gets its id.
#[derive(Debug)]
pub(crate) struct Running {
    handle: OwnedHandle,
    start: u64,
}

impl Running {
    /// Opens the process with the id `pid`; nothing when there is none, or none any more.
    pub(crate) fn open(pid: u32, purpose: Purpose) -> io::Result<Option<Self>> {
        if pid == 0 || pid == u32::MAX {
            return Ok(None);
        }
        // SAFETY: it takes only numbers.
        let handle = unsafe { OpenProcess(purpose.rights(), 0, pid) };
        if handle.is_null() {
            let error = io::Error::last_os_error();
            let nobody = error.raw_os_error() == Some(ERROR_INVALID_PARAMETER.cast_signed());
            return if nobody { Ok(None) } else { Err(error) };
        }
        // SAFETY: the handle was just opened, and nobody else has it.
        let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
        // Windows ignores the two lowest bits of an id: whoever it found for others is somebody else.
        // SAFETY: the handle is open, with the right to query.
        if unsafe { GetProcessId(handle.as_raw_handle()) } != pid {
            return Ok(None);
        }
        let running = Running { start: start_of(&handle)?, handle };
        Ok((!running.has_ended()).then_some(running))
    }

    /// When it was created, in units of 100 nanoseconds since 1601.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Whether it has ended since: others may keep the object of a process that is gone.
    pub(crate) fn has_ended(&self) -> bool {
        // SAFETY: the handle is open, with the right to wait.
        unsafe { WaitForSingleObject(self.handle.as_raw_handle(), 0) == WAIT_OBJECT_0 }
    }

    /// A copy, in this process, of its handle `number`.
    pub(crate) fn copy_of(&self, number: u32) -> io::Result<OwnedHandle> {
        let mut copy = std::ptr::null_mut();
        // SAFETY: the process is open with the right to duplicate, its handle is only a number to this one, and `copy`
        // is writable.
        super::checked(unsafe {
            DuplicateHandle(
                self.handle.as_raw_handle(),
                std::ptr::without_provenance_mut(number as usize),
                GetCurrentProcess(),
                &raw mut copy,
                0,
                0,
                DUPLICATE_SAME_ACCESS,
            )
        })?;
        // SAFETY: the handle was just made, and nobody else has it.
        Ok(unsafe { OwnedHandle::from_raw_handle(copy) })
    }

    /// Puts a handle to the same object into the process's table, and tells its number there.
    pub(crate) fn give(&self, handle: BorrowedHandle<'_>, access: u32) -> io::Result<u64> {
        let mut number = std::ptr::null_mut();
        // SAFETY: both handles are open as long as they are borrowed; the number is that of another table, and is
        // never used as a handle here.
        super::checked(unsafe {
            DuplicateHandle(
                GetCurrentProcess(),
                handle.as_raw_handle(),
                self.handle.as_raw_handle(),
                &raw mut number,
                access,
                0,
                0,
            )
        })?;
        Ok(number as u64)
    }

    /// Waits until the event is set or the process ends, for at most `timeout`.
    pub(crate) fn wait(&self, event: &PipeEvent, timeout: Option<Duration>) -> io::Result<()> {
        let handles = [event.as_raw_handle(), self.handle.as_raw_handle()];
        // SAFETY: there are two handles, open as long as they are borrowed.
        match unsafe { WaitForMultipleObjects(2, handles.as_ptr(), 0, milliseconds(timeout)) } {
            WAIT_FAILED => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// The path of its program.
    pub(crate) fn image(&self) -> io::Result<String> {
        let mut name = vec![0_u16; 32_768];
        let mut length = u32::try_from(name.len()).unwrap_or(0);
        // SAFETY: the handle is open; `name` is writable for `length` units, which becomes what was written.
        super::checked(unsafe {
            QueryFullProcessImageNameW(self.handle.as_raw_handle(), 0, name.as_mut_ptr(), &raw mut length)
        })?;
        name.truncate(usize::try_from(length).unwrap_or(0));
        Ok(String::from_utf16_lossy(&name))
    }
}

fn start_of(process: &OwnedHandle) -> io::Result<u64> {
    let mut times = [FILETIME::default(); 4];
    let [created, exited, kernel, user] = &mut times;
    // SAFETY: the handle is open, with the right to query, and each of the four is writable.
    super::checked(unsafe { GetProcessTimes(process.as_raw_handle(), created, exited, kernel, user) })?;
    Ok(u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
}
