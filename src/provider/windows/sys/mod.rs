//! All that is not safe Rust, each behind a safe function.

mod clock;
mod completion;
mod duplicate;
pub(crate) mod event;
mod folder;
mod handles;
mod lock;
mod pipe;
mod port;
mod process;
mod random;
mod receive;
mod section;
mod security;
pub(crate) mod select;
mod tcp;
mod wide;
pub(crate) mod window;

#[cfg(test)]
pub(crate) use duplicate::LACKING;
#[cfg(test)]
pub(crate) use section::odd_sections;

pub(crate) use clock::since_boot;
pub(crate) use completion::{associate, dissociate};
pub(crate) use duplicate::{GENUINE, duplicate_for, is_lack, kind_of, redeem, same_object, start_winsock};
pub(crate) use folder::{Folder, SharedFile, delete_on_close};
pub(crate) use handles::{Handles, Seen, handles_of};
pub(crate) use lock::{lock_range, try_lock_range, unlock_range};
pub(crate) use pipe::{Arrival, Pipe, PipeEvent};
pub(crate) use port::Port;
pub(crate) use process::{Purpose, Running};
pub(crate) use random::random;
pub(crate) use receive::{receive_from, receive_urgent};
pub(crate) use section::Section;
pub(crate) use security::{Descriptor, sid_text, user};
pub(crate) use tcp::tcp_state;

use std::io;
use windows_sys::Win32::Foundation::{
    ERROR_DELETE_PENDING, NTSTATUS, RtlNtStatusToDosError, STATUS_DELETE_PENDING, STATUS_NOT_A_DIRECTORY,
};
use windows_sys::core::BOOL;

/// What a function of Win32 answered.
fn checked(ok: BOOL) -> io::Result<()> {
    if ok == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What a function of Winsock answered.
fn winsock(result: i32) -> io::Result<()> {
    // The last error of Winsock is the thread's own.
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What a function of the kernel answered, as the code that Win32 has for it.
#[allow(unsafe_code)]
fn kernel(status: NTSTATUS) -> io::Result<()> {
    /// `ERROR_DIRECTORY`: Win32 has the same code for it that it has for other things.
    const NOT_A_DIRECTORY: i32 = 267;
    let code = match status {
        0.. => return Ok(()),
        // As Win32 has it, it could not be told from "access denied".
        STATUS_DELETE_PENDING => ERROR_DELETE_PENDING.cast_signed(),
        STATUS_NOT_A_DIRECTORY => NOT_A_DIRECTORY,
        // SAFETY: it takes any number.
        other => unsafe { RtlNtStatusToDosError(other) }.cast_signed(),
    };
    Err(io::Error::from_raw_os_error(code))
}

/// The size of `T` as the system's functions take it.
const fn size_of_u32<T>() -> u32 {
    // None of the structures is that large.
    size_of::<T>() as u32
}

/// How many handles this process has open.
#[cfg(test)]
#[allow(unsafe_code)]
pub(crate) fn handle_count() -> u32 {
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetProcessHandleCount};
    let mut count = 0;
    // SAFETY: the pseudo-handle is always valid, and the number is ours.
    unsafe { GetProcessHandleCount(GetCurrentProcess(), &raw mut count) };
    count
}
