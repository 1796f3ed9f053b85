//! Registering a socket, asking what has occurred, and accepting, by which a registration is inherited.

use super::enrolment::{Enrolled, Memory};
use super::event::EventObject;
use super::queue::Queue;
use super::registry::Entry;
use crate::error::{Error, Result};
use crate::network_events::{NetworkEvents, Occurred};
use crate::notify::Registration;
use crate::provider::Shared;
use crate::provider::windows::sys::select as sys;
use crate::socket::Socket;
use std::io;
use std::os::windows::io::{AsRawSocket, AsSocket};
use std::sync::Arc;

/// `WSAEINVAL`: of `FIONBIO`, that there is a registration.
const INVALID: i32 = 10022;

pub(crate) fn event_select(socket: &Socket, event: &Arc<EventObject>, events: NetworkEvents) -> Result<()> {
    let mut memory = socket.shared.enrolment.open();
    if events.is_empty() {
        return cancel(socket, &mut memory);
    }
    sys::event_select(AsSocket::as_socket(socket), event.handle(), events.bits()).map_err(registering)?;
    memory.nonblocking = true;
    memory.enrolled = Some(Enrolled::Event { event: Arc::clone(event), events });
    Ok(())
}

pub(crate) fn async_select(socket: &Socket, queue: &Arc<Queue>, id: u32, events: NetworkEvents) -> Result<()> {
    let mut memory = socket.shared.enrolment.open();
    if events.is_empty() {
        return cancel(socket, &mut memory);
    }
    // Entered first: messages may come before the call returns.
    let listing = queue.list(Entry { id, socket: socket.id()?, descriptor: socket.as_raw_socket() })?;
    sys::async_select(AsSocket::as_socket(socket), queue.window(), listing.number(), events.bits())
        .map_err(registering)?;
    listing.confirm();
    memory.nonblocking = true;
    memory.enrolled = Some(Enrolled::Messages { listing, id, events });
    Ok(())
}

pub(crate) fn cancel_select(socket: &Socket) -> Result<()> {
    cancel(socket, &mut socket.shared.enrolment.open())
}

fn cancel(socket: &Socket, memory: &mut Memory) -> Result<()> {
    end(socket, memory.enrolled.as_ref()).map_err(Error::io("cancelling the registration of a socket"))?;
    memory.nonblocking = true;
    memory.enrolled = None;
    Ok(())
}

/// Ends the registration of a socket, which may be as `enrolled` says.
fn end(socket: &Socket, enrolled: Option<&Enrolled>) -> io::Result<()> {
    if let Some(Enrolled::Messages { listing, .. }) = enrolled {
        sys::cancel_async(AsSocket::as_socket(socket), listing.queue().window())?;
    }
    sys::cancel(AsSocket::as_socket(socket))
}

pub(crate) fn enum_network_events(socket: &Socket, event: Option<&EventObject>) -> Result<Occurred> {
    let sys::Found { events, connect_code, close_code } =
        sys::enum_network_events(AsSocket::as_socket(socket), event.map(EventObject::handle))
            .map_err(Error::io("asking for network events"))?;
    let events = NetworkEvents::from_bits_truncate(events);
    let code_of = |event, code| if events.contains(event) { code } else { 0 };
    Ok(Occurred {
        events,
        connect_code: code_of(NetworkEvents::CONNECT, connect_code),
        close_code: code_of(NetworkEvents::CLOSE, close_code),
    })
}

pub(crate) fn registration(_: &Socket) -> Result<Option<Registration>> {
    Err(Error::NotOnThisSystem {
        what: "who is registered for the events of a socket",
        instead: "let the process that registers say so",
    })
}

pub(crate) fn set_nonblocking(socket: &Socket, nonblocking: bool) -> Result<()> {
    let mut memory = socket.shared.enrolment.open();
    match sys::set_nonblocking(AsSocket::as_socket(socket), nonblocking) {
        Ok(()) => {
            memory.nonblocking = nonblocking;
            Ok(())
        }
        Err(error) if !nonblocking && error.raw_os_error() == Some(INVALID) => Err(Error::Registered),
        Err(error) => Err(Error::io("making a socket blocking or not")(error)),
    }
}

