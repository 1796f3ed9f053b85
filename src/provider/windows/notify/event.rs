//! Event objects.

use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::notify::Event;
use crate::provider::windows::sys::event as sys;
use crate::socket::SocketId;
use std::collections::HashSet;
use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle, RawHandle};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one look at a group may take when there are more than one call can wait for.
const GROUP_WAIT: Duration = Duration::from_millis(5);

/// An event object of the system.
#[derive(Debug)]
pub(crate) struct EventObject {
    handle: OwnedHandle,
    /// Reset by the thread whose wait it ends.
    automatic: bool,
}

impl EventObject {
    pub(crate) fn manual(_: &Domain) -> Result<Arc<Self>> {
        Self::create(false)
    }

    pub(crate) fn automatic(_: &Domain) -> Result<Arc<Self>> {
        Self::create(true)
    }

    fn create(automatic: bool) -> Result<Arc<Self>> {
        let handle = sys::create(!automatic).map_err(Error::io("creating an event object"))?;
        Ok(Arc::new(EventObject { handle, automatic }))
    }

    pub(crate) fn handle(&self) -> BorrowedHandle<'_> {
        self.handle.as_handle()
    }

    pub(crate) fn set(&self) -> Result<()> {
        sys::set(self.handle()).map_err(Error::io("setting an event object"))
    }

    pub(crate) fn reset(&self) -> Result<()> {
        sys::reset(self.handle()).map_err(Error::io("resetting an event object"))
    }

    pub(crate) fn is_set(&self) -> Result<bool> {
        sys::is_set(self.handle()).map_err(Error::io("asking an event object"))
    }

    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        let waited = sys::wait(&[self.handle()], false, sys::end_of(timeout)).map_err(waiting)?;
        Ok(waited.is_some())
    }

    pub(crate) fn wait_any(events: &[&Self], timeout: Option<Duration>) -> Result<Option<usize>> {
        if events.is_empty() {
            return Err(Error::BadWait);
        }
        // The system takes none twice; the lowest index of one that is given twice is its first.
        let mut known = HashSet::new();
        let (indices, handles): (Vec<usize>, Vec<BorrowedHandle<'_>>) = events
            .iter()
            .enumerate()
            .filter(|(_, event)| known.insert(std::ptr::from_ref(**event)))
            .map(|(index, event)| (index, event.handle()))
            .unzip();
        let found = any_of(&handles, sys::end_of(timeout)).map_err(waiting)?;
        Ok(found.and_then(|found| indices.get(found).copied()))
    }

    pub(crate) fn wait_all(events: &[&Self], timeout: Option<Duration>) -> Result<bool> {
        let mut known = HashSet::new();
        if events.is_empty() || !events.iter().all(|event| known.insert(std::ptr::from_ref(*event))) {
            return Err(Error::BadWait);
        }
        let until = sys::end_of(timeout);
        if events.len() <= sys::MOST {
            let handles: Vec<_> = events.iter().map(|event| event.handle()).collect();
            return Ok(sys::wait(&handles, true, until).map_err(waiting)?.is_some());
        }
        loop {
            if all_set(events)? && take_all(events)? {
                return Ok(true);
            }
            let left = until.map_or(GROUP_WAIT, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(false);
            }
            std::thread::sleep(left.min(GROUP_WAIT));
        }
    }

    /// Waits until it is set, or `stop` is, and leaves it set.
    #[cfg(feature = "tokio")]
    pub(crate) fn wait_ready(&self, stop: BorrowedHandle<'_>) -> Result<()> {
        let found = sys::wait(&[stop, self.handle()], false, None).map_err(waiting)?;
        // A manual one is as it was; setting it might undo a reset.
        if found == Some(1) && self.automatic { self.set() } else { Ok(()) }
    }

    pub(crate) fn hear_losses(&self, hear: bool) -> Result<()> {
        super::hear_losses(hear)
    }

    pub(crate) fn losses(&self) -> Result<Vec<SocketId>> {
        Ok(Vec::new())
    }
}

/// The lowest index of those that are set, of however many.
fn any_of(handles: &[BorrowedHandle<'_>], until: Option<Instant>) -> io::Result<Option<usize>> {
    if handles.len() <= sys::MOST {
        return sys::wait(handles, false, until);
    }
    let groups = || handles.chunks(sys::MOST).enumerate();
    for (resting, _) in groups().cycle() {
        let over = until.is_some_and(|until| Instant::now() >= until);
        // All of them are looked at from the lowest on, and each time it is another whose look takes some time.
        for (group, handles) in groups() {
            let look = if group == resting && !over { GROUP_WAIT } else { Duration::ZERO };
            if let Some(found) = sys::wait(handles, false, sys::end_of(Some(look)))? {
                return Ok(Some(group * sys::MOST + found));
            }
        }
        if over {
            break;
        }
    }
    Ok(None)
}

fn all_set(events: &[&EventObject]) -> Result<bool> {
    for event in events {
        if !event.is_set()? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Ends a wait for each; when another thread was quicker at one, the others are set again.
fn take_all(events: &[&EventObject]) -> Result<bool> {
    for (taken, event) in events.iter().enumerate() {
        if !event.wait(Some(Duration::ZERO))? {
            events.iter().take(taken).filter(|event| event.automatic).try_for_each(|event| event.set())?;
            return Ok(false);
        }
    }
    Ok(true)
}

fn waiting(error: io::Error) -> Error {
    Error::io("waiting for event objects")(error)
}

/// The system's own event object.
impl AsHandle for Event {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.0.handle()
    }
}

impl AsRawHandle for Event {
    fn as_raw_handle(&self) -> RawHandle {
        self.as_handle().as_raw_handle()
    }
}
