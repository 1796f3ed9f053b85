//! Calls that wait for sockets. They wait in `poll`, beside an eventfd that wakes it when a handle is closed.

use crate::code::{Code, Result};
use crate::sock::Sock;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// By which a thread that waits is woken.
#[derive(Debug, Clone)]
pub(crate) struct Waker(Arc<OwnedFd>);

thread_local! {
    /// The thread's own, and of which process it is: a forked child must not hear its parent's.
    static WAKER: RefCell<Option<(u32, Waker)>> = const { RefCell::new(None) };
}

impl Waker {
    fn new() -> Result<Self> {
        Ok(Waker(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    fn of_this_thread() -> Result<Self> {
        let kept = WAKER.try_with(|waker| {
            let mut waker = waker.try_borrow_mut().map_err(|_| Code::SYSCALLFAILURE)?;
            let me = std::process::id();
            match &*waker {
                Some((process, waker)) if *process == me => Ok(waker.clone()),
                _ => Ok(waker.insert((me, Waker::new()?)).1.clone()),
            }
        });
        // A thread that is ending has none of its own any more.
        kept.unwrap_or_else(|_| Waker::new())
    }

    pub(crate) fn wake(&self) {
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    fn is(&self, other: &Waker) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What is waited for: a descriptor to become ready for something.
pub(crate) type Wanted<'a> = (BorrowedFd<'a>, PollFlags);

/// Waits until something wanted is ready, or until the waker is woken for one of `socks`, to say that there is a reason to
/// look again. What is ready of each; nothing when the time is over.
pub(crate) fn wait_on(
    socks: &[&Sock],
    wanted: &[Wanted<'_>],
    until: Option<Instant>,
) -> Result<Option<Vec<PollFlags>>> {
    let waker = Waker::of_this_thread()?;
    let mut polled: Vec<PollFd<'_>> =
        wanted.iter().map(|(descriptor, flags)| PollFd::from_borrowed_fd(*descriptor, *flags)).collect();
    polled.push(PollFd::from_borrowed_fd(waker.0.as_fd(), PollFlags::IN));
    for sock in socks {
        let mut memory = sock.memory();
        if memory.closed {
            waker.wake();
        }
        memory.waiting.push(waker.clone());
    }
    let waited = poll_until(&mut polled, until);
    for sock in socks {
        sock.memory().waiting.retain(|other| !other.is(&waker));
    }
    // What was woken until here is heard.
    let _ = rustix::io::read(&*waker.0, &mut [0_u8; 8]);
    Ok(waited?.then(|| polled.iter().take(wanted.len()).map(PollFd::revents).collect()))
}

impl Sock {
    /// Tries until it does not say that it would block, and waits in between, if the socket is blocking.
    ///
    /// Closing the handle ends it, with `WSAEINTR`; `timeout` is asked when it comes to waiting. Signals do not end it.
    pub(crate) fn block<T>(
        &self,
        flags: PollFlags,
        timeout: impl FnOnce(&socket2::Socket) -> io::Result<Option<Duration>>,
        mut attempt: impl FnMut() -> io::Result<T>,
    ) -> Result<T> {
        let again = |error: &io::Error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
        match attempt() {
            Err(error) if again(&error) && self.is_blocking() => {}
            done => return Ok(done?),
        }
        let until = timeout(self.socket.as_socket())?.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            self.wait(flags, until)?;
            match attempt() {
                Err(error) if again(&error) => {}
                done => return Ok(done?),
            }
        }
    }

    /// Waits until the socket is ready for something, or there is a reason to look again.
    pub(crate) fn wait(&self, flags: PollFlags, until: Option<Instant>) -> Result<()> {
        self.wait_for(self.as_fd(), flags, until)
    }

    /// Waits until something else is ready, as a call on this socket does.
    pub(crate) fn wait_for(&self, other: BorrowedFd<'_>, flags: PollFlags, until: Option<Instant>) -> Result<()> {
        let ready = wait_on(&[self], &[(other, flags)], until)?;
        if self.memory().closed {
            return Err(Code::INTR);
        }
        ready.map(drop).ok_or(Code::TIMEDOUT)
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
