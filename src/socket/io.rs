//! Receiving, sending and connecting: what re-enables network events.

use super::Socket;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::network_events::NetworkEvents;
use crate::provider;
use socket2::SockAddr;
use std::io::{self, Read, Write};
use std::net::Shutdown;

impl Socket {
    /// Has `act` take from the socket something that `event` tells of, and re-enables the event: for ways of receiving
    /// that this type does not have.
    ///
    /// # Errors
    /// What `act` returns; the event is re-enabled all the same.
    ///
    /// ```
    /// use sharesock::{NetworkEvents, Socket};
    /// # let bound = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// # bound.send_to(b"some", bound.local_addr()?)?;
    /// let socket = Socket::from(bound);
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 4];
    /// assert_eq!(socket.taking(NetworkEvents::READ, |socket| socket.recv(&mut bytes))?, 4);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn taking<T>(
        &self,
        event: NetworkEvents,
        act: impl FnOnce(&socket2::Socket) -> io::Result<T>,
    ) -> io::Result<T> {
        provider::taking(self, event, act)
    }

    /// Has `act` send `length` bytes, and return how many were sent; when not all were, or it would have blocked,
    /// [`NetworkEvents::WRITE`] is re-enabled: for ways of sending that this type does not have.
    ///
    /// # Errors
    /// What `act` returns.
    pub fn sending(&self, length: usize, act: impl FnOnce(&socket2::Socket) -> io::Result<usize>) -> io::Result<usize> {
        provider::sending(self, length, act)
    }

    /// Receives into `buffer`, as reading does: how many bytes (`recv`). Re-enables [`NetworkEvents::READ`].
    ///
    /// # Errors
    /// The system's own; `EAGAIN` when a non-blocking socket has nothing.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        provider::recv(self, buffer)
    }

    /// Receives one datagram: how many bytes, and from where (`recvfrom`). Re-enables [`NetworkEvents::READ`].
    ///
    /// What of a datagram does not fit is lost: silently on Linux, and with `WSAEMSGSIZE` on Windows.
    ///
    /// # Errors
    /// As [`Socket::recv`].
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SockAddr)> {
        provider::recv_from(self, buffer)
    }

    /// Receives urgent data: how many bytes (`recv` with `MSG_OOB`). Re-enables [`NetworkEvents::OOB`].
    ///
    /// # Errors
    /// The system's own; `EINVAL` when there is none.
    pub fn recv_oob(&self, buffer: &mut [u8]) -> io::Result<usize> {
        provider::recv_oob(self, buffer)
    }

    /// Sends `bytes`: how many of them (`send`). On a non-blocking stream that may be fewer than all.
    ///
    /// When they are fewer, or none can be sent, [`NetworkEvents::WRITE`] is re-enabled.
    ///
    /// # Errors
    /// The system's own; `EAGAIN` when nothing can be sent now.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.sending(bytes.len(), |socket| socket.send(bytes))
    }

    /// Sends one datagram to `address` (`sendto`); otherwise as [`Socket::send`].
    ///
    /// # Errors
    /// As [`Socket::send`].
    pub fn send_to(&self, bytes: &[u8], address: &SockAddr) -> io::Result<usize> {
        self.sending(bytes.len(), |socket| socket.send_to(bytes, address))
    }

    /// Connects to `address` (`connect`). Whether a non-blocking attempt has succeeded is told by
    /// [`NetworkEvents::CONNECT`].
    ///
    /// # Errors
    /// The system's own; `EINPROGRESS` when a non-blocking attempt goes on, and on Windows `WSAEWOULDBLOCK`.
    pub fn connect(&self, address: &SockAddr) -> io::Result<()> {
        provider::connect(self, address)
    }

    /// Binds the socket to `address` (`bind`). A socket for datagrams can send from then on:
    /// [`NetworkEvents::WRITE`].
    ///
    /// # Errors
    /// The system's own.
    pub fn bind(&self, address: &SockAddr) -> io::Result<()> {
        provider::bind(self, address)
    }

    /// Ends receiving, sending, or both, for all descriptors of the socket (`shutdown`).
    ///
    /// # Errors
    /// [`Error::System`] with `ENOTCONN` for a listener, as in Winsock: it is closed by its last descriptor.
    /// [`Error::System`] when the system refuses.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        provider::shutdown(self, how)
    }
}

/// Receives, and re-enables [`NetworkEvents::READ`].
impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }
}

/// Sends, and re-enables [`NetworkEvents::WRITE`] when not all could be sent.
impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Receives, and re-enables [`NetworkEvents::READ`].
impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }
}

/// Sends, and re-enables [`NetworkEvents::WRITE`] when not all could be sent.
impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
