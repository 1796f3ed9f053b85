//! Registering a socket, asking what has occurred, and accepting, by which a registration is inherited.

use super::event::{Event, Signal};
use super::message_queue::{MessageQueue, Messages};
use super::watch_set::WatchSet;
use crate::error::{Error, Result, winsock_code};
use crate::network_events::{NetworkEvents, Occurred};
use crate::process::Process;
use crate::record::{Seen, Table, UNKNOWN, arrivals, is_datagram, look};
use crate::socket::Socket;
use std::io;
use std::os::fd::AsFd;

/// Who is registered for the network events of an underlying socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registration {
    /// The process that registered.
    pub process: Process,
    /// What it asked for.
    pub events: NetworkEvents,
    /// Whether it gets messages ([`Socket::async_select`]); otherwise its event object is set.
    pub messages: bool,
}

impl Socket {
    /// Registers `event` for the network events `events` of the underlying socket (`WSAEventSelect`, R10).
    ///
    /// The socket becomes non-blocking. An earlier registration, by whatever descriptor in whatever process, is
    /// cancelled: from now on the process that made it is told nothing. No events cancel it without replacement.
    ///
    /// What has occurred and was not reported sets the event object at once. What was reported is not reported again
    /// until it is re-enabled; only after another process had the registration, or none had, input that is still
    /// there is, since some may have come unseen.
    ///
    /// The registration ends when this `Socket` is dropped or converted, and when the process ends.
    ///
    /// # Errors
    /// [`Error::UnsupportedEvents`] for a change of addresses or routes; [`Error::OtherDomain`] when the socket shares
    /// its events in another domain than the event object's; [`Error::Forked`]; [`Error::TableFull`];
    /// [`Error::BadTable`]; [`Error::System`] when the system refuses.
    pub fn event_select(&self, event: &Event, events: NetworkEvents) -> Result<()> {
        self.select(&event.0, events, 0)
    }

    /// Has a message with `id` sent to `queue` for each of the network events `events` of the underlying socket
    /// (`WSAAsyncSelect`, R10).
    ///
    /// As [`event_select`](Socket::event_select), and cancels that as that cancels this; but all that holds when it is
    /// called is told again, save the end of an attempt to connect. After a message there is no other about the same
    /// event until that is re-enabled.
    ///
    /// # Errors
    /// As [`event_select`](Socket::event_select).
    pub fn async_select(&self, queue: &MessageQueue, id: u32, events: NetworkEvents) -> Result<()> {
        self.select(&queue.0, events, id)
    }

    fn select<S: super::watch_set::Sink>(&self, set: &WatchSet<S>, events: NetworkEvents, id: u32) -> Result<()> {
        let refused = events & NetworkEvents::REFUSED;
        if !refused.is_empty() {
            return Err(Error::UnsupportedEvents { events: refused });
        }
        set.check()?;
        self.join_domain(set.domain())?;
        self.as_socket().set_nonblocking(true).map_err(Error::io("making a socket non-blocking"))?;
        if events.is_empty() { self.cancel_select() } else { set.register(self, events, id) }
    }

