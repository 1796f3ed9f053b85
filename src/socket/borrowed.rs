//! Sockets that are lent for one call.

use super::Socket;
use crate::catalog::CatalogEntry;
use crate::domain::Domain;
use crate::error::Result;
use crate::provider::{self, BorrowedDescriptor, Shared};
use socket2::SockRef;
use std::fmt;
use std::sync::Arc;

/// A socket of any type, lent for one call: what [`Endpoint::duplicate`](crate::Endpoint::duplicate) and
/// [`Sender::hand_off_copy`](crate::Sender::hand_off_copy) take.
///
/// It is made by `into` from a reference to a [`Socket`], to a socket of the standard library, of `socket2` or (with the
/// feature `tokio`) of tokio, and from a borrowed descriptor: for any other type that has one, give `stream.as_fd()`
/// (`as_socket()` on Windows). The call looks at the descriptor and leaves it open.
///
/// A [`Socket`] remembers its identity and shares its network events from the first duplicate on
/// ([`Socket::join`]). Other types cannot: what is received through them re-enables no events, and on Windows each duplicate
/// of them gets an identity of its own.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("sharesock-doc-borrowed-{}", std::process::id()));
/// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&folder)?)?;
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let info = endpoint.duplicate(&listener, std::process::id())?;
/// let another = std::net::TcpListener::from(endpoint.redeem(&info)?);
/// assert_eq!(listener.local_addr()?, another.local_addr()?);
/// # drop(endpoint);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SocketRef<'a> {
    descriptor: BorrowedDescriptor<'a>,
    ours: Option<&'a Socket>,
}

impl<'a> SocketRef<'a> {
    pub(crate) fn id(&self) -> Result<u64> {
        match self.ours {
            Some(socket) => socket.id().map(|id| id.as_u64()),
            None => Shared::default().id(&self.as_socket()),
        }
    }

    pub(crate) fn catalog_entry(&self) -> Result<&'static CatalogEntry> {
        match self.ours {
            Some(socket) => socket.catalog_entry(),
            None => Shared::default().catalog_entry(&self.as_socket()),
        }
    }

    /// From now on its network events are shared in `domain`, if it is a [`Socket`].
    #[cfg_attr(windows, allow(dead_code))]
    pub(crate) fn share_in(&self, domain: &Domain) {
        if let Some(socket) = self.ours {
            provider::share_in(socket, domain);
        }
    }

    #[cfg_attr(windows, allow(dead_code))]
    pub(crate) fn descriptor(&self) -> BorrowedDescriptor<'a> {
        self.descriptor
    }

    pub(crate) fn as_socket(&self) -> SockRef<'_> {
        SockRef::from(&self.descriptor)
    }
}

impl fmt::Debug for SocketRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SocketRef").field(&self.descriptor).finish()
    }
}

impl<'a> From<&'a Socket> for SocketRef<'a> {
    fn from(socket: &'a Socket) -> Self {
        SocketRef { descriptor: provider::borrow(&socket.socket), ours: Some(socket) }
    }
}

impl<'a> From<&'a Arc<Socket>> for SocketRef<'a> {
    fn from(socket: &'a Arc<Socket>) -> Self {
        Self::from(&**socket)
    }
}

impl<'a> From<BorrowedDescriptor<'a>> for SocketRef<'a> {
    fn from(descriptor: BorrowedDescriptor<'a>) -> Self {
        SocketRef { descriptor, ours: None }
    }
}

macro_rules! borrowed {
    ($($other:ty),+ $(,)?) => {$(
        impl<'a> From<&'a $other> for SocketRef<'a> {
            fn from(socket: &'a $other) -> Self {
                SocketRef { descriptor: provider::borrow(socket), ours: None }
            }
        }
    )+};
}

borrowed!(socket2::Socket, std::net::TcpStream, std::net::TcpListener, std::net::UdpSocket);
#[cfg(unix)]
borrowed!(
    std::os::fd::OwnedFd,
    std::os::unix::net::UnixStream,
    std::os::unix::net::UnixListener,
    std::os::unix::net::UnixDatagram,
);
#[cfg(windows)]
borrowed!(std::os::windows::io::OwnedSocket);
#[cfg(feature = "tokio")]
borrowed!(tokio::net::TcpStream, tokio::net::TcpListener, tokio::net::UdpSocket);
#[cfg(all(feature = "tokio", unix))]
borrowed!(tokio::net::UnixStream, tokio::net::UnixListener, tokio::net::UnixDatagram);
