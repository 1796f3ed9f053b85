//! From other types of descriptors, and into them.

use crate::error::{Error, Result};
use crate::socket::Socket;
use rustix::io::Errno;
use rustix::net::sockopt;
use std::os::fd::OwnedFd;

/// Takes any descriptor that is a socket.
///
/// # Errors
/// [`Error::NotASocket`] when it is not one; the descriptor is closed.
impl TryFrom<OwnedFd> for Socket {
    type Error = Error;

    fn try_from(descriptor: OwnedFd) -> Result<Self> {
        match sockopt::socket_type(&descriptor) {
            Ok(_) => Ok(Self::from_trusted(descriptor)),
            Err(Errno::NOTSOCK) => Err(Error::NotASocket),
            Err(errno) => Err(Error::system("looking at a descriptor")(errno)),
        }
    }
}

macro_rules! conversions {
    ($($other:ty),+) => {$(
        impl From<$other> for Socket {
            fn from(socket: $other) -> Self {
                Socket::from_trusted(socket.into())
            }
        }
        impl From<Socket> for $other {
            /// The same descriptor under another type; it is up to the caller that the kind of socket fits.
            fn from(socket: Socket) -> Self {
                OwnedFd::from(socket).into()
            }
        }
    )+};
}

conversions!(
    socket2::Socket,
    std::net::TcpStream,
    std::net::TcpListener,
    std::net::UdpSocket,
    std::os::unix::net::UnixStream,
    std::os::unix::net::UnixListener,
    std::os::unix::net::UnixDatagram
);

impl From<Socket> for OwnedFd {
    /// The descriptor alone: an event registration made through it ends.
    fn from(socket: Socket) -> Self {
        drop(socket.shared);
        socket.socket.into()
    }
}
