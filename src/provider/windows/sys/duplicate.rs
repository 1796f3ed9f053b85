//! Winsock's own duplicates: `WSADuplicateSocket` and `WSASocket`.
#![allow(unsafe_code)]

use socket2::Socket;
use std::io;
use std::os::windows::io::{AsRawHandle, AsRawSocket, FromRawSocket, OwnedHandle};
use windows_sys::Win32::Foundation::{CompareObjectHandles, HANDLE, HANDLE_FLAG_INHERIT, SetHandleInformation};
use windows_sys::Win32::Networking::WinSock::{
    FROM_PROTOCOL_INFO, INVALID_SOCKET, SO_PROTOCOL_INFOW, SOCKET, SOL_SOCKET, WSA_FLAG_NO_HANDLE_INHERIT,
    WSA_FLAG_OVERLAPPED, WSA_NOT_ENOUGH_MEMORY, WSADATA, WSADuplicateSocketW, WSAEMFILE, WSAENOBUFS, WSAPROTOCOL_INFOW,
    WSASocketW, WSAStartup, getsockopt,
};

/// The size of what Winsock itself writes of a duplicate.
pub(crate) const GENUINE: usize = size_of::<WSAPROTOCOL_INFOW>();
const _: () = assert!(GENUINE == 628 && align_of::<WSAPROTOCOL_INFOW>() == 4);

#[cfg(test)]
thread_local! {
    /// Whether this thread can make no socket, which no test can bring about otherwise.
    pub(crate) static LACKING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// What kind of socket it is, by Winsock's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) family: u32,
    pub(crate) socket_type: u32,
}

/// Starts Winsock, for a process that only redeems: nothing else would.
///
/// It is not ended again: that would close all sockets of the process, with those that were redeemed.
pub(crate) fn start_winsock() -> io::Result<()> {
    let mut data = WSADATA::default();
    // SAFETY: `data` is writable.
    match unsafe { WSAStartup(0x202, &raw mut data) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Puts a handle of `socket` into the process `pid`; what that process redeems it with.
pub(crate) fn duplicate_for(socket: &impl AsRawSocket, pid: u32) -> io::Result<[u8; GENUINE]> {
    let mut info = WSAPROTOCOL_INFOW::default();
    // SAFETY: the socket is open for as long as it is borrowed, and `info` is writable.
    super::winsock(unsafe { WSADuplicateSocketW(number(socket), pid, &raw mut info) })?;
    // SAFETY: the structure has this size and no padding, for it has its members' alignment and 628 bytes of members;
    // every value of its bytes is one of the array's.
    Ok(unsafe { std::mem::transmute::<WSAPROTOCOL_INFOW, [u8; GENUINE]>(info) })
}

/// Takes the handle that [`duplicate_for`] put into this process. Children do not inherit it.
pub(crate) fn redeem(genuine: &[u8; GENUINE]) -> io::Result<Socket> {
    #[cfg(test)]
    if LACKING.get() {
        return Err(io::Error::from_raw_os_error(WSAEMFILE));
    }
    // SAFETY: the structure has this size, and all of its members are numbers.
    let info: WSAPROTOCOL_INFOW = unsafe { std::mem::transmute_copy(genuine) };
    let (any, flags) = (FROM_PROTOCOL_INFO, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    // SAFETY: `info` is readable.
    let socket = unsafe { WSASocketW(any, any, any, &raw const info, 0, flags) };
    if socket == INVALID_SOCKET {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: its source duplicated it for this process alone, and each duplicate is redeemed once. Bytes that name
    // another handle come only from who may close this process's handles anyway: nobody else can reach the pipes and
    // the folder that bring such bytes.
    let socket = unsafe { Socket::from_raw_socket(as_raw(socket)) };
    // The handle existed before, and the flag is for new ones. That it failed would not give the handle back.
    // SAFETY: the handle is open.
    let _ = unsafe { SetHandleInformation(handle(&socket), HANDLE_FLAG_INHERIT, 0) };
    Ok(socket)
}

/// What kind of socket it is (`SO_PROTOCOL_INFOW`).
pub(crate) fn kind_of(socket: &Socket) -> io::Result<Kind> {
    let mut info = WSAPROTOCOL_INFOW::default();
    let mut length = i32::try_from(GENUINE).unwrap_or(0);
    // SAFETY: the socket is open for as long as it is borrowed, and `info` is writable for `length` bytes.
    super::winsock(unsafe {
        getsockopt(number(socket), SOL_SOCKET, SO_PROTOCOL_INFOW, (&raw mut info).cast(), &raw mut length)
    })?;
    Ok(Kind { family: info.iAddressFamily.cast_unsigned(), socket_type: info.iSocketType.cast_unsigned() })
}

/// Whether the handle is of the same object as the socket's (Windows 10 and later).
pub(crate) fn same_object(socket: &Socket, other: &OwnedHandle) -> bool {
    // SAFETY: both are open for as long as they are borrowed.
    unsafe { CompareObjectHandles(handle(socket), other.as_raw_handle()) != 0 }
}

/// Whether Winsock refused for want of something, rather than because of the bytes.
pub(crate) fn is_lack(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(WSAEMFILE | WSAENOBUFS | WSA_NOT_ENOUGH_MEMORY))
}

/// The number of a socket, as Winsock's functions take it.
pub(super) fn number(socket: &impl AsRawSocket) -> SOCKET {
    // The two are of one size.
    socket.as_raw_socket() as SOCKET
}

/// The same as a handle.
pub(super) fn handle(socket: &impl AsRawSocket) -> HANDLE {
    std::ptr::without_provenance_mut(number(socket))
}

fn as_raw(socket: SOCKET) -> std::os::windows::io::RawSocket {
    socket as std::os::windows::io::RawSocket
}
