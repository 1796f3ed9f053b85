//! Receiving, sending and connecting: what re-enables network events.

use crate::error::{Error, Result};
use crate::network_events::NetworkEvents;
use crate::provider::linux::record::{Record, Seen, Slot, begins_attempt, is_datagram, look, remains};
use crate::provider::linux::sys::receive_from;
use crate::socket::Socket;
use rustix::io::Errno;
use rustix::net::{RecvFlags, sockopt};
use socket2::SockAddr;
use std::io::{self, Read};
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

/// Takes something from the socket, and re-enables the event that tells of it.
pub(crate) fn taking<T>(
    socket: &Socket,
    event: NetworkEvents,
    act: impl FnOnce(&socket2::Socket) -> io::Result<T>,
) -> io::Result<T> {
    if event == NetworkEvents::OOB {
        socket.slot().into_iter().for_each(|slot| slot.note_urgent());
    }
    let result = act(&socket.socket);
    if let Some(slot) = socket.slot() {
        if let Err(error) = &result {
            note_failure(&slot, error);
            // A bad buffer re-enables messages, and nothing for an event object.
            let bad_buffer = error.raw_os_error() == Some(Errno::FAULT.raw_os_error());
            if bad_buffer && slot.load().is_some_and(|record| !record.messages) {
                return result;
            }
        }
        took(socket, event, &slot);
    }
    result
}

fn took(socket: &Socket, event: NetworkEvents, slot: &Slot<'_>) {
    // Whoever makes us look again so often has input coming in all the time, or wants to keep us.
    for attempt in 0..ATTEMPTS {
        let Some(looked) = slot.load() else { return };
        if !looked.is_registered() && !looked.recorded.contains(event) {
            return;
        }
        // Whoever registers next looks for itself.
        let remains =
            || remains(socket.as_fd(), event) && (event != NetworkEvents::READ || slot.receives(socket.as_fd()));
        let remains = looked.is_registered() && (attempt + 1 == ATTEMPTS || remains());
        let taken = slot.update(|record| record.take(event, &looked, remains).map(|due| (due, record.owner)));
        if let Some((due, owner)) = taken {
            if !due.is_empty() {
                slot.wake(owner);
            }
            return;
        }
    }
}

/// Sends something, and re-enables the event if not all could be sent, or if nothing was to be sent and there is no room:
/// an empty send is how programs ask for the event.
pub(crate) fn sending(
    socket: &Socket,
    length: usize,
    act: impl FnOnce(&socket2::Socket) -> io::Result<usize>,
) -> io::Result<usize> {
    let result = act(&socket.socket);
    let blocked = match &result {
        Ok(sent) => *sent < length || length == 0 && !remains(socket.as_fd(), NetworkEvents::WRITE),
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    };
    if let (Err(error), false) = (&result, blocked) {
        if let Some(slot) = socket.slot() {
            note_failure(&slot, error);
        }
    }
    if blocked {
        change(socket, Record::block);
    }
    result
}

/// Changes the record, if there is one, and has its owner look at it.
fn change(socket: &Socket, change: impl Fn(&mut Record)) {
    let Some(slot) = socket.slot() else { return };
    if let Some(owner) = slot.change(change) {
        slot.wake(owner);
    }
}

pub(crate) fn recv(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    let wanted = buffer.len();
    // Loaded first: what comes in after the receive is noticed by its stamp.
    let looked = socket.slot().and_then(|slot| slot.load()).filter(Record::is_registered);
    let result = (&socket.socket).read(buffer);
    let Some(looked) = looked else { return taking(socket, NetworkEvents::READ, |_| result) };
    let emptied = match &result {
        Ok(count) => 0 < *count && *count < wanted,
        Err(error) => wanted > 0 && error.kind() == io::ErrorKind::WouldBlock,
    };
    if let Some(slot) = socket.slot().filter(|slot| emptied && socket.is_tcp() && !slot.had_urgent()) {
        // A stream that gives less than was asked for has no more (epoll(7)), so it need not be asked.
        if slot.update(|record| record.take(NetworkEvents::READ, &looked, false)).is_some() {
            return result;
        }
    }
    taking(socket, NetworkEvents::READ, |_| result)
}

pub(crate) fn recv_from(socket: &Socket, buffer: &mut [u8]) -> io::Result<(usize, SockAddr)> {
    taking(socket, NetworkEvents::READ, |socket| receive_from(socket, buffer))
}

pub(crate) fn recv_oob(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    taking(socket, NetworkEvents::OOB, |socket| Ok(rustix::net::recv(socket, buffer, RecvFlags::OOB)?.0))
}

pub(crate) fn connect(socket: &Socket, address: &SockAddr) -> io::Result<()> {
    let Some(slot) = socket.slot() else { return socket.socket.connect(address) };
    let datagrams = is_datagram(socket.as_fd());
    let failed_before = slot.load().is_some_and(|record| record.failed);
    if !datagrams && begins_attempt(socket.as_fd()) {
        slot.change(Record::attempt);
    }
    let is = |error: &io::Error, errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    let mut result = socket.socket.connect(address);
    if failed_before && result.as_ref().is_err_and(|error| is(error, Errno::CONNABORTED)) {
        // So Linux tells once more that the attempt before has failed.
        result = socket.socket.connect(address);
    }
    let pending = result.as_ref().is_err_and(|error| {
        [Errno::INPROGRESS, Errno::AGAIN, Errno::ALREADY].into_iter().any(|errno| is(error, errno))
    });
    if pending {
        change(socket, |_| ());
    } else if result.is_ok() {
        if datagrams {
            slot.change(|record| record.recorded -= NetworkEvents::CONNECT);
        }
        let holds = NetworkEvents::CONNECT | NetworkEvents::WRITE;
        slot.see(&Seen { holds, ..Seen::default() });
    }
    result
}

pub(crate) fn bind(socket: &Socket, address: &SockAddr) -> io::Result<()> {
    socket.socket.bind(address)?;
    if let Some(slot) = socket.slot().filter(|_| is_datagram(socket.as_fd())) {
        let record = slot.load().unwrap_or_default();
        slot.see(&look(socket.as_fd(), &record, true).seen);
    }
    Ok(())
}

pub(crate) fn shutdown(socket: &Socket, how: Shutdown) -> Result<()> {
    let refused = Error::system("ending a connection");
    // Linux would end the listening of all who share it, or say that it did something.
    if sockopt::socket_acceptconn(&socket.socket).map_err(&refused)? {
        return Err(refused(Errno::NOTCONN));
    }
    if how != Shutdown::Write {
        socket.note_read_shut();
    }
    socket.socket.shutdown(how).map_err(Error::io("ending a connection"))
}
