//! Completion ports, which a socket can be bound to one of.
#![allow(unsafe_code)]

use super::duplicate::handle;
use socket2::Socket;
use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle};
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_COMPLETION_INFORMATION, FileReplaceCompletionInformation, NtSetInformationFile,
};
use windows_sys::Win32::System::IO::{CreateIoCompletionPort, IO_STATUS_BLOCK};

/// Binds the socket to `port` with `key`.
pub(crate) fn associate(socket: &Socket, port: BorrowedHandle<'_>, key: usize) -> io::Result<()> {
    // SAFETY: both are open for as long as they are borrowed.
    let bound = unsafe { CreateIoCompletionPort(handle(socket), port.as_raw_handle(), key, 0) };
    if bound.is_null() { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Frees the socket from the port that it is bound to.
pub(crate) fn dissociate(socket: &Socket) -> io::Result<()> {
    let none = FILE_COMPLETION_INFORMATION { Port: std::ptr::null_mut(), Key: std::ptr::null_mut() };
    let mut status = IO_STATUS_BLOCK::default();
    // SAFETY: the socket is open for as long as it is borrowed; `none` is readable for its size, and `status` is
    // writable: the call does not return before it is done.
    super::kernel(unsafe {
        NtSetInformationFile(
            handle(socket),
            &raw mut status,
            (&raw const none).cast(),
            super::size_of_u32::<FILE_COMPLETION_INFORMATION>(),
            FileReplaceCompletionInformation,
        )
    })
}
