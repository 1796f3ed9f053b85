//! What the kernel says of a socket, in terms of network events.

use super::word::{Record, Seen};
use crate::connection::Connection;
use crate::network_events::NetworkEvents;
use crate::provider::linux::sys::{queue_memory, tcp_connection, waiting_connections};
use rustix::event::epoll::EventFlags;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread};
use rustix::net::{AddressFamily, RecvFlags, SocketType, getpeername, getsockname, sockopt};
use std::os::fd::BorrowedFd;

/// What can be found out beyond readiness.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) seen: Seen,
    /// Why an attempt to connect failed.
    pub(crate) failure: Option<Errno>,
    /// Urgent data is there, or was.
    pub(crate) urgent: bool,
}

/// What there is to be seen of `socket` now.
pub(crate) fn look(socket: BorrowedFd<'_>, record: &Record, datagrams: bool) -> Observed {
    let wanted = PollFlags::IN | PollFlags::PRI | PollFlags::OUT | PollFlags::RDHUP;
    let mut polled = [PollFd::from_borrowed_fd(socket, wanted)];
    let _ = poll(&mut polled, Some(&Timespec::default()));
    let bits = polled.iter().fold(PollFlags::empty(), |all, one| all | one.revents());
    // The two have the same numbers.
    let mut observed = observe(socket, record, EventFlags::from_bits_truncate(bits.bits().into()), datagrams);
    // Of this the kernel reports nothing, so that it is asked for here alone.
    if datagrams && !record.recorded.contains(NetworkEvents::CONNECT) && is_connected(socket) {
        observed.seen.holds |= NetworkEvents::CONNECT;
    }
    observed
}

fn is_connected(socket: BorrowedFd<'_>) -> bool {
    getpeername(socket).is_ok_and(|address| address.is_some())
}

/// Whether something can be received, accepted or sent at `socket` now.
pub(crate) fn remains(socket: BorrowedFd<'_>, event: NetworkEvents) -> bool {
    match event {
        NetworkEvents::OOB => polls(socket, PollFlags::PRI),
        NetworkEvents::ACCEPT => polls(socket, PollFlags::IN),
        NetworkEvents::WRITE => polls(socket, PollFlags::OUT),
        _ => {
            let bits = polled(socket, PollFlags::IN | PollFlags::RDHUP);
            // The end of a stream is readable, too: it is another event.
            bits.contains(PollFlags::IN) && (!bits.intersects(PollFlags::RDHUP | PollFlags::HUP) || has_data(socket))
        }
    }
}

fn polls(socket: BorrowedFd<'_>, flags: PollFlags) -> bool {
    polled(socket, flags).intersects(flags)
}

fn polled(socket: BorrowedFd<'_>, flags: PollFlags) -> PollFlags {
    let mut polled = [PollFd::from_borrowed_fd(socket, flags)];
    let _ = poll(&mut polled, Some(&Timespec::default()));
    polled.iter().fold(PollFlags::empty(), |all, one| all | one.revents())
}

/// Whether something can be received that is not urgent; it stays.
pub(super) fn peeks(socket: BorrowedFd<'_>) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    rustix::net::recv(socket, &mut [0_u8; 1], flags).map(drop) != Err(Errno::AGAIN)
}

fn has_data(socket: BorrowedFd<'_>) -> bool {
    ioctl_fionread(socket).is_ok_and(|bytes| bytes > 0)
}