pub(crate) fn accept(socket: &Socket) -> io::Result<(Socket, socket2::SockAddr)> {
    let (accepted, address) = next(socket)?;
    let registered = socket.shared.enrolment.open().enrolled.is_some();
    let passed = match registered {
        true => pass_registration(socket, &accepted),
        false => strip(socket, &accepted).map_err(registering),
    };
    match passed {
        Ok(()) => Ok((accepted, address)),
        Err(error) => {
            // What it inherited would be told under its listener's name.
            let _ = sys::cancel(AsSocket::as_socket(&accepted));
            socket.shared.enrolment.open().kept.push((accepted, address));
            Err(error.into())
        }
    }
}

pub(crate) fn accept_apart(socket: &Socket) -> io::Result<(Socket, socket2::SockAddr)> {
    let (accepted, address) = next(socket)?;
    strip(socket, &accepted)?;
    Ok((accepted, address))
}

/// Accepts, or takes what was kept.
fn next(socket: &Socket) -> io::Result<(Socket, socket2::SockAddr)> {
    if let Some(kept) = socket.shared.enrolment.open().kept.pop() {
        return Ok(kept);
    }
    match socket.socket.accept() {
        Ok((accepted, address)) => Ok((Socket::from_parts(accepted, Shared::default()), address)),
        Err(error) => {
            if error.kind() == io::ErrorKind::WouldBlock {
                socket.shared.enrolment.open().nonblocking = true;
            }
            Err(error)
        }
    }
}

/// Takes from an accepted socket what the system had it inherit, which may be another process's registration.
fn strip(listener: &Socket, accepted: &Socket) -> io::Result<()> {
    let nonblocking = {
        let memory = listener.shared.enrolment.open();
        if memory.enrolled.is_some() {
            return inherited(accepted, end(accepted, memory.enrolled.as_ref()));
        }
        memory.nonblocking
    };
    if !listener.shared.is_known() {
        // Nobody has shared it.
        return Ok(());
    }
    // Cancelling makes it non-blocking, so it is asked first whether there is something to cancel.
    match sys::set_nonblocking(AsSocket::as_socket(accepted), false) {
        Ok(()) if nonblocking => inherited(accepted, sys::set_nonblocking(AsSocket::as_socket(accepted), true)),
        Ok(()) => Ok(()),
        Err(error) if error.raw_os_error() == Some(INVALID) => {
            inherited(accepted, sys::cancel(AsSocket::as_socket(accepted)))
        }
        Err(error) => Err(error),
    }
}

/// The socket is non-blocking now, if that went well.
fn inherited(accepted: &Socket, done: io::Result<()>) -> io::Result<()> {
    accepted.shared.enrolment.open().nonblocking = done.is_ok();
    done
}

pub(crate) fn pass_registration(socket: &Socket, accepted: &Socket) -> Result<()> {
    enum Wish {
        Event(Arc<EventObject>, NetworkEvents),
        Messages(Arc<Queue>, u32, NetworkEvents),
    }
    let wish = match &socket.shared.enrolment.open().enrolled {
        None => return Ok(()),
        Some(Enrolled::Event { event, events }) => Wish::Event(Arc::clone(event), *events),
        Some(Enrolled::Messages { listing, id, events }) => Wish::Messages(Arc::clone(listing.queue()), *id, *events),
    };
    // With a number of its own: what comes under its listener's is dropped, and all that holds is told again.
    match wish {
        Wish::Event(event, events) => event_select(accepted, &event, events),
        Wish::Messages(queue, id, events) => async_select(accepted, &queue, id, events),
    }
}

fn registering(error: io::Error) -> Error {
    Error::io("registering a socket")(error)
}
