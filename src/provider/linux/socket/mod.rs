//! What this system keeps with a descriptor, and how it becomes one.

mod convert;
mod io;
mod joined;

pub(crate) use io::{bind, connect, recv, recv_from, recv_oob, sending, shutdown, taking};
pub(crate) use joined::{Watch, join};

use crate::catalog::CatalogEntry;
use crate::connection::Connection;
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::provider::linux::sys::tcp_connection;
use crate::socket::Socket;
use joined::Joined;
use rustix::io::Errno;
use rustix::net::sockopt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// The number of a descriptor in its process: a `RawFd` on Linux, a `RawSocket` on Windows.
pub type RawDescriptor = RawFd;

/// A descriptor that is lent: a `BorrowedFd` on Linux, a `BorrowedSocket` on Windows.
pub(crate) type BorrowedDescriptor<'a> = BorrowedFd<'a>;

pub(crate) fn borrow(socket: &impl AsFd) -> BorrowedDescriptor<'_> {
    socket.as_fd()
}

pub(crate) fn share_in(socket: &Socket, domain: &Domain) {
    socket.share_in(domain);
}

/// What is known of a socket beside its descriptor.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    joined: OnceLock<Box<Joined>>,
    /// Whether it is known that another side connected to it.
    accepted: bool,
    /// The domain in which its events are shared; and the same for those who were cloned before it was known.
    domain: OnceLock<Domain>,
    clones: OnceLock<Arc<OnceLock<Domain>>>,
    /// The identity and the id of the catalog's entry: asked once, as neither ever changes; 0 is not known yet.
    id: AtomicU64,
    entry: AtomicU16,
}

/// What it means when a lent descriptor is asked for what only a socket has.
fn refused(doing: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| if errno == Errno::NOTSOCK { Error::NotASocket } else { Error::system(doing)(errno) }
}

impl Shared {
    pub(crate) fn id(&self, socket: &socket2::Socket) -> Result<u64> {
        match self.id.load(Ordering::Relaxed) {
            0 => {
                let id = sockopt::socket_cookie(socket).map_err(refused("asking for a socket's identity"))?;
                self.id.store(id, Ordering::Relaxed);
                Ok(id)
            }
            id => Ok(id),
        }
    }

    /// The same of one more descriptor in this process. It joins a domain with this one: now, or when this one does.
    pub(crate) fn for_clone(&self) -> Result<Self> {
        let mut clone = Shared {
            accepted: self.accepted,
            id: self.id.load(Ordering::Relaxed).into(),
            entry: self.entry.load(Ordering::Relaxed).into(),
            ..Shared::default()
        };
        match self.domain() {
            Some(domain) => clone.domain = domain.clone().into(),
            None => clone.clones = self.clones.get_or_init(Arc::default).clone().into(),
        }
        Ok(clone)
    }

    pub(crate) fn catalog_entry(&self, socket: &socket2::Socket) -> Result<&'static CatalogEntry> {
        if let Some(entry) = CatalogEntry::by_id(self.entry.load(Ordering::Relaxed).into()) {
            return Ok(entry);
        }
        let refused = refused("asking for a socket's kind");
        let family = match sockopt::socket_domain(socket).map_err(&refused)? {
            rustix::net::AddressFamily::INET => 2,
            rustix::net::AddressFamily::INET6 => 23,
            rustix::net::AddressFamily::UNIX => 1,
            _ => 0,
        };
        let kind = sockopt::socket_type(socket).map_err(&refused)?;
        let entry = CatalogEntry::describing(family, kind.as_raw());
        // Ids are far below the bound.
        self.entry.store(u16::try_from(entry.id).unwrap_or(0), Ordering::Relaxed);
        Ok(entry)
    }
}

impl Socket {
    /// A descriptor of which its sender said that it is a socket's; if it is not, its operations fail.
    pub(crate) fn from_trusted(descriptor: OwnedFd) -> Self {
        Self::from_parts(descriptor.into(), Shared::default())
    }

    /// The same of one that came from another process; its identity is 0 if it is not known.
    pub(crate) fn received(descriptor: OwnedFd, domain: &Domain, id: u64) -> Self {
        let shared = Shared { domain: domain.clone().into(), id: id.into(), ..Shared::default() };
        Self::from_parts(descriptor.into(), shared)
    }

    /// A socket that was accepted from a listener which shares its events in `domain`.
    pub(crate) fn accepted(socket: socket2::Socket, domain: Option<&Domain>) -> Self {
        let accepted = Self::from_parts(socket, Shared { accepted: true, ..Shared::default() });
        if let Some(domain) = domain {
            accepted.share_in(domain);
        }
        accepted
    }

    pub(crate) fn was_accepted(&self) -> bool {
        self.shared.accepted
    }
}

pub(crate) fn connection(socket: &Socket) -> Option<Connection> {
    tcp_connection(socket.as_fd())
}

pub(crate) fn raw(socket: &Socket) -> RawDescriptor {
    socket.as_raw_fd()
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
