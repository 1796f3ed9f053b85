//! Registering a socket, asking what has occurred, and accepting, by which a registration is inherited.

use super::event::{EventObject, Signal};
use super::queue::{Messages, Queue};
use super::watch_set::{Sink, WatchSet};
use crate::error::{Error, Result, winsock_code};
use crate::network_events::{NetworkEvents, Occurred};
use crate::notify::Registration;
use crate::provider::linux::record::{Record, Seen, Table, UNKNOWN, arrivals, is_datagram, look};
use crate::provider::taking;
use crate::socket::Socket;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

pub(crate) fn event_select(socket: &Socket, event: &EventObject, events: NetworkEvents) -> Result<()> {
    select(socket, event, events, 0)
}

pub(crate) fn async_select(socket: &Socket, queue: &Arc<Queue>, id: u32, events: NetworkEvents) -> Result<()> {
    select(socket, queue, events, id)
}

fn select<S: Sink>(socket: &Socket, set: &WatchSet<S>, events: NetworkEvents, id: u32) -> Result<()> {
    let refused = events & NetworkEvents::REFUSED;
    if !refused.is_empty() {
        return Err(Error::UnsupportedEvents { events: refused });
    }
    set.check()?;
    socket.join_domain(set.domain())?;
    socket.socket.set_nonblocking(true).map_err(Error::io("making a socket non-blocking"))?;
    if events.is_empty() { cancel_select(socket) } else { set.register(socket, events, id) }
}

pub(crate) fn cancel_select(socket: &Socket) -> Result<()> {
    let Some(domain) = socket.domain() else { return Ok(()) };
    let Some(table) = Table::if_made(domain)? else { return Ok(()) };
    let Some(slot) = table.find(socket.id()?.as_u64()) else { return Ok(()) };
    let mark = arrivals(socket.as_fd());
    let mut watch = socket.join_domain(domain)?.watch();
    let exact = watch.as_ref().is_some_and(|watch| watch.watcher.gather(slot.index()));
    slot.set_mark(if exact { mark } else { UNKNOWN });
    let former = slot.update(|record| {
        let former = record.owner;
        record.cancel();
        Some(former)
    });
    let left = watch.take();
    drop(watch);
    drop(left);
    if let Some(former) = former.filter(|former| table.hears(*former) && !exact) {
        slot.wake(former);
    }
    Ok(())
}

pub(crate) fn enum_network_events(socket: &Socket, event: Option<&EventObject>) -> Result<Occurred> {
    if let Some(event) = event {
        event.check()?;
    }
    let table = match socket.domain() {
        Some(domain) => Table::if_made(domain)?,
        None => None,
    };
    let id = socket.id()?;
    let slot = table.and_then(|table| table.find(id.as_u64()));
    let Some(slot) = slot else { return Ok(EventObject::reset_with(event, Occurred::default)) };
    let record = slot.load().unwrap_or_default();
    if record.is_registered() && record.due().is_empty() {
        // The owner may not have looked yet. If it is in this process, it looks now.
        let watcher = table.and_then(|table| table.watcher(record.owner));
        if !watcher.is_some_and(|watcher| watcher.gather(slot.index())) {
            let mut observed = look(socket.as_fd(), &record, is_datagram(socket.as_fd()));
            slot.keep(&mut observed, socket.as_fd());
            slot.update(|record| Some(record.see(&observed.seen, false)));
        }
    }
    Ok(EventObject::reset_with(event, || {
        let reported = slot.update(|record| Some((record.report(), *record)));
        let Some((events, record)) = reported else { return Occurred::default() };
        let connect_code = match events.contains(NetworkEvents::CONNECT) && record.failed {
            true => winsock_code(slot.code()),
            false => 0,
        };
        let close_code = if record.reset { super::ABORTED } else { 0 };
        Occurred { events, connect_code, close_code }
    }))
}

pub(crate) fn registration(socket: &Socket) -> Result<Option<Registration>> {
    // Who only asks does not make the table.
    let Some(domain) = socket.domain() else { return Ok(None) };
    let Some(table) = Table::if_made(domain)? else { return Ok(None) };
    let Some(slot) = table.find(socket.id()?.as_u64()) else { return Ok(None) };
    let Some(record) = slot.load().filter(Record::is_registered) else { return Ok(None) };
    // Who only asks changes nothing: what the dead had is freed by those who need it.
    let owner = table.owner(record.owner).filter(|_| !table.is_gone(record.owner));
    Ok(owner.map(|owner| Registration { process: owner.process, events: record.mask, messages: record.messages }))
}

pub(crate) fn set_nonblocking(socket: &Socket, nonblocking: bool) -> Result<()> {
    if !nonblocking && registration(socket)?.is_some() {
        return Err(Error::Registered);
    }
    socket.socket.set_nonblocking(nonblocking).map_err(Error::io("making a socket blocking or not"))
}

pub(crate) fn accept(socket: &Socket) -> io::Result<(Socket, socket2::SockAddr)> {
    let (accepted, address) = accept_apart(socket)?;
    match pass_registration(socket, &accepted) {
        Ok(()) => Ok((accepted, address)),
        Err(error) => {
            socket.keep_connection((accepted, address));
            if let Some(slot) = socket.slot() {
                slot.see(&Seen { holds: NetworkEvents::ACCEPT, ..Seen::default() });
            }
            Err(error.into())
        }
    }
}

pub(crate) fn accept_apart(socket: &Socket) -> io::Result<(Socket, socket2::SockAddr)> {
    if let Some(kept) = socket.kept_connection() {
        return taking(socket, NetworkEvents::ACCEPT, |_| Ok(kept));
    }
    let (accepted, address) = taking(socket, NetworkEvents::ACCEPT, socket2::Socket::accept)?;
    if socket.socket.nonblocking()? {
        accepted.set_nonblocking(true)?;
    }
    Ok((Socket::accepted(accepted, socket.domain()), address))
}

pub(crate) fn pass_registration(socket: &Socket, accepted: &Socket) -> Result<()> {
    let Some((slot, record)) = socket.slot().and_then(|slot| Some((slot, slot.load()?))) else { return Ok(()) };
    let Some(watcher) = socket.domain().and_then(Table::if_any).and_then(|table| table.watcher(record.owner)) else {
        return Ok(());
    };
    if !watcher.gather(slot.index()) {
        return Ok(());
    }
    match watcher.as_any().downcast::<WatchSet<Signal>>() {
        Ok(set) => set.register(accepted, record.mask, 0),
        Err(any) => match any.downcast::<WatchSet<Messages>>() {
            Ok(set) => set.register(accepted, record.mask, set.id_of(slot.index()).unwrap_or(0)),
            Err(_) => Ok(()),
        },
    }
}
