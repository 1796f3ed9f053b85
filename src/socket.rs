//! A descriptor of an underlying socket.

use crate::catalog::CatalogEntry;
use crate::error::{Error, Result};
use rustix::io::Errno;
use rustix::net::sockopt;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;

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
pub struct Socket {
    socket: socket2::Socket,
    /// Asked once: neither ever changes.
    id: OnceLock<SocketId>,
    entry: OnceLock<&'static CatalogEntry>,
}

impl Socket {
    /// Creates a socket, close-on-exec and blocking (`WSASocket` without a protocol info).
    ///
    /// # Errors
    /// [`Error::System`] when the operating system refuses.
    pub fn new(domain: socket2::Domain, kind: socket2::Type, protocol: Option<socket2::Protocol>) -> Result<Self> {
        socket2::Socket::new(domain, kind, protocol).map(Self::from).map_err(Error::io("creating a socket"))
    }

    /// A descriptor of which its sender said that it is a socket's; if it is not, its operations fail.
    pub(crate) fn from_trusted(descriptor: OwnedFd) -> Self {
        Socket { socket: descriptor.into(), id: OnceLock::new(), entry: OnceLock::new() }
    }

    /// The identity of the underlying socket.
    ///
    /// # Errors
    /// [`Error::System`] when the operating system refuses.
    pub fn id(&self) -> Result<SocketId> {
        if let Some(id) = self.id.get() {
            return Ok(*id);
        }
        let id = sockopt::socket_cookie(&self.socket).map(SocketId);
        id.map(|id| *self.id.get_or_init(|| id)).map_err(Error::system("asking for a socket's identity"))
    }

    /// One more descriptor of the same underlying socket in this process, close-on-exec.
    ///
    /// # Errors
    /// [`Error::System`] when no descriptor is free.
    pub fn try_clone(&self) -> Result<Self> {
        let socket = self.socket.try_clone().map_err(Error::io("duplicating a descriptor"))?;
        Ok(Socket { socket, id: self.id.clone(), entry: self.entry.clone() })
    }

    /// The socket with all the operations and options of [`socket2::Socket`].
    #[must_use]
    pub fn as_socket(&self) -> &socket2::Socket {
        &self.socket
    }

    /// The entry of the catalog that describes this socket (`SO_PROTOCOL_INFO`).
    ///
    /// # Errors
    /// [`Error::System`] when the operating system refuses.
    pub fn catalog_entry(&self) -> Result<&'static CatalogEntry> {
        if let Some(entry) = self.entry.get() {
            return Ok(entry);
        }
        let refused = Error::system("asking for a socket's kind");
        let family = match sockopt::socket_domain(&self.socket).map_err(&refused)? {
            rustix::net::AddressFamily::INET => 2,
            rustix::net::AddressFamily::INET6 => 23,
            rustix::net::AddressFamily::UNIX => 1,
            _ => 0,
        };
        let kind = sockopt::socket_type(&self.socket).map_err(&refused)?;
        Ok(self.entry.get_or_init(|| CatalogEntry::describing(family, kind.as_raw())))
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&self.as_raw_fd()).finish()
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
        (&self.socket).read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.socket).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(buffer)
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.socket).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
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
                OwnedFd::from(socket.socket).into()
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
        socket.socket.into()
    }
}
