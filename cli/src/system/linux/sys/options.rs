//! Socket options as the kernel has them: by level and number, as bytes.
#![allow(unsafe_code)]

use nix::libc::{SO_DETACH_FILTER, SO_GET_FILTER, SOL_SOCKET, getsockopt, setsockopt, socklen_t};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Size of the largest option that is read: a `timeval`, or a name.
const LARGEST: usize = 16;

/// The value of an option.
pub(crate) fn get(socket: BorrowedFd<'_>, level: i32, option: i32) -> io::Result<Vec<u8>> {
    let mut value = vec![0; LARGEST];
    let mut length = LARGEST as socklen_t;
    // SAFETY: `value` has the `length` bytes that the kernel may write, and both live during the call.
    let done = unsafe { getsockopt(socket.as_raw_fd(), level, option, value.as_mut_ptr().cast(), &raw mut length) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    value.truncate(length as usize);
    Ok(value)
}

/// Sets an option to a value that was read.
pub(crate) fn set(socket: BorrowedFd<'_>, level: i32, option: i32, value: &[u8]) -> io::Result<()> {
    let length = value.len() as socklen_t;
    // SAFETY: the kernel reads `length` bytes of `value`, which has as many.
    let done = unsafe { setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether a filter of any kind drops what comes to the socket.
pub(crate) fn is_filtered(socket: BorrowedFd<'_>) -> bool {
    let mut length: socklen_t = 0;
    // SAFETY: with a length of 0 the kernel writes nothing but the number of instructions, to `length`.
    let done =
        unsafe { getsockopt(socket.as_raw_fd(), SOL_SOCKET, SO_GET_FILTER, std::ptr::null_mut(), &raw mut length) };
    // A filter that was loaded as eBPF cannot be read.
    if done == 0 { length > 0 } else { io::Error::last_os_error().kind() == io::ErrorKind::PermissionDenied }
}

/// Detaches the filter.
pub(crate) fn detach_filter(socket: BorrowedFd<'_>) -> io::Result<()> {
    set(socket, SOL_SOCKET, SO_DETACH_FILTER, &0_i32.to_ne_bytes())
}
