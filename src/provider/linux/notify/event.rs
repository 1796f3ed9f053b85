//! Event objects.

use super::notifier::{Content, Open};
use super::watch_set::{Due, Lost, Sink, WatchSet};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::notify::Event;
use crate::socket::SocketId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An event object.
pub(crate) type EventObject = WatchSet<Signal>;

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

impl EventObject {
    pub(crate) fn manual(domain: &Domain) -> Result<Arc<Self>> {
        WatchSet::with(domain, Signal::default())
    }

    pub(crate) fn automatic(domain: &Domain) -> Result<Arc<Self>> {
        WatchSet::with(domain, Signal { automatic: true, ..Signal::default() })
    }

    pub(crate) fn set(&self) -> Result<()> {
        self.check()?;
        self.open().set = true;
        Ok(())
    }

    pub(crate) fn reset(&self) -> Result<()> {
        self.check()?;
        self.gather_all();
        self.open().set = false;
        Ok(())
    }

    pub(crate) fn is_set(&self) -> Result<bool> {
        self.check()?;
        self.gather_all();
        Ok(self.open().set)
    }

    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        let waited = self.wait_for(timeout, |signal| signal.take().then_some(()))?;
        Ok(waited.is_some())
    }

    pub(crate) fn wait_any(events: &[&Self], timeout: Option<Duration>) -> Result<Option<usize>> {
        wait_for(events, timeout, false, || events.iter().position(|event| event.open().take()))
    }

    pub(crate) fn wait_all(events: &[&Self], timeout: Option<Duration>) -> Result<bool> {
        // One order for all who lock several.
        let mut ordered: Vec<&Self> = events.to_vec();
        ordered.sort_by_key(|event| std::ptr::from_ref(*event).addr());
        if ordered.windows(2).any(|pair| matches!(pair, [one, two] if std::ptr::eq(*one, *two))) {
            return Err(Error::BadWait);
        }
        let all = wait_for(events, timeout, true, || {
            let mut open: Vec<Open<'_, Signal>> = ordered.iter().map(|event| event.open()).collect();
            let all = open.iter().all(|signal| signal.set);
            (all && open.iter_mut().all(|signal| signal.take())).then_some(())
        })?;
        Ok(all.is_some())
    }

    pub(crate) fn losses(&self) -> Result<Vec<SocketId>> {
        self.check()?;
        self.gather_all();
        Ok(std::mem::take(&mut self.open().lost))
    }

    /// Resets it in one with what `act` does.
    pub(super) fn reset_with<T>(event: Option<&Self>, act: impl FnOnce() -> T) -> T {
        let open = event.map(|event| event.open());
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
    events: &[&EventObject],
    timeout: Option<Duration>,
    all: bool,
    ready: impl Fn() -> Option<T>,
) -> Result<Option<T>> {
    if events.is_empty() {
        return Err(Error::BadWait);
    }
    for event in events {
        event.check()?;
        event.gather_all();
    }
    let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        // Counted as waiting first: what is set from now on shows in the kernel, too.
        events.iter().for_each(|event| event.open().begin_wait());
        // Chosen before `ready` looks: one that is set after that shows, and one that another thread resets meanwhile
        // is asked about again when those that were not set are.
        let awaited: Vec<_> = events.iter().filter(|event| !all || !event.open().set).collect();
        let found = ready();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let over = found.is_some() || left.is_some_and(|left| left.is_zero());
        let waited = if over || awaited.is_empty() { Ok(()) } else { wait_in_kernel(&awaited, left) };
        events.iter().for_each(|event| event.open().end_wait());
        if over {
            return Ok(found);
        }
        waited?;
        events.iter().for_each(|event| event.gather_all());
    }
}

/// Waits until the kernel has something for one of the events.
fn wait_in_kernel(events: &[&&EventObject], time: Option<Duration>) -> Result<()> {
    let mut polled: Vec<_> = events.iter().map(|event| PollFd::new(event.epoll(), PollFlags::IN)).collect();
    let time = time.map(|time| Timespec::try_from(time).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }));
    match poll(&mut polled, time.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(Error::system("waiting for events")(errno)),
    }
}

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