/// What `flags`, which the kernel has reported, mean for a socket with this record.
pub(crate) fn observe(socket: BorrowedFd<'_>, record: &Record, flags: EventFlags, datagrams: bool) -> Observed {
    let urgent = flags.contains(EventFlags::PRI);
    let mut observed = Observed { seen: Seen::default(), failure: None, urgent };
    let holds = &mut observed.seen.holds;
    let has = |event: NetworkEvents| record.recorded.contains(event);
    if datagrams {
        let failed = flags.contains(EventFlags::ERR);
        holds.set(NetworkEvents::READ, flags.contains(EventFlags::IN) || failed);
        let writable = flags.contains(EventFlags::OUT) && !has(NetworkEvents::WRITE);
        holds.set(NetworkEvents::WRITE, writable && (record.messages || !is_unbound(socket)));
        return observed;
    }
    if !has(NetworkEvents::CONNECT) {
        if sockopt::socket_acceptconn(socket) == Ok(true) {
            holds.set(NetworkEvents::ACCEPT, flags.contains(EventFlags::IN));
            return observed;
        }
        if !is_connected(socket) {
            // It was never connected, or the attempt has failed: only then there is an error to take.
            let failed = flags.contains(EventFlags::ERR).then(|| sockopt::socket_error(socket));
            match failed {
                Some(Ok(Err(Errno::CONNRESET | Errno::PIPE))) => {
                    *holds |= NetworkEvents::CONNECT | NetworkEvents::CLOSE;
                    observed.seen.reset = true;
                }
                Some(Ok(Err(errno))) => {
                    *holds |= NetworkEvents::CONNECT;
                    (observed.seen.failed, observed.failure) = (true, Some(errno));
                }
                // There is no error, or somebody took it: a connection has come and gone, or an attempt has failed.
                _ if flags.contains(EventFlags::RDHUP) && !record.read_shut => match tcp_connection(socket) {
                    Some(Connection::Over) => return ended_unseen(socket, record, flags),
                    Some(Connection::Never) => {
                        *holds |= NetworkEvents::CONNECT;
                        (observed.seen.failed, observed.failure) = (true, Some(Errno::CONNREFUSED));
                    }
                    _ => {}
                },
                _ => {}
            }
            return observed;
        }
        *holds |= NetworkEvents::CONNECT;
    }
    if record.failed {
        return observed;
    }
    let ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
    holds.set(NetworkEvents::READ, flags.contains(EventFlags::IN) && (!ended || has_data(socket)));
    holds.set(NetworkEvents::WRITE, flags.contains(EventFlags::OUT) && !flags.contains(EventFlags::HUP));
    // It holds until it is received, told or not. What is reported may have been received since.
    if flags.contains(EventFlags::PRI) && polls(socket, PollFlags::PRI) {
        holds.set(NetworkEvents::OOB, sockopt::socket_oobinline(socket) == Ok(false));
    }
    if ended && !has(NetworkEvents::CLOSE) {
        let (closed, reset) = how_ended(socket, record, flags);
        holds.set(NetworkEvents::CLOSE, closed);
        observed.seen.reset = reset;
    }
    observed
}

/// What there is of a connection that was made and ended before anybody looked.
fn ended_unseen(socket: BorrowedFd<'_>, record: &Record, flags: EventFlags) -> Observed {
    let known = Record { recorded: record.recorded | NetworkEvents::CONNECT, ..*record };
    let mut observed = observe(socket, &known, flags, false);
    observed.seen.holds |= NetworkEvents::CONNECT;
    observed
}

/// Whether the other side has ended the connection, and whether by a reset.
fn how_ended(socket: BorrowedFd<'_>, record: &Record, flags: EventFlags) -> (bool, bool) {
    let failed = flags.contains(EventFlags::ERR);
    match tcp_connection(socket) {
        // Having ended one's own receiving looks the same to `poll`.
        Some(Connection::Open | Connection::Connecting) => (false, false),
        Some(Connection::Ended) => (true, false),
        Some(Connection::Over | Connection::Never) => (true, failed),
        None => (!record.read_shut, failed),
    }
}

/// Whether connecting `socket` begins a new attempt: it is neither connected nor being connected.
pub(crate) fn begins_attempt(socket: BorrowedFd<'_>) -> bool {
    !is_connected(socket) && tcp_connection(socket) != Some(Connection::Connecting)
}

/// Whether a socket sends and receives datagrams without a connection.
pub(crate) fn is_datagram(socket: BorrowedFd<'_>) -> bool {
    !matches!(sockopt::socket_type(socket), Ok(SocketType::STREAM | SocketType::SEQPACKET))
}

/// Whether a socket for datagrams has no address yet to send from.
fn is_unbound(socket: BorrowedFd<'_>) -> bool {
    match sockopt::socket_domain(socket) {
        Ok(AddressFamily::INET | AddressFamily::INET6) => getsockname(socket)
            .is_ok_and(|address| std::net::SocketAddr::try_from(address).is_ok_and(|address| address.port() == 0)),
        _ => false,
    }
}

/// A number that changes when something arrives at `socket` and nothing is taken: [`NOTHING`] when nothing waits there,
/// [`UNKNOWN`] when the kernel does not tell.
pub(crate) fn arrivals(socket: BorrowedFd<'_>) -> u64 {
    let inet = || matches!(sockopt::socket_domain(socket), Ok(AddressFamily::INET | AddressFamily::INET6));
    let count = match sockopt::socket_type(socket) {
        Ok(SocketType::STREAM | SocketType::SEQPACKET) if sockopt::socket_acceptconn(socket) == Ok(true) => {
            waiting_connections(socket).map(u64::from)
        }
        Ok(SocketType::STREAM | SocketType::SEQPACKET) => ioctl_fionread(socket).ok(),
        Ok(SocketType::DGRAM) if inet() => queue_memory(socket).map(u64::from),
        _ => None,
    };
    match count {
        Some(count) => NOTHING + count,
        None if polls(socket, PollFlags::IN) => UNKNOWN,
        None => NOTHING,
    }
}

/// What [`arrivals`] says when it cannot tell.
pub(crate) const UNKNOWN: u64 = 0;
/// What [`arrivals`] says of a socket where nothing waits.
pub(crate) const NOTHING: u64 = 1;
