//! Event objects of the system, and waiting for handles.
#![allow(unsafe_code)]

use super::wide::milliseconds;
use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::time::{Duration, Instant};
use windows_sys::Win32::Foundation::{HANDLE, NTSTATUS, WAIT_FAILED, WAIT_TIMEOUT};
use windows_sys::Win32::System::Threading::{CreateEventW, ResetEvent, SetEvent, WaitForMultipleObjects};

/// How many handles one call can wait for (`MAXIMUM_WAIT_OBJECTS`).
pub(crate) const MOST: usize = 64;

/// `EVENT_BASIC_INFORMATION`.
#[repr(C)]
#[derive(Default)]
struct EventBasicInformation {
    event_type: i32,
    event_state: i32,
}

#[link(name = "ntdll")]
unsafe extern "system" {
    fn NtQueryEvent(
        event: HANDLE,
        class: i32,
        information: *mut EventBasicInformation,
        length: u32,
        returned: *mut u32,
    ) -> NTSTATUS;
}

/// An event object that is not set: one that stays set until it is reset, or one that ends one wait.
pub(crate) fn create(manual: bool) -> io::Result<OwnedHandle> {
    // SAFETY: neither attributes nor a name are given, so nothing is read.
    let event = unsafe { CreateEventW(std::ptr::null(), i32::from(manual), 0, std::ptr::null()) };
    if event.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was just made, and nobody else has it.
    Ok(unsafe { OwnedHandle::from_raw_handle(event) })
}

pub(crate) fn set(event: BorrowedHandle<'_>) -> io::Result<()> {
    // SAFETY: the handle is open as long as it is borrowed.
    super::checked(unsafe { SetEvent(event.as_raw_handle()) })
}

pub(crate) fn reset(event: BorrowedHandle<'_>) -> io::Result<()> {
    // SAFETY: the handle is open as long as it is borrowed.
    super::checked(unsafe { ResetEvent(event.as_raw_handle()) })
}

/// Whether it is set; asking changes nothing.
pub(crate) fn is_set(event: BorrowedHandle<'_>) -> io::Result<bool> {
    let mut information = EventBasicInformation::default();
    let length = size_of_val(&information) as u32;
    // SAFETY: the handle is open as long as it is borrowed, and class 0 writes this structure, whose length is given.
    super::kernel(unsafe {
        NtQueryEvent(event.as_raw_handle(), 0, &raw mut information, length, std::ptr::null_mut())
    })?;
    Ok(information.event_state != 0)
}

/// The end of a wait that begins now; none for one that has no end.
pub(crate) fn end_of(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

/// Waits until one of `handles`, or all of them, are set; the lowest index of those that are. Nothing when the time is
/// over. At most [`MOST`] handles.
pub(crate) fn wait(handles: &[BorrowedHandle<'_>], all: bool, until: Option<Instant>) -> io::Result<Option<usize>> {
    let count = u32::try_from(handles.len()).unwrap_or(u32::MAX);
    loop {
        // SAFETY: a borrowed handle is a handle in memory (`repr(transparent)`), each is open as long as it is borrowed,
        // and as many as there are are read.
        let waited = unsafe { WaitForMultipleObjects(count, handles.as_ptr().cast(), i32::from(all), slice(until)) };
        match waited {
            WAIT_TIMEOUT if until.is_some_and(|until| Instant::now() >= until) => return Ok(None),
            WAIT_TIMEOUT => {}
            WAIT_FAILED => return Err(io::Error::last_os_error()),
            index if index < count => return Ok(Some(index as usize)),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// As many milliseconds as remain, rounded up, or as one call can wait.
fn slice(until: Option<Instant>) -> u32 {
    milliseconds(until.map(|until| until.saturating_duration_since(Instant::now())))
}
