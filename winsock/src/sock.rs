//! A socket as a C program has it: one descriptor of an underlying socket, and the calls that block on it.

use crate::code::{Code, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use sharesock::Socket;
use socket2::SockAddr;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A socket that a handle names.
#[derive(Debug)]
pub(crate) struct Sock {
    pub(crate) socket: Socket,
    waiting: Mutex<Waiting>,
    /// What this process has ended by `shutdown`.
    pub(crate) receiving_ended: AtomicBool,
    pub(crate) sending_ended: AtomicBool,
    /// The other side, which the system forgets when both have ended.
    pub(crate) peer: OnceLock<SockAddr>,
    /// The window and message of a registration that was made by this handle.
    told_by: Mutex<Option<(usize, u32)>>,
    /// `SO_CONDITIONAL_ACCEPT`, and what a condition has deferred.
    pub(crate) conditional: AtomicBool,
    deferred: Mutex<VecDeque<(Socket, SockAddr)>>,
}

/// Who waits, to be woken when the socket is closed.
#[derive(Debug, Default)]
struct Waiting {
    closed: bool,
    threads: Vec<Arc<OwnedFd>>,
}

thread_local! {
    /// By which a thread that waits is woken, and of which process it is: a forked child must not hear its parent's.
    static BELL: RefCell<Option<(u32, Arc<OwnedFd>)>> = const { RefCell::new(None) };
}

fn bell() -> Result<Arc<OwnedFd>> {
    BELL.with_borrow_mut(|bell| {
        let me = std::process::id();
        match bell {
            Some((process, bell)) if *process == me => Ok(bell.clone()),
            _ => {
                let made = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
                *bell = Some((me, made.clone()));
                Ok(made)
            }
        }
    })
}

impl Sock {
    pub(crate) fn new(socket: Socket) -> Self {
        Sock {
            socket,
            waiting: Mutex::default(),
            receiving_ended: AtomicBool::new(false),
            sending_ended: AtomicBool::new(false),
            peer: OnceLock::new(),
            told_by: Mutex::default(),
            conditional: AtomicBool::new(false),
            deferred: Mutex::default(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a window is told of events by this message, or none is.
    pub(crate) fn told_by(&self, told_by: Option<(usize, u32)>) {
        *self.told_by.lock().unwrap_or_else(PoisonError::into_inner) = told_by;
    }

    /// The window and message by which a registration of this handle is told.
    pub(crate) fn who_is_told(&self) -> Option<(usize, u32)> {
        *self.told_by.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a condition has put off.
    pub(crate) fn deferred(&self) -> MutexGuard<'_, VecDeque<(Socket, SockAddr)>> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handle is closed: calls that block in other threads end with `WSAEINTR`. The descriptor is closed when the
    /// last of them has ended.
    pub(crate) fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        for thread in waiting.threads.drain(..) {
            let _ = rustix::io::write(&*thread, &1_u64.to_ne_bytes());
        }
    }

    pub(crate) fn is_blocking(&self) -> bool {
        self.socket.as_socket().nonblocking().is_ok_and(|nonblocking| !nonblocking)
    }

    /// Tries until it does not say that it would block, and waits in between, if the socket is blocking.
    ///
    /// Waiting is left to `poll`, so that closing the handle ends it; `timeout` is asked when it comes to that.
    pub(crate) fn block<T>(
        &self,
        flags: PollFlags,
        timeout: impl FnOnce(&socket2::Socket) -> io::Result<Option<Duration>>,
        mut attempt: impl FnMut() -> io::Result<T>,
    ) -> Result<T> {
        let would_block = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        let interrupted = |error: &io::Error| error.kind() == io::ErrorKind::Interrupted;
        match attempt() {
            Err(error) if would_block(&error) && self.is_blocking() => {}
            done => return Ok(done?),
        }
        let until = timeout(self.socket.as_socket())?.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            self.wait(flags, until)?;
            match attempt() {
                Err(error) if would_block(&error) || interrupted(&error) => {}
                done => return Ok(done?),
            }
        }
    }

    /// Waits until the socket is ready for something.
    pub(crate) fn wait(&self, flags: PollFlags, until: Option<Instant>) -> Result<()> {
        self.wait_on(self.socket.as_fd(), flags, until)
    }

    /// Waits until something else is ready, as a call on this socket does.
    pub(crate) fn wait_for(&self, other: &impl AsFd, flags: PollFlags) -> Result<()> {
        self.wait_on(other.as_fd(), flags, None)
    }

    fn wait_on(&self, awaited: BorrowedFd<'_>, flags: PollFlags, until: Option<Instant>) -> Result<()> {
        let bell = bell()?;
        {
            let mut waiting = self.waiting();
            if waiting.closed {
                return Err(Code::INTR);
            }
            waiting.threads.push(bell.clone());
        }
        let waited = poll_until(
            &mut [PollFd::from_borrowed_fd(awaited, flags), PollFd::from_borrowed_fd(bell.as_fd(), PollFlags::IN)],
            until,
        );
        let closed = {
            let mut waiting = self.waiting();
            // The same thread cannot wait twice at a time.
            waiting.threads.retain(|thread| !Arc::ptr_eq(thread, &bell));
            waiting.closed
        };
        let _ = rustix::io::read(&*bell, &mut [0_u8; 8]);
        match waited? {
            _ if closed => Err(Code::INTR),
            true => Ok(()),
            false => Err(Code::TIMEDOUT),
        }
    }
}

impl AsFd for Sock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Sock {
    /// Notes what `shutdown` ends.
    pub(crate) fn note_ended(&self, receiving: bool, sending: bool) {
        self.receiving_ended.fetch_or(receiving, Ordering::Relaxed);
        self.sending_ended.fetch_or(sending, Ordering::Relaxed);
    }
}

/// Whether something is ready before the time is over; no time is for ever. Signals do not end it.
pub(crate) fn poll_until(polled: &mut [PollFd<'_>], until: Option<Instant>) -> Result<bool> {
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let time = left.map(|left| Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }));
        match poll(polled, time.as_ref()) {
            Ok(0) if left.is_some_and(|left| !left.is_zero()) => {}
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
