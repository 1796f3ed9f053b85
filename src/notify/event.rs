//! Event objects.

use super::watch_set::{Due, Lost, Sink, WatchSet};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::notify::desk::{Content, Open};
use crate::socket::SocketId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An event object: set or not set, and set by the network events of the sockets registered on it (`WSAEVENT`).
///
/// Clones are the same object. A socket is registered by [`Socket::event_select`](crate::Socket::event_select); the
/// thread that waits is the one that learns from the kernel what has happened, so there is no thread behind it, and an
/// object that nobody waits on costs nothing.
///
/// As a descriptor ([`AsFd`]) it can be waited on in any poll loop: when it is readable, ask [`Event::is_set`]. It may
/// be readable without being set.
///
/// A forked child cannot use its parent's event objects.
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
#[derive(Debug, Clone)]
pub struct Event(pub(super) Arc<WatchSet<Signal>>);

/// The state of an event object.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    set: bool,
    /// Reset by the thread whose wait it ends.
    automatic: bool,
    lost: Vec<SocketId>,
}

impl Content for Signal {
    fn is_on(&self) -> bool {
        self.set
    }
}

impl Sink for Signal {
    const MESSAGES: bool = false;

    fn due(&mut self, _: Due) {
        self.set = true;
    }

    fn lost(&mut self, lost: Lost) {
        self.set = true;
        self.lost.push(lost.socket);
    }
}

impl Signal {
    /// Whether a wait is over.
    fn take(&mut self) -> bool {
        let set = self.set;
        self.set &= !self.automatic;
        set
    }
}

impl Event {
    /// An event object that stays set until it is reset (`WSACreateEvent`); not set yet.
    ///
    /// # Errors
    /// [`Error::System`] when no descriptor is free. It needs two, and one more from the first registration on.
    pub fn manual(domain: &Domain) -> Result<Self> {
        WatchSet::new(domain, Signal::default()).map(Event)
    }

    /// An event object that the thread resets whose wait it ends; not set yet.
    ///
    /// # Errors
    /// As [`Event::manual`].
    pub fn automatic(domain: &Domain) -> Result<Self> {
        WatchSet::new(domain, Signal { automatic: true, ..Signal::default() }).map(Event)
    }

    /// Sets it (`WSASetEvent`).
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn set(&self) -> Result<()> {
        self.0.check()?;
        self.0.open().set = true;
        Ok(())
    }

    /// Resets it (`WSAResetEvent`).
    ///
    /// After a wake-up give it to [`Socket::enum_network_events`](crate::Socket::enum_network_events) instead: what
    /// happens between the wait and the reset would go unnoticed.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn reset(&self) -> Result<()> {
        self.0.check()?;
        self.0.gather_all();
        self.0.open().set = false;
        Ok(())
    }

    /// Whether it is set now. An automatic one is not reset by asking.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn is_set(&self) -> Result<bool> {
        self.0.check()?;
        self.0.gather_all();
        Ok(self.0.open().set)
    }

    /// Waits until it is set: for ever without a timeout, not at all with a timeout of zero. Whether it was.
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::System`] when the system refuses.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        let waited = self.0.wait(timeout, |signal| signal.take().then_some(()))?;
        Ok(waited.is_some())
    }

    /// Waits until one of `events` is set; the lowest index of those that are, or nothing when the time is over
    /// (`WSAWaitForMultipleEvents`, without its limit of 64).
    ///
    /// Others may be set as well: who serves the lowest always starves them.
    ///
    /// # Errors
    /// [`Error::BadWait`] without events; [`Error::Forked`]; [`Error::System`] when the system refuses.
    pub fn wait_any(events: &[&Event], timeout: Option<Duration>) -> Result<Option<usize>> {
        wait_for(events, timeout, false, || events.iter().position(|event| event.0.open().take()))
    }

    /// Waits until all of `events` are set at once; whether they were (`WSAWaitForMultipleEvents`).
    ///
    /// None is reset before all are set.
    ///
    /// # Errors
    /// [`Error::BadWait`] without events or when one is given twice; [`Error::Forked`]; [`Error::System`] when the
    /// system refuses.
    pub fn wait_all(events: &[&Event], timeout: Option<Duration>) -> Result<bool> {
        // One order for all who lock several.
        let mut ordered: Vec<&Event> = events.to_vec();
        ordered.sort_by_key(|event| Arc::as_ptr(&event.0).addr());
        if ordered.windows(2).any(|pair| matches!(pair, [one, two] if one == two)) {
            return Err(Error::BadWait);
        }
        let all = wait_for(events, timeout, true, || {
            let mut open: Vec<Open<'_, Signal>> = ordered.iter().map(|event| event.0.open()).collect();
            let all = open.iter().all(|signal| signal.set);
            (all && open.iter_mut().all(|signal| signal.take())).then_some(())
        })?;
        Ok(all.is_some())
    }

    /// Whether to be told when a registration on this object is taken over by another process or event object, which
    /// Winsock keeps silent. Then the object is set, and [`Event::losses`] has the socket. Off at first.
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::BadTable`]; [`Error::System`] when the system refuses.
    pub fn hear_losses(&self, hear: bool) -> Result<()> {
        self.0.hear_losses(hear)
    }

    /// The sockets whose registration was taken over since this was last asked, if the object hears of it.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn losses(&self) -> Result<Vec<SocketId>> {
        self.0.check()?;
        self.0.gather_all();
        Ok(std::mem::take(&mut self.0.open().lost))
    }

    /// Resets it in one with what `act` does.
    pub(super) fn reset_with<T>(event: Option<&Event>, act: impl FnOnce() -> T) -> T {
        let open = event.map(|event| event.0.open());
        let result = act();
        if let Some(mut signal) = open {
            signal.set = false;
        }
        result
    }
}

/// Waits for `ready` to find something, asked again whenever something happens to one of the events; with `all`, to one
/// of those that are not set.
fn wait_for<T>(
    events: &[&Event],
    timeout: Option<Duration>,
    all: bool,
    ready: impl Fn() -> Option<T>,
) -> Result<Option<T>> {
    if events.is_empty() {
        return Err(Error::BadWait);
    }
    for event in events {
        event.0.check()?;
        event.0.gather_all();
    }
    let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        // Counted as waiting first: what is set from now on shows in the kernel, too.
        events.iter().for_each(|event| event.0.open().begin_wait());
        // Chosen before `ready` looks: one that is set after that shows, and one that another thread resets meanwhile
        // is asked about again when those that were not set are.
        let awaited: Vec<_> = events.iter().filter(|event| !all || !event.0.open().set).collect();
        let found = ready();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let over = found.is_some() || left.is_some_and(|left| left.is_zero());
        let waited = if over || awaited.is_empty() { Ok(()) } else { wait_in_kernel(&awaited, left) };
        events.iter().for_each(|event| event.0.open().end_wait());
        if over {
            return Ok(found);
        }
        waited?;
        events.iter().for_each(|event| event.0.gather_all());
    }
}

/// Waits until the kernel has something for one of the events.
fn wait_in_kernel(events: &[&&Event], time: Option<Duration>) -> Result<()> {
    let mut polled: Vec<_> = events.iter().map(|event| PollFd::new(event.0.epoll(), PollFlags::IN)).collect();
    let time = time.map(|time| Timespec::try_from(time).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }));
    match poll(&mut polled, time.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(Error::system("waiting for events")(errno)),
    }
}

/// Two are equal when they are the same object.
impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Event {}

/// Readable when something has happened: then ask [`Event::is_set`].
impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.descriptor().as_fd()
    }
}

impl AsRawFd for Event {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