    /// Cancels the registration of the underlying socket, whoever made it.
    ///
    /// # Errors
    /// [`Error::BadTable`]; [`Error::System`] when the system refuses.
    pub fn cancel_select(&self) -> Result<()> {
        let Some(domain) = self.domain() else { return Ok(()) };
        let table = Table::of(domain)?;
        let Some(slot) = table.find(self.id()?.as_u64()) else { return Ok(()) };
        let mark = arrivals(self.as_fd());
        let mut watch = self.join_domain(domain)?.watch();
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
            slot.ring(former);
        }
        Ok(())
    }

    /// The network events that have occurred and are registered for, each reported once, with their codes
    /// (`WSAEnumNetworkEvents`).
    ///
    /// `event` is reset in one with it. It works through any descriptor in any process, and what it reports is
    /// reported to nobody else. Nothing has occurred for a socket that nobody has registered.
    ///
    /// # Errors
    /// [`Error::BadTable`]; [`Error::System`] when the system refuses. Then nothing is reset.
    ///
    /// ```
    /// # use sharesock::{Domain, Event, NetworkEvents, Socket};
    /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-enum-{}", std::process::id()));
    /// # let domain = Domain::at(&folder)?;
    /// let event = Event::manual(&domain)?;
    /// let socket = Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?);
    /// socket.event_select(&event, NetworkEvents::READ | NetworkEvents::WRITE)?;
    /// let occurred = socket.enum_network_events(Some(&event))?;
    /// assert_eq!(occurred.events(), NetworkEvents::WRITE);
    /// assert_eq!(occurred.code(NetworkEvents::WRITE), 0);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn enum_network_events(&self, event: Option<&Event>) -> Result<Occurred> {
        if let Some(event) = event {
            event.0.check()?;
        }
        let table = match self.domain() {
            Some(domain) => Some(Table::of(domain)?),
            None => None,
        };
        let id = self.id()?;
        let slot = table.and_then(|table| table.find(id.as_u64()));
        let Some(slot) = slot else { return Ok(Event::reset_with(event, Occurred::default)) };
        let record = slot.load().unwrap_or_default();
        if record.is_registered() && record.due().is_empty() {
            // The owner may not have looked yet. If it is in this process, it looks now.
            let watcher = table.and_then(|table| table.watcher(record.owner));
            if !watcher.is_some_and(|watcher| watcher.gather(slot.index())) {
                let observed = look(self.as_fd(), &record, is_datagram(self.as_fd()));
                if let Some(errno) = observed.failure {
                    slot.keep_code(errno);
                }
                slot.update(|record| Some(record.see(&observed.seen, false)));
            }
        }
        Ok(Event::reset_with(event, || {
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

    /// Who is registered for the events of the underlying socket now; nobody if its process has ended, or if this
    /// `Socket` has not [joined](Socket::join) a domain.
    ///
    /// # Errors
    /// [`Error::BadTable`]; [`Error::System`] when the system refuses.
    pub fn registration(&self) -> Result<Option<Registration>> {
        let Some(domain) = self.domain() else { return Ok(None) };
        let table = Table::of(domain)?;
        let Some(slot) = table.find(self.id()?.as_u64()) else { return Ok(None) };
        let Some(record) = slot.load().filter(crate::record::Record::is_registered) else { return Ok(None) };
        match table.owner(record.owner).filter(|_| table.owner_lives(record.owner)) {
            Some(owner) => {
                Ok(Some(Registration { process: owner.process, events: record.mask, messages: record.messages }))
            }
            None => {
                slot.release_if(|owner| owner == record.owner);
                Ok(None)
            }
        }
    }

    /// Makes the socket blocking or not (`FIONBIO`), for all its descriptors.
    ///
    /// # Errors
    /// [`Error::Registered`] when it is to be blocking and has an event registration; [`Error::System`] when the
    /// system refuses.
    pub fn set_nonblocking(&self, nonblocking: bool) -> Result<()> {
        if !nonblocking && self.registration()?.is_some() {
            return Err(Error::Registered);
        }
        self.as_socket().set_nonblocking(nonblocking).map_err(Error::io("making a socket blocking or not"))
    }

    /// Accepts a connection: its socket, close-on-exec, and the address of the other side (`accept`).
    ///
    /// It is non-blocking if the listener is. If this process has the listener's registration, the new socket is
    /// registered in the same way, with the same event object or queue (R10); if another process has, it has no
    /// registration. Re-enables [`NetworkEvents::ACCEPT`].
    ///
    /// # Errors
    /// The system's own. Those of [`event_select`](Socket::event_select) when the new socket cannot be registered: then
    /// the connection is kept, and is the next that this `Socket` accepts.
    pub fn accept(&self) -> io::Result<(Socket, socket2::SockAddr)> {
        let (accepted, address) = self.accept_apart()?;
        match self.pass_registration(&accepted) {
            Ok(()) => Ok((accepted, address)),
            Err(error) => {
                self.keep_connection((accepted, address));
                if let Some(slot) = self.slot() {
                    slot.see(&Seen { holds: NetworkEvents::ACCEPT, ..Seen::default() });
                }
                Err(error.into())
            }
        }
    }

    /// As [`accept`](Socket::accept), but the new socket has no registration until
    /// [`pass_registration`](Socket::pass_registration) gives it one: for a program that has something to do before the
    /// first event of the new socket is told.
    ///
    /// # Errors
    /// The system's own.
    pub fn accept_apart(&self) -> io::Result<(Socket, socket2::SockAddr)> {
        if let Some(kept) = self.kept_connection() {
            return self.taking(NetworkEvents::ACCEPT, |_| Ok(kept));
        }
        let (accepted, address) = self.taking(NetworkEvents::ACCEPT, socket2::Socket::accept)?;
        if self.as_socket().nonblocking()? {
            accepted.set_nonblocking(true)?;
        }
        Ok((Socket::accepted(accepted, self.domain()), address))
    }

    /// Registers `accepted`, a socket that was accepted from this one, as this one is registered, if this process has
    /// the registration.
    ///
    /// # Errors
    /// As [`event_select`](Socket::event_select).
    pub fn pass_registration(&self, accepted: &Socket) -> Result<()> {
        let Some((slot, record)) = self.slot().and_then(|slot| Some((slot, slot.load()?))) else { return Ok(()) };
        let Some(watcher) = self.domain().and_then(Table::if_any).and_then(|table| table.watcher(record.owner)) else {
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
}
