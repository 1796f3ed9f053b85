//! Registering a socket, asking what has occurred, and accepting, by which a registration is inherited.

use super::event::Event;
use super::message_queue::MessageQueue;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::network_events::{NetworkEvents, Occurred};
use crate::process::Process;
use crate::provider;
use crate::socket::Socket;
use std::io;

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
    /// On Linux the registration ends when this `Socket` is dropped or converted, and when the process ends. On Windows
    /// it ends when its process closes the descriptor or ends, if the system sees to that; cancel it to be sure.
    ///
    /// # Errors
    /// [`Error::UnsupportedEvents`] for a change of addresses or routes; [`Error::OtherDomain`] when the socket shares
    /// its events in another domain than the event object's; [`Error::Forked`]; [`Error::TableFull`];
    /// [`Error::BadTable`]; [`Error::System`] when the system refuses.
    #[doc(alias = "WSAEventSelect")]
    pub fn event_select(&self, event: &Event, events: NetworkEvents) -> Result<()> {
        provider::event_select(self, &event.0, events)
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
    #[doc(alias = "WSAAsyncSelect")]
    pub fn async_select(&self, queue: &MessageQueue, id: u32, events: NetworkEvents) -> Result<()> {
        provider::async_select(self, &queue.0, id, events)
    }

    /// Cancels the registration of the underlying socket, whoever made it.
    ///
    /// # Errors
    /// [`Error::BadTable`]; [`Error::System`] when the system refuses.
    pub fn cancel_select(&self) -> Result<()> {
        provider::cancel_select(self)
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
    #[doc(alias = "WSAEnumNetworkEvents")]
    pub fn enum_network_events(&self, event: Option<&Event>) -> Result<Occurred> {
        provider::enum_network_events(self, event.map(|event| &*event.0))
    }

    /// Who is registered for the events of the underlying socket now; nobody if its process has ended, or if this
    /// `Socket` has not [joined](Socket::join) a domain.
    ///
    /// # Errors
    /// [`Error::NotOnThisSystem`] on Windows, which keeps it to itself;
    /// [`Error::BadTable`]; [`Error::System`] when the system refuses.
    pub fn registration(&self) -> Result<Option<Registration>> {
        provider::registration(self)
    }

    /// Makes the socket blocking or not (`FIONBIO`), for all its descriptors.
    ///
    /// # Errors
    /// [`Error::Registered`] when it is to be blocking and has an event registration; [`Error::System`] when the
    /// system refuses.
    pub fn set_nonblocking(&self, nonblocking: bool) -> Result<()> {
        provider::set_nonblocking(self, nonblocking)
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
        provider::accept(self)
    }

    /// As [`accept`](Socket::accept), but the new socket has no registration until
    /// [`pass_registration`](Socket::pass_registration) gives it one: for a program that has something to do before the
    /// first event of the new socket is told.
    ///
    /// # Errors
    /// The system's own.
    pub fn accept_apart(&self) -> io::Result<(Socket, socket2::SockAddr)> {
        provider::accept_apart(self)
    }

    /// Registers `accepted`, a socket that was accepted from this one, as this one is registered, if this process has
    /// the registration; on Windows, if it was made through this `Socket` or a clone: whether somebody took it over
    /// since, the system does not tell.
    ///
    /// # Errors
    /// As [`event_select`](Socket::event_select).
    pub fn pass_registration(&self, accepted: &Socket) -> Result<()> {
        provider::pass_registration(self, accepted)
    }
}
