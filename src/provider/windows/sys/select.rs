//! Winsock's calls about network events.
#![allow(unsafe_code)]

use super::duplicate::number;
use super::window::Window;
use super::winsock;
use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, BorrowedSocket};
use windows_sys::Win32::Networking::WinSock::{
    FD_CLOSE_BIT, FD_CONNECT_BIT, FIONBIO, WSAAsyncSelect, WSAEVENT, WSAEnumNetworkEvents, WSAEventSelect,
    WSANETWORKEVENTS, ioctlsocket,
};

/// What has occurred at a socket: the events, and the codes of those that have one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) events: u16,
    pub(crate) connect_code: i32,
    pub(crate) close_code: i32,
}

/// Has `event` set when one of `events` occurs, in place of what was registered before.
pub(crate) fn event_select(socket: BorrowedSocket<'_>, event: BorrowedHandle<'_>, events: u16) -> io::Result<()> {
    // SAFETY: both are open as long as they are borrowed; the system keeps a reference of its own to the event object.
    winsock(unsafe { WSAEventSelect(number(&socket), event.as_raw_handle() as WSAEVENT, i32::from(events)) })
}

/// Has the message `message` posted to `window` when one of `events` occurs, in place of what was registered before.
pub(crate) fn async_select(socket: BorrowedSocket<'_>, window: &Window, message: u32, events: u16) -> io::Result<()> {
    let socket = number(&socket);
    // SAFETY: the socket is open as long as it is borrowed, and a window is named by a number.
    winsock(unsafe { WSAAsyncSelect(socket, window.handle(), message, i32::from(events)) })
}

/// Cancels what is registered, with whatever.
pub(crate) fn cancel(socket: BorrowedSocket<'_>) -> io::Result<()> {
    // SAFETY: the socket is open as long as it is borrowed, and no event object is given.
    winsock(unsafe { WSAEventSelect(number(&socket), 0, 0) })
}

/// Cancels what is registered with a window.
pub(crate) fn cancel_async(socket: BorrowedSocket<'_>, window: &Window) -> io::Result<()> {
    // SAFETY: the socket is open as long as it is borrowed, and a window is named by a number.
    winsock(unsafe { WSAAsyncSelect(number(&socket), window.handle(), 0, 0) })
}

/// Takes what has occurred; `event` is reset in one with it.
pub(crate) fn enum_network_events(socket: BorrowedSocket<'_>, event: Option<BorrowedHandle<'_>>) -> io::Result<Found> {
    // What did not occur is left as it was.
    let mut found = WSANETWORKEVENTS::default();
    let event = event.map_or(0, |event| event.as_raw_handle() as WSAEVENT);
    // SAFETY: both are open as long as they are borrowed, and the structure is written before the call returns.
    winsock(unsafe { WSAEnumNetworkEvents(number(&socket), event, &raw mut found) })?;
    let code = |bit: u32| found.iErrorCode.get(bit as usize).copied().unwrap_or(0);
    Ok(Found {
        // Ten bits are in use.
        events: found.lNetworkEvents as u16,
        connect_code: code(FD_CONNECT_BIT),
        close_code: code(FD_CLOSE_BIT),
    })
}

pub(crate) fn set_nonblocking(socket: BorrowedSocket<'_>, nonblocking: bool) -> io::Result<()> {
    let mut argument = u32::from(nonblocking);
    // SAFETY: the socket is open as long as it is borrowed, and the argument of this command is a number of this size.
    winsock(unsafe { ioctlsocket(number(&socket), FIONBIO, &raw mut argument) })
}
