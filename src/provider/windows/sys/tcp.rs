//! The state of a TCP connection.
#![allow(unsafe_code)]

use crate::connection::Connection;
use socket2::Socket;
use windows_sys::Win32::Networking::WinSock::{SIO_TCP_INFO, TCP_INFO_v0, WSAIoctl};

/// How the connection stands, where the system tells (Windows 10, 1703, and later).
pub(crate) fn tcp_state(socket: &Socket) -> Option<Connection> {
    let version = 0_u32;
    let mut told = TCP_INFO_v0::default();
    let mut length = 0;
    // SAFETY: the socket is open for as long as it is borrowed; `version` is readable and `told` writable for the sizes
    // given, and the call is synchronous, for there is no overlapped structure.
    super::winsock(unsafe {
        WSAIoctl(
            super::duplicate::number(socket),
            SIO_TCP_INFO,
            (&raw const version).cast(),
            super::size_of_u32::<u32>(),
            (&raw mut told).cast(),
            super::size_of_u32::<TCP_INFO_v0>(),
            &raw mut length,
            std::ptr::null_mut(),
            None,
        )
    })
    .ok()?;
    // The numbers of TCPSTATE, in the order of RFC 793.
    Some(match told.State {
        2 | 3 => Connection::Connecting,
        4..=6 => Connection::Open,
        7 | 9 => Connection::Ended,
        8 | 10 => Connection::Over,
        _ => Connection::Never,
    })
}
