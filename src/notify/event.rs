//! Event objects.

use crate::domain::Domain;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::provider::EventObject;
use crate::socket::SocketId;
use std::sync::Arc;
use std::time::Duration;

/// An event object: set or not set, and set by the network events of the sockets registered on it (`WSAEVENT`).
///
/// Clones are the same object. A socket is registered by [`Socket::event_select`](crate::Socket::event_select); the
/// thread that waits is the one that learns from the kernel what has happened, so there is no thread behind it, and an
/// object that nobody waits on costs nothing.
///
/// On Linux, as a descriptor (`AsFd`), it can be waited on in any poll loop: when it is readable, ask
/// [`Event::is_set`]; it may be readable without being set. A forked child cannot use its parent's event objects. On
/// Windows it is the system's own event object, and a handle (`AsHandle`).
///
/// ```
/// use sharesock::{Domain, Event, NetworkEvents, Socket};
/// # let folder = std::env::temp_dir().join(format!("sharesock-doc-event-{}", std::process::id()));
/// # let domain = Domain::at(&folder)?;
/// let event = Event::manual(&domain)?;
/// let receiver = std::net::UdpSocket::bind("127.0.0.1:0")?;
/// let address = receiver.local_addr()?;
/// let socket = Socket::from(receiver);
/// socket.event_select(&event, NetworkEvents::READ)?;
/// std::net::UdpSocket::bind("127.0.0.1:0")?.send_to(b"hello", address)?;
///
/// event.wait(None)?;
/// let occurred = socket.enum_network_events(Some(&event))?;
/// assert!(occurred.contains(NetworkEvents::READ));
/// assert!(!event.is_set()?);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "WSAEVENT")]
#[doc(alias = "WSACreateEvent")]
#[derive(Debug, Clone)]
pub struct Event(pub(crate) Arc<EventObject>);

impl Event {
    /// An event object that stays set until it is reset (`WSACreateEvent`); not set yet.
    ///
    /// # Errors
    /// [`Error::System`] when no descriptor is free. It needs two, and one more from the first registration on.
    pub fn manual(domain: &Domain) -> Result<Self> {
        EventObject::manual(domain).map(Event)
    }

    /// An event object that the thread resets whose wait it ends; not set yet.
    ///
    /// # Errors
    /// As [`Event::manual`].
    pub fn automatic(domain: &Domain) -> Result<Self> {
        EventObject::automatic(domain).map(Event)
    }

    /// Sets it (`WSASetEvent`).
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn set(&self) -> Result<()> {
        self.0.set()
    }

    /// Resets it (`WSAResetEvent`).
    ///
    /// After a wake-up give it to [`Socket::enum_network_events`](crate::Socket::enum_network_events) instead: what
    /// happens between the wait and the reset would go unnoticed.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn reset(&self) -> Result<()> {
        self.0.reset()
    }

    /// Whether it is set now. An automatic one is not reset by asking.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn is_set(&self) -> Result<bool> {
        self.0.is_set()
    }

    /// Waits until it is set: for ever without a timeout, not at all with a timeout of zero. Whether it was.
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::System`] when the system refuses.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        self.0.wait(timeout)
    }

    /// Waits until one of `events` is set; the lowest index of those that are, or nothing when the time is over
    /// (`WSAWaitForMultipleEvents`, without its limit of 64).
    ///
    /// Others may be set as well: who serves the lowest always starves them.
    ///
    /// # Errors
    /// [`Error::BadWait`] without events; [`Error::Forked`]; [`Error::System`] when the system refuses.
    pub fn wait_any(events: &[&Event], timeout: Option<Duration>) -> Result<Option<usize>> {
        EventObject::wait_any(&objects(events), timeout)
    }

    /// Waits until all of `events` are set at once; whether they were (`WSAWaitForMultipleEvents`).
    ///
    /// None is reset before all are set.
    ///
    /// # Errors
    /// [`Error::BadWait`] without events or when one is given twice; [`Error::Forked`]; [`Error::System`] when the
    /// system refuses.
    pub fn wait_all(events: &[&Event], timeout: Option<Duration>) -> Result<bool> {
        EventObject::wait_all(&objects(events), timeout)
    }

    /// Whether to be told when a registration on this object is taken over by another process or event object, which
    /// Winsock keeps silent. Then the object is set, and [`Event::losses`] has the socket. Off at first.
    ///
    /// # Errors
    /// [`Error::NotOnThisSystem`] on Windows;
    /// [`Error::Forked`]; [`Error::BadTable`]; [`Error::System`] when the system refuses.
    pub fn hear_losses(&self, hear: bool) -> Result<()> {
        self.0.hear_losses(hear)
    }

    /// The sockets whose registration was taken over since this was last asked, if the object hears of it.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn losses(&self) -> Result<Vec<SocketId>> {
        self.0.losses()
    }
}

fn objects<'a>(events: &[&'a Event]) -> Vec<&'a EventObject> {
    events.iter().map(|event| &*event.0).collect()
}

/// Two are equal when they are the same object.
impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Event {}
