//! What a waiting thread waits for, with the eventfd that is readable for those who wait in the kernel.

use crate::error::{Error, Result};
use rustix::event::{EventfdFlags, eventfd};
use std::ops::{Deref, DerefMut};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Something that can be worth waking up for.
pub(crate) trait Content: std::fmt::Debug + Send + 'static {
    fn is_on(&self) -> bool;
}

/// Some content and its eventfd: readable while the content is on and somebody would see it.
///
/// The thread that finds the content on does not need the ready eventfd; so a program with one waiting thread pays no system
/// call for it.
#[derive(Debug)]
pub(crate) struct Notifier<T> {
    ready: OwnedFd,
    state: Mutex<NotifierState<T>>,
}

#[derive(Debug)]
struct NotifierState<T> {
    content: T,
    signalled: bool,
    /// Threads that wait in the kernel.
    waiting: u32,
    /// Somebody else may wait for the ready eventfd.
    shown: bool,
}

impl<T: Content> Notifier<T> {
    pub(crate) fn new(content: T) -> Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let ready = eventfd(0, flags).map_err(Error::system("making an event object"))?;
        Ok(Notifier { ready, state: Mutex::new(NotifierState { content, signalled: false, waiting: 0, shown: false }) })
    }

    pub(crate) fn ready(&self) -> &OwnedFd {
        &self.ready
    }

    /// The content; the ready eventfd is right when the guard is dropped.
    pub(crate) fn open(&self) -> Open<'_, T> {
        Open { ready: &self.ready, state: self.state.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

/// The content, for one thread.
#[derive(Debug)]
pub(crate) struct Open<'a, T: Content> {
    ready: &'a OwnedFd,
    state: MutexGuard<'a, NotifierState<T>>,
}

impl<T: Content> Open<'_, T> {
    /// This thread is going to wait in the kernel.
    pub(crate) fn begin_wait(&mut self) {
        self.state.waiting += 1;
    }

    pub(crate) fn end_wait(&mut self) {
        self.state.waiting = self.state.waiting.saturating_sub(1);
    }

    /// From now on somebody may look at the ready eventfd.
    pub(crate) fn show(&mut self) {
        self.state.shown = true;
    }
}

impl<T: Content> Deref for Open<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.state.content
    }
}

impl<T: Content> DerefMut for Open<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.state.content
    }
}

impl<T: Content> Drop for Open<'_, T> {
    fn drop(&mut self) {
        let NotifierState { content, signalled, waiting, shown } = &mut *self.state;
        let on = content.is_on();
        if on && !*signalled && (*waiting > 0 || *shown) {
            *signalled = rustix::io::write(self.ready, &1_u64.to_ne_bytes()).is_ok();
        } else if !on && *signalled {
            let _ = rustix::io::read(self.ready, &mut [0_u8; 8]);
            *signalled = false;
        }
    }
}
