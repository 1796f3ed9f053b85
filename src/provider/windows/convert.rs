//! From other types of descriptors, and into them.

use super::socket::Shared;
use super::sys::kind_of;
use crate::error::{Error, Result};
use crate::socket::Socket;
use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, OwnedSocket, RawSocket};

/// Takes any descriptor that is a socket.
///
/// # Errors
/// [`Error::NotASocket`] when it is not one; the descriptor is closed.
impl TryFrom<OwnedSocket> for Socket {
    type Error = Error;

    fn try_from(descriptor: OwnedSocket) -> Result<Self> {
        let socket = Socket::from_parts(descriptor.into(), Shared::default());
        match kind_of(&socket.socket) {
            Ok(_) => Ok(socket),
            Err(error) if error.raw_os_error() == Some(super::codes::NOT_A_SOCKET) => Err(Error::NotASocket),
            Err(error) => Err(Error::io("looking at a descriptor")(error)),
        }
    }
}

macro_rules! conversions {
    ($($other:ty),+) => {$(
        impl From<$other> for Socket {
            fn from(socket: $other) -> Self {
                Socket::from_parts(OwnedSocket::from(socket).into(), Shared::default())
            }
        }
        impl From<Socket> for $other {
            /// The same descriptor under another type; it is up to the caller that the kind of socket fits.
            fn from(socket: Socket) -> Self {
                OwnedSocket::from(socket).into()
            }
        }
    )+};
}

conversions!(socket2::Socket, std::net::TcpStream, std::net::TcpListener, std::net::UdpSocket);

impl From<Socket> for OwnedSocket {
    /// The descriptor alone. An event registration made through it stays in force in the system, which keeps the socket
    /// non-blocking: [cancel](Socket::cancel_select) it first.
    fn from(socket: Socket) -> Self {
        drop(socket.shared);
        socket.socket.into()
    }
}

impl AsSocket for Socket {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        AsSocket::as_socket(&self.socket)
    }
}

impl AsRawSocket for Socket {
    fn as_raw_socket(&self) -> RawSocket {
        self.socket.as_raw_socket()
    }
}
