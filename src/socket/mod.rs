//! A descriptor of an underlying socket.

mod convert;
mod io;
mod joined;

pub(crate) use joined::Watch;

use crate::catalog::CatalogEntry;
use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::sys::tcp_connection;
use joined::Joined;
use rustix::net::sockopt;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

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
    joined: OnceLock<Box<Joined>>,
    socket: socket2::Socket,
    /// Whether it is known that another side connected to it.
    accepted: bool,
    /// The domain in which its events are shared; and the same for those who were cloned before it was known.
    domain: OnceLock<Domain>,
    clones: OnceLock<Arc<OnceLock<Domain>>>,
    /// The identity and the id of the catalog's entry: asked once, as neither ever changes; 0 is not known yet.
    id: AtomicU64,
    entry: AtomicU16,
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
        Self::from_inner(descriptor.into())
    }

    fn from_inner(socket: socket2::Socket) -> Self {
        let (id, entry) = (AtomicU64::new(0), AtomicU16::new(0));
        let (joined, domain, clones) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Socket { joined, socket, accepted: false, domain, clones, id, entry }
    }

    /// A socket that was accepted from a listener which shares its events in `domain`.
    pub(crate) fn accepted(socket: socket2::Socket, domain: Option<&Domain>) -> Self {
        let mut accepted = Self::from_inner(socket);
        accepted.accepted = true;
        if let Some(domain) = domain {
            accepted.share_in(domain);
        }
        accepted
    }

    pub(crate) fn was_accepted(&self) -> bool {
        self.accepted
    }

    /// The identity of the underlying socket.
    ///
    /// # Errors
    /// [`Error::System`] when the operating system refuses.
    pub fn id(&self) -> Result<SocketId> {
        match self.id.load(Ordering::Relaxed) {
            0 => {
                let asked = sockopt::socket_cookie(&self.socket);
                let id = asked.map_err(Error::system("asking for a socket's identity"))?;
                self.id.store(id, Ordering::Relaxed);
                Ok(SocketId(id))
            }
            id => Ok(SocketId(id)),
        }
    }

    /// One more descriptor of the same underlying socket in this process, close-on-exec.
    ///
    /// # Errors
    /// [`Error::System`] when no descriptor is free.
    pub fn try_clone(&self) -> Result<Self> {
        let socket = self.socket.try_clone().map_err(Error::io("duplicating a descriptor"))?;
        let mut clone = Self::from_inner(socket);
        clone.accepted = self.accepted;
        *clone.id.get_mut() = self.id.load(Ordering::Relaxed);
        *clone.entry.get_mut() = self.entry.load(Ordering::Relaxed);
        self.join_clone(&mut clone);
        Ok(clone)
    }

    /// The socket with all the operations and options of [`socket2::Socket`].
    #[must_use]
    pub fn as_socket(&self) -> &socket2::Socket {
        &self.socket
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
        tcp_connection(self.as_fd())
    }

    /// The entry of the catalog that describes this socket (`SO_PROTOCOL_INFO`).
    ///
    /// # Errors
    /// [`Error::System`] when the operating system refuses.
    pub fn catalog_entry(&self) -> Result<&'static CatalogEntry> {
        if let Some(entry) = CatalogEntry::by_id(self.entry.load(Ordering::Relaxed).into()) {
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
        let entry = CatalogEntry::describing(family, kind.as_raw());
        // Ids are far below the bound.
        self.entry.store(u16::try_from(entry.id).unwrap_or(0), Ordering::Relaxed);
        Ok(entry)
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
