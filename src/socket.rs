//! A descriptor of an underlying socket.

use crate::catalog::CatalogEntry;
use crate::error::{Error, Result};
use rustix::io::Errno;
use rustix::net::sockopt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Identity of an underlying socket: equal for all its descriptors in all processes, and never used again.
///
/// On Linux it is the kernel's socket cookie (`SO_COOKIE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(u64);

impl SocketId {
    /// The number itself.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

/// An owned descriptor of an underlying socket of any family and type.
///
/// Two `Socket`s are equal when they are descriptors of the same underlying socket. Dropping one closes that
/// descriptor alone; the underlying socket lives until its last descriptor, in whatever process, is closed (R9).
/// One descriptor is valid in all threads of its process (R4): share it by reference or `Arc`.
///
/// Options and addresses are reached through [`as_socket`](Socket::as_socket).
///
/// ```
/// use sharesock::Socket;
/// let one = Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?);
/// let two = one.try_clone()?;
/// assert_eq!(one, two);
/// two.as_socket().set_broadcast(true)?; // all state is held in common (R8)
/// assert!(one.as_socket().broadcast()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Socket(socket2::Socket);

impl Socket {
    /// Creates a socket, close-on-exec and blocking (`WSASocket` without a protocol info).
    ///
    /// # Errors
    /// [`Error::System`] when the operating system refuses.
    pub fn new(domain: socket2::Domain, kind: socket2::Type, protocol: Option<socket2::Protocol>) -> Result<Self> {
        socket2::Socket::new(domain, kind, protocol).map(Socket).map_err(Error::io("creating a socket"))
    }

    /// A descriptor of which its sender said that it is a socket's; if it is not, its operations fail.
    pub(crate) fn from_trusted(descriptor: OwnedFd) -> Self {
        Socket(descriptor.into())
    }

    /// The identity of the underlying socket.
    ///
    /// # Errors
    /// [`Error::System`] when the operating system refuses.
    pub fn id(&self) -> Result<SocketId> {
        sockopt::socket_cookie(&self.0).map(SocketId).map_err(Error::system("asking for a socket's identity"))
    }

    /// One more descriptor of the same underlying socket in this process, close-on-exec.
    ///
    /// # Errors
    /// [`Error::System`] when no descriptor is free.
    pub fn try_clone(&self) -> Result<Self> {
        self.0.try_clone().map(Socket).map_err(Error::io("duplicating a descriptor"))
    }

    /// The socket with all the operations and options of [`socket2::Socket`].
    #[must_use]
    pub fn as_socket(&self) -> &socket2::Socket {
        &self.0
    }

    /// The entry of the catalog that describes this socket (`SO_PROTOCOL_INFO`).
    ///
    /// # Errors
    /// [`Error::System`] when the operating system refuses.
    pub fn catalog_entry(&self) -> Result<&'static CatalogEntry> {
        let refused = Error::system("asking for a socket's kind");
        let family = match sockopt::socket_domain(&self.0).map_err(&refused)? {
            rustix::net::AddressFamily::INET => 2,
            rustix::net::AddressFamily::INET6 => 23,
            rustix::net::AddressFamily::UNIX => 1,
            _ => 0,
        };
        let kind = sockopt::socket_type(&self.0).map_err(&refused)?;
        Ok(CatalogEntry::describing(family, kind.as_raw()))
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        self.as_raw_fd() == other.as_raw_fd() || matches!((self.id(), other.id()), (Ok(one), Ok(two)) if one == two)
    }
}

impl Eq for Socket {}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer)
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Takes any descriptor that is a socket.
///
/// # Errors
/// [`Error::NotASocket`] when it is not one; the descriptor is closed.
impl TryFrom<OwnedFd> for Socket {
    type Error = Error;

    fn try_from(descriptor: OwnedFd) -> Result<Self> {
        match sockopt::socket_type(&descriptor) {
            Ok(_) => Ok(Socket(descriptor.into())),
            Err(Errno::NOTSOCK) => Err(Error::NotASocket),
            Err(errno) => Err(Error::system("looking at a descriptor")(errno)),
        }
    }
}

macro_rules! conversions {
    ($($other:ty),+) => {$(
        impl From<$other> for Socket {
            fn from(socket: $other) -> Self {
                Socket(OwnedFd::from(socket).into())
            }
        }
        impl From<Socket> for $other {
            /// The same descriptor under another type; it is up to the caller that the kind of socket fits.
            fn from(socket: Socket) -> Self {
                OwnedFd::from(socket.0).into()
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
    fn from(socket: Socket) -> Self {
        socket.0.into()
    }
}
