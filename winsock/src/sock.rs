//! A socket as a C program has it: one descriptor of an underlying socket, and what its handle remembers.

use crate::waiting::Waker;
use sharesock::Socket;
use socket2::SockAddr;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A socket that a handle names.
#[derive(Debug)]
pub(crate) struct Sock {
    pub(crate) socket: Socket,
    memory: Mutex<Memory>,
    /// What this process has ended by `shutdown`.
    pub(crate) receiving_ended: AtomicBool,
    pub(crate) sending_ended: AtomicBool,
    /// Options that are remembered here: `SO_CONDITIONAL_ACCEPT`, and `SO_EXCLUSIVEADDRUSE` of datagrams.
    pub(crate) conditional: AtomicBool,
    pub(crate) exclusive: AtomicBool,
    /// The process, one thread of which is accepting.
    accepting: AtomicU32,
}

/// What a handle remembers. Its lock is held across `fork`.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The handle is closed.
    pub(crate) closed: bool,
    /// By which threads that wait are woken.
    pub(crate) waiting: Vec<Waker>,
    /// The other side of a stream, which the system forgets when both have ended.
    pub(crate) peer: Option<SockAddr>,
    /// The window and message of a registration that was made by this handle.
    pub(crate) told_by: Option<(usize, u32)>,
    /// Connections that a condition has put off, or that had no room for their address.
    pub(crate) deferred: VecDeque<(Socket, SockAddr)>,
}

impl Sock {
    pub(crate) fn new(socket: Socket) -> Self {
        Sock {
            socket,
            memory: Mutex::default(),
            receiving_ended: AtomicBool::new(false),
            sending_ended: AtomicBool::new(false),
            conditional: AtomicBool::new(false),
            exclusive: AtomicBool::new(false),
            accepting: AtomicU32::new(0),
        }
    }

    /// What the handle remembers. Nothing that waits, and nothing of the program's, is called while it is held.
    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handle is closed: calls that wait in other threads end. The descriptor is closed when the last of them has.
    pub(crate) fn close(&self) {
        let mut memory = self.memory();
        memory.closed = true;
        memory.waiting.drain(..).for_each(|waker| waker.wake());
    }

    /// Has the threads that wait look again: something has changed that the system does not tell them.
    pub(crate) fn wake(&self) {
        self.memory().waiting.iter().for_each(Waker::wake);
    }

    /// Notes what `shutdown` ends.
    pub(crate) fn note_ended(&self, receiving: bool, sending: bool) {
        self.receiving_ended.fetch_or(receiving, Ordering::Relaxed);
        self.sending_ended.fetch_or(sending, Ordering::Relaxed);
    }

    pub(crate) fn is_blocking(&self) -> bool {
        self.socket.as_socket().nonblocking().is_ok_and(|nonblocking| !nonblocking)
    }

    /// Does something that one thread of this process may do at a time; nothing when another is at it.
    pub(crate) fn alone<T>(&self, act: impl FnOnce() -> T) -> Option<T> {
        let me = std::process::id();
        let other = self.accepting.load(Ordering::SeqCst);
        // Another process's id was inherited by `fork`: its threads are not here.
        if other == me || self.accepting.compare_exchange(other, me, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return None;
        }
        let done = act();
        self.accepting.store(0, Ordering::SeqCst);
        Some(done)
    }
}

impl AsFd for Sock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
