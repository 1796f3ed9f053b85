//! What is known of a socket beside its descriptor, and what is done to it: Winsock keeps its events together itself.

use super::codes;
use super::notify::Enrolment;
use super::sys::{self, kind_of};
use crate::catalog::CatalogEntry;
use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::network_events::NetworkEvents;
use crate::socket::Socket;
use socket2::SockAddr;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, RawSocket};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

/// The number of a descriptor in its process: a `RawFd` on Linux, a `RawSocket` on Windows.
pub type RawDescriptor = RawSocket;

/// A descriptor that is lent: a `BorrowedFd` on Linux, a `BorrowedSocket` on Windows.
pub(crate) type BorrowedDescriptor<'a> = BorrowedSocket<'a>;

pub(crate) fn borrow(socket: &impl AsSocket) -> BorrowedDescriptor<'_> {
    socket.as_socket()
}

/// The system keeps the events of a socket together, in whatever domain.
pub(crate) fn share_in(_: &Socket, _: &Domain) {}

/// What is known of a socket beside its descriptor.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    // First, because a registration ends before the descriptor is closed.
    pub(crate) enrolment: Enrolment,
    /// The identity that the first gave it who shared it, and the id of the catalog's entry; 0 is not known yet.
    id: AtomicU64,
    entry: AtomicU16,
}

impl Shared {
    pub(crate) fn with_id(id: u64) -> Self {
        Shared { id: id.into(), ..Shared::default() }
    }

    pub(crate) fn id(&self, _: &socket2::Socket) -> Result<u64> {
        self.given_id()
    }

    /// Whether somebody may have shared it.
    pub(crate) fn is_known(&self) -> bool {
        self.id.load(Ordering::Relaxed) != 0
    }

    /// Winsock has no identity of underlying sockets: one is given when it is first asked for.
    fn given_id(&self) -> Result<u64> {
        match self.id.load(Ordering::Relaxed) {
            0 => {
                let random = sys::random().map_err(Error::io("asking for random bytes"))?;
                let new = u64::from_le_bytes(random).max(1);
                let given = self.id.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
                Ok(given.map_or_else(|faster| faster, |_| new))
            }
            id => Ok(id),
        }
    }

    /// The same of one more descriptor in this process.
    pub(crate) fn for_clone(&self) -> Result<Self> {
        let id = self.given_id()?;
        let (enrolment, entry) = (self.enrolment.clone(), self.entry.load(Ordering::Relaxed));
        Ok(Shared { enrolment, id: id.into(), entry: entry.into() })
    }

    pub(crate) fn catalog_entry(&self, socket: &socket2::Socket) -> Result<&'static CatalogEntry> {
        if let Some(entry) = CatalogEntry::by_id(self.entry.load(Ordering::Relaxed).into()) {
            return Ok(entry);
        }
        let kind = kind_of(socket).map_err(|error| match error.raw_os_error() {
            Some(codes::NOT_A_SOCKET) => Error::NotASocket,
            _ => Error::io("asking for a socket's kind")(error),
        })?;
        let entry = CatalogEntry::describing(kind.family, kind.socket_type);
        // Ids are far below the bound.
        self.entry.store(u16::try_from(entry.id).unwrap_or(0), Ordering::Relaxed);
        Ok(entry)
    }
}

pub(crate) fn raw(socket: &Socket) -> RawDescriptor {
    socket.as_raw_socket()
}

/// The system keeps the events of a socket together, in whatever domain.
#[allow(clippy::unnecessary_wraps)]
pub(crate) fn join(_: &Socket, _: &Domain) -> Result<()> {
    Ok(())
}

pub(crate) fn connection(socket: &Socket) -> Option<Connection> {
    let socket = socket.as_socket();
    (socket.r#type().ok()? == socket2::Type::STREAM).then_some(())?;
    // Older systems, and Wine 8, do not tell the state: then only whether there is a connection.
    sys::tcp_state(socket)
        .or_else(|| Some(if socket.peer_addr().is_ok() { Connection::Open } else { Connection::Never }))
}

/// Winsock's own calls re-enable events.
pub(crate) fn taking<T>(
    socket: &Socket,
    _: NetworkEvents,
    act: impl FnOnce(&socket2::Socket) -> io::Result<T>,
) -> io::Result<T> {
    act(socket.as_socket())
}

pub(crate) fn sending(
    socket: &Socket,
    _: usize,
    act: impl FnOnce(&socket2::Socket) -> io::Result<usize>,
) -> io::Result<usize> {
    act(socket.as_socket())
}

pub(crate) fn recv(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    socket.as_socket().read(buffer)
}

pub(crate) fn recv_from(socket: &Socket, buffer: &mut [u8]) -> io::Result<(usize, SockAddr)> {
    sys::receive_from(socket.as_socket(), buffer)
}

pub(crate) fn recv_oob(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    sys::receive_urgent(socket.as_socket(), buffer)
}

pub(crate) fn connect(socket: &Socket, address: &SockAddr) -> io::Result<()> {
    socket.as_socket().connect(address)
}

pub(crate) fn bind(socket: &Socket, address: &SockAddr) -> io::Result<()> {
    socket.as_socket().bind(address)
}

pub(crate) fn shutdown(socket: &Socket, how: Shutdown) -> Result<()> {
    socket.as_socket().shutdown(how).map_err(Error::io("ending a connection"))
}
