//! Event objects: being told of network events, by one registration for each underlying socket.
#![allow(unsafe_code)]

use super::failure::{Failure, Result, plain};
use super::look::copy;
use super::object::{Object, give};
use crate::memory::Out;
use crate::state;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sharesock::{Event, NetworkEvents, Socket};
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An event object, and a descriptor of each socket that is registered on it: a registration ends with its descriptor.
#[derive(Debug)]
pub struct Watch {
    event: Event,
    sockets: Mutex<HashMap<u64, Socket>>,
}

/// `struct sharesock_occurred`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Occurred {
    events: i32,
    connect_error: i32,
    close_error: i32,
}

impl Watch {
    fn sockets(&self) -> MutexGuard<'_, HashMap<u64, Socket>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `act` with the descriptor that is registered, or with one made for it.
    fn with<T>(&self, fd: i32, act: impl FnOnce(&Socket) -> Result<T>) -> Result<T> {
        let socket = copy(fd)?;
        match self.sockets().get(&socket.id()?.as_u64()) {
            Some(registered) => act(registered),
            None => {
                socket.join(&state::shared()?.0)?;
                act(&socket)
            }
        }
    }
}

fn events(events: i32) -> Result<NetworkEvents> {
    let known = u16::try_from(events).ok().and_then(NetworkEvents::from_bits);
    known.ok_or_else(|| Failure::of(libc::EINVAL, "there are no such events: give SHARESOCK_EVENT_... or 0"))
}

/// Waits as the interface says: a signal ends it.
fn wait(event: &Event, timeout_ms: i64) -> Result<bool> {
    let limit = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
    let until = limit.and_then(|limit| Instant::now().checked_add(limit));
    loop {
        if event.wait(Some(Duration::ZERO))? {
            return Ok(true);
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Ok(false);
        }
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        poll(&mut [PollFd::new(event, PollFlags::IN)], timeout.as_ref())?;
    }
}

plain! {
    /// `sharesock_event_open`: an event object.
    fn sharesock_event_open(automatic: i32, place: Out<*mut Watch>) {
        let domain = state::shared()?.0;
        let event = if automatic == 0 { Event::manual(&domain)? } else { Event::automatic(&domain)? };
        give(place, Watch { event, sockets: Mutex::default() })?;
        Ok(0)
    }

    /// `sharesock_event_fd`: readable when the object may be set.
    fn sharesock_event_fd(watch: Object<Watch>) {
        Ok(watch.get()?.event.as_fd().as_raw_fd())
    }

    /// `sharesock_event_select`: registers the object for network events of a socket.
    fn sharesock_event_select(watch: Object<Watch>, fd: i32, asked: i32) {
        let (watch, asked) = (watch.get()?, events(asked)?);
        let socket = copy(fd)?;
        let id = socket.id()?.as_u64();
        let mut sockets = watch.sockets();
        if asked.is_empty() {
            socket.join(&state::shared()?.0)?;
            socket.cancel_select()?;
            drop(sockets.remove(&id));
            return Ok(0);
        }
        match sockets.get(&id) {
            Some(registered) => registered.event_select(&watch.event, asked)?,
            None => {
                socket.event_select(&watch.event, asked)?;
                sockets.insert(id, socket);
            }
        }
        Ok(0)
    }

    /// `sharesock_event_wait`: waits until the object is set.
    fn sharesock_event_wait(watch: Object<Watch>, timeout_ms: i64) {
        match wait(&watch.get()?.event, timeout_ms)? {
            true => Ok(0),
            false => Err(Failure::of(libc::EAGAIN, "the event object was not set in time")),
        }
    }

    /// `sharesock_event_enumerate`: what has occurred, each once.
    fn sharesock_event_enumerate(watch: Object<Watch>, fd: i32, found: Out<Occurred>) {
        if found.is_null() {
            return Err(Failure::of(libc::EFAULT, "there is no place for what has occurred"));
        }
        let watch = watch.get()?;
        let occurred = watch.with(fd, |socket| Ok(socket.enum_network_events(Some(&watch.event))?))?;
        found.put(Occurred {
            events: i32::from(occurred.events().bits()),
            connect_error: occurred.code(NetworkEvents::CONNECT),
            close_error: occurred.code(NetworkEvents::CLOSE),
        })?;
        Ok(i32::from(occurred.events().bits()))
    }

    /// `sharesock_event_enable`: has events told again after the program has received or accepted by itself.
    fn sharesock_event_enable(watch: Object<Watch>, fd: i32, done: i32) {
        let done = events(done)?;
        let enable = |socket: &Socket| {
            let refused = |error: std::io::Error| Failure::of(error.raw_os_error().unwrap_or(libc::EIO), error.to_string());
            socket.taking(done, |_| Ok(())).map_err(refused)
        };
        watch.get()?.with(fd, enable)?;
        Ok(0)
    }

    /// `sharesock_event_set`: sets the object.
    fn sharesock_event_set(watch: Object<Watch>) {
        watch.get()?.event.set()?;
        Ok(0)
    }

    /// `sharesock_event_reset`: resets it.
    fn sharesock_event_reset(watch: Object<Watch>) {
        watch.get()?.event.reset()?;
        Ok(0)
    }

    /// `sharesock_event_close`: ends its registrations.
    fn sharesock_event_close(watch: Object<Watch>) {
        drop(watch.take());
        Ok(0)
    }
}
