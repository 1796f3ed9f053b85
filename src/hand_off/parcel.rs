//! What is handed off.

use crate::error::Error;
use crate::process::Process;
use crate::socket::Socket;
use std::fmt;

/// A socket with application bytes, to be given away in one piece.
///
/// The bytes are the application's own: unread input, the state of a session.
#[derive(Debug)]
pub struct Parcel {
    pub(crate) socket: Socket,
    pub(crate) bytes: Vec<u8>,
    pub(crate) source: Option<Process>,
}

impl Parcel {
    /// The most bytes that may go with a socket.
    pub const MOST_BYTES: usize = 64 << 10;

    /// A parcel without bytes.
    #[must_use]
    pub fn new(socket: impl Into<Socket>) -> Self {
        Parcel { socket: socket.into(), bytes: Vec::new(), source: None }
    }

    /// The same socket with these bytes. More than [`MOST_BYTES`](Self::MOST_BYTES) are refused when it is handed off.
    #[must_use]
    pub fn with_bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.bytes = bytes.into();
        self
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The bytes that go with it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Of a parcel that was received: who handed it off.
    #[must_use]
    pub fn source(&self) -> Option<Process> {
        self.source
    }

    /// The socket and its bytes.
    #[must_use]
    pub fn into_parts(self) -> (Socket, Vec<u8>) {
        (self.socket, self.bytes)
    }
}

impl From<Socket> for Parcel {
    fn from(socket: Socket) -> Self {
        Parcel::new(socket)
    }
}

macro_rules! parcels {
    ($($other:ty),+ $(,)?) => {$(
        impl From<$other> for Parcel {
            fn from(socket: $other) -> Self {
                Parcel::new(socket)
            }
        }
    )+};
}

parcels!(socket2::Socket, std::net::TcpStream, std::net::TcpListener, std::net::UdpSocket);
#[cfg(unix)]
parcels!(std::os::unix::net::UnixStream, std::os::unix::net::UnixListener, std::os::unix::net::UnixDatagram);

/// A parcel that was not accepted, and why.
///
/// It becomes an [`Error`], and so an `io::Error`, by `?`; the parcel is dropped then, which closes its socket.
#[derive(Debug)]
pub struct Refused {
    /// Why: [`Error::HandOffFull`] may pass, [`Error::TargetGone`] and [`Error::TurnedAway`] do not.
    pub error: Error,
    /// What was to be handed off.
    pub parcel: Parcel,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Refused {
    /// What caused the error: its own message is this one's already.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}

impl From<Box<Refused>> for Error {
    fn from(refused: Box<Refused>) -> Self {
        refused.error
    }
}

impl From<Refused> for std::io::Error {
    fn from(refused: Refused) -> Self {
        refused.error.into()
    }
}

impl From<Box<Refused>> for std::io::Error {
    fn from(refused: Box<Refused>) -> Self {
        refused.error.into()
    }
}
