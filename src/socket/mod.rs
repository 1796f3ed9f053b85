//! A descriptor of an underlying socket.

mod borrowed;
mod io;

pub use borrowed::SocketRef;

use crate::catalog::CatalogEntry;
use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::provider::{self, Shared};
use std::fmt;
use std::net::SocketAddr;

/// Identity of an underlying socket: equal for all its descriptors in all processes, and never used again.
///
/// On Linux it is the kernel's socket cookie (`SO_COOKIE`). Winsock has none: there the first process that shares the
/// socket gives it 64 random bits, which duplicates and parcels carry. A descriptor that got into a process in another
/// way has another identity there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub(crate) u64);

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
/// Options and addresses are reached through [`as_socket`](Socket::as_socket). What is done to the socket past this
/// type, by that or by other descriptors, does not re-enable network events (see [`Socket::event_select`]).
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
    // First, because its registration ends before the descriptor is closed.
    pub(crate) shared: Shared,
    pub(crate) socket: socket2::Socket,
}

impl Socket {
    /// Creates a socket, close-on-exec and blocking (`WSASocket` without a protocol info).
    ///
    /// # Errors
    /// [`Error::System`] when the operating system refuses.
    pub fn new(domain: socket2::Domain, kind: socket2::Type, protocol: Option<socket2::Protocol>) -> Result<Self> {
        socket2::Socket::new(domain, kind, protocol).map(Self::from).map_err(Error::io("creating a socket"))
    }

    pub(crate) fn from_parts(socket: socket2::Socket, shared: Shared) -> Self {
        Socket { shared, socket }
    }

    /// The identity of the underlying socket.
    ///
    /// # Errors
    /// [`Error::System`] when the operating system refuses.
    pub fn id(&self) -> Result<SocketId> {
        self.shared.id(&self.socket).map(SocketId)
    }

    /// One more descriptor of the same underlying socket in this process, close-on-exec.
    ///
    /// # Errors
    /// [`Error::System`] when no descriptor is free.
    pub fn try_clone(&self) -> Result<Self> {
        let socket = self.socket.try_clone().map_err(Error::io("duplicating a descriptor"))?;
        Ok(Socket { shared: self.shared.for_clone()?, socket })
    }

    /// The socket with all the operations and options of [`socket2::Socket`].
    #[must_use]
    pub fn as_socket(&self) -> &socket2::Socket {
        &self.socket
    }

    /// The address to which the socket is bound (`getsockname`).
    ///
    /// # Errors
    /// The system's own; `InvalidInput` for a socket of another family than the Internet's: ask
    /// [`as_socket`](Socket::as_socket) for that.
    ///
    /// ```
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr()?;
    /// assert_eq!(sharesock::Socket::from(listener).local_addr()?, address);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        internet(&self.socket.local_addr()?)
    }

    /// The address of the other side (`getpeername`).
    ///
    /// # Errors
    /// As [`local_addr`](Socket::local_addr); `NotConnected` without another side.
    pub fn peer_addr(&self) -> std::io::Result<SocketAddr> {
        internet(&self.socket.peer_addr()?)
    }

    /// How the TCP connection of this socket stands; nothing for a socket of another protocol.
    ///
    /// ```
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// use sharesock::{Connection, Socket};
    /// let socket = Socket::from(std::net::TcpStream::connect(listener.local_addr()?)?);
    /// assert_eq!(socket.connection(), Some(Connection::Open));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn connection(&self) -> Option<Connection> {
        provider::connection(self)
    }

    /// The entry of the catalog that describes this socket (`SO_PROTOCOL_INFO`).
    ///
    /// # Errors
    /// [`Error::System`] when the operating system refuses.
    pub fn catalog_entry(&self) -> Result<&'static CatalogEntry> {
        self.shared.catalog_entry(&self.socket)
    }

    /// Shares the network events of this socket in `domain`: from now on what is received, accepted and sent through
    /// this `Socket` re-enables events that any process of the domain has registered.
    ///
    /// A socket that is duplicated, redeemed, handed off, received, accepted from one that has joined, or registered
    /// joins by itself, and so do its clones: this is for one that was inherited, or got in another way.
    ///
    /// On Windows the system itself keeps the events of a socket together, so there is nothing to do.
    ///
    /// # Errors
    /// [`Error::OtherDomain`] when it has joined another.
    pub fn join(&self, domain: &Domain) -> Result<()> {
        provider::join(self, domain)
    }
}

fn internet(address: &socket2::SockAddr) -> std::io::Result<SocketAddr> {
    let other = || {
        std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "the socket has no Internet address: it is of another family",
        )
    };
    address.as_socket().ok_or_else(other)
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&provider::raw(self)).finish()
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        provider::raw(self) == provider::raw(other)
            || matches!((self.id(), other.id()), (Ok(one), Ok(two)) if one == two)
    }
}

impl Eq for Socket {}
