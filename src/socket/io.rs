//! Receiving, sending and connecting: what re-enables network events.

use super::Socket;
use crate::error::{Error, Result};
use crate::network_events::NetworkEvents;
use crate::record::{Record, Seen, Slot, begins_attempt, is_datagram, look, remains};
use crate::sys::receive_from;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use socket2::SockAddr;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;

/// So often a receive looks again when something has come in meanwhile.
const ATTEMPTS: usize = 100;

/// The kernel tells an error once: what a call was told of the connection, the owner of the registration is not told
/// any more.
fn note_failure(slot: &Slot<'_>, error: &io::Error) {
    let Some(errno) = Errno::from_io_error(error) else { return };
    let Some(record) = slot.load() else { return };
    if record.recorded.contains(NetworkEvents::CONNECT) {
        if matches!(errno, Errno::CONNRESET | Errno::TIMEDOUT | Errno::HOSTUNREACH | Errno::NETUNREACH) {
            slot.see(&Seen { holds: NetworkEvents::CLOSE, reset: true, failed: false });
        }
    } else if matches!(errno, Errno::CONNREFUSED | Errno::TIMEDOUT | Errno::HOSTUNREACH | Errno::NETUNREACH) {
        slot.keep_code(errno);
        slot.see(&Seen { holds: NetworkEvents::CONNECT, failed: true, reset: false });
    }
}

impl Socket {
    /// Has `act` take from the socket something that `event` tells of, and re-enables the event: for ways of receiving
    /// that this type does not have.
    ///
    /// # Errors
    /// What `act` returns; the event is re-enabled all the same.
    ///
    /// ```
    /// use sharesock::{NetworkEvents, Socket};
    /// # let (one, two) = std::os::unix::net::UnixStream::pair()?;
    /// # std::io::Write::write_all(&mut &one, b"some bytes")?;
    /// let socket = Socket::from(two);
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 4];
    /// assert_eq!(socket.taking(NetworkEvents::READ, |socket| socket.recv(&mut bytes))?, 4);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn taking<T>(
        &self,
        event: NetworkEvents,
        act: impl FnOnce(&socket2::Socket) -> io::Result<T>,
    ) -> io::Result<T> {
        let result = act(&self.socket);
        if let Some(slot) = self.slot() {
            if let Err(error) = &result {
                note_failure(&slot, error);
                // A bad buffer re-enables messages, and nothing for an event object.
                let bad_buffer = error.raw_os_error() == Some(Errno::FAULT.raw_os_error());
                if bad_buffer && slot.load().is_some_and(|record| !record.messages) {
                    return result;
                }
            }
            self.took(event, &slot);
        }
        result
    }

    fn took(&self, event: NetworkEvents, slot: &Slot<'_>) {
        // Whoever makes us look again so often has input coming in all the time, or wants to keep us.
        for attempt in 0..ATTEMPTS {
            let Some(looked) = slot.load() else { return };
            if !looked.is_registered() && !looked.recorded.contains(event) {
                return;
            }
            // Whoever registers next looks for itself.
            let remains = looked.is_registered() && (attempt + 1 == ATTEMPTS || remains(self.as_fd(), event));
            let taken = slot.update(|record| record.take(event, &looked, remains).map(|due| (due, record.owner)));
            if let Some((due, owner)) = taken {
                if !due.is_empty() {
                    slot.ring(owner);
                }
                return;
            }
        }
    }

    /// Has `act` send `length` bytes, and return how many were sent; when not all were, or it would have blocked,
    /// [`NetworkEvents::WRITE`] is re-enabled: for ways of sending that this type does not have.
    ///
    /// # Errors
    /// What `act` returns.
    pub fn sending(&self, length: usize, act: impl FnOnce(&socket2::Socket) -> io::Result<usize>) -> io::Result<usize> {
        let result = act(&self.socket);
        let blocked = match &result {
            Ok(sent) => *sent < length,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        if let (Err(error), false) = (&result, blocked) {
            if let Some(slot) = self.slot() {
                note_failure(&slot, error);
            }
        }
        if blocked {
            self.change(Record::block);
        }
        result
    }

    /// Changes the record, if there is one, and has its owner look at it.
    fn change(&self, change: impl Fn(&mut Record)) {
        let Some(slot) = self.slot() else { return };
        if let Some(owner) = slot.change(change) {
            slot.ring(owner);
        }
    }

    /// Receives into `buffer`, as reading does: how many bytes (`recv`). Re-enables [`NetworkEvents::READ`].
    ///
    /// # Errors
    /// The system's own; `EAGAIN` when a non-blocking socket has nothing.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.taking(NetworkEvents::READ, |mut socket| socket.read(buffer))
    }

    /// Receives one datagram: how many bytes, and from where (`recvfrom`). Re-enables [`NetworkEvents::READ`].
    ///
    /// # Errors
    /// As [`Socket::recv`].
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SockAddr)> {
        self.taking(NetworkEvents::READ, |socket| receive_from(socket, buffer))
    }

    /// Receives urgent data: how many bytes (`recv` with `MSG_OOB`). Re-enables [`NetworkEvents::OOB`].
    ///
    /// # Errors
    /// The system's own; `EINVAL` when there is none.
    pub fn recv_oob(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.taking(NetworkEvents::OOB, |socket| Ok(recv(socket, buffer, RecvFlags::OOB)?.0))
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
    /// The system's own; `EINPROGRESS` when a non-blocking attempt goes on.
    pub fn connect(&self, address: &SockAddr) -> io::Result<()> {
        let Some(slot) = self.slot() else { return self.socket.connect(address) };
        let datagrams = is_datagram(self.as_fd());
        let failed_before = slot.load().is_some_and(|record| record.failed);
        if !datagrams && begins_attempt(self.as_fd()) {
            slot.change(Record::attempt);
        }
        let is = |error: &io::Error, errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
        let mut result = self.socket.connect(address);
        if failed_before && result.as_ref().is_err_and(|error| is(error, Errno::CONNABORTED)) {
            // So Linux tells once more that the attempt before has failed.
            result = self.socket.connect(address);
        }
        let pending = result.as_ref().is_err_and(|error| {
            [Errno::INPROGRESS, Errno::AGAIN, Errno::ALREADY].into_iter().any(|errno| is(error, errno))
        });
        if pending {
            self.change(|_| ());
        } else if result.is_ok() {
            if datagrams {
                slot.change(|record| record.recorded -= NetworkEvents::CONNECT);
            }
            let holds = NetworkEvents::CONNECT | NetworkEvents::WRITE;
            slot.see(&Seen { holds, ..Seen::default() });
        }
        result
    }

    /// Binds the socket to `address` (`bind`). A socket for datagrams can send from then on:
    /// [`NetworkEvents::WRITE`].
    ///
    /// # Errors
    /// The system's own.
    pub fn bind(&self, address: &SockAddr) -> io::Result<()> {
        self.socket.bind(address)?;
        if let Some(slot) = self.slot().filter(|_| is_datagram(self.as_fd())) {
            let record = slot.load().unwrap_or_default();
            slot.see(&look(self.as_fd(), &record, true).seen);
        }
        Ok(())
    }

    /// Ends receiving, sending, or both, for all descriptors of the socket (`shutdown`).
    ///
    /// # Errors
    /// [`Error::System`] when the system refuses.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        if how != Shutdown::Write {
            self.note_deaf();
        }
        self.socket.shutdown(how).map_err(Error::io("ending a connection"))
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
