//! Waiting in a program that polls futures, of whatever runtime: a thread waits in their place.

use super::sys::event;
use crate::error::{Error, Result};
use crate::hand_off::Receiver;
use crate::notify::{Event, MessageQueue};
use std::collections::HashMap;
use std::io;
use std::os::windows::io::{AsHandle, BorrowedHandle, OwnedHandle};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// What can be waited for without taking anything.
pub(crate) trait Ready: Send + Sync + 'static {
    /// Waits until there may be something, or `stop` is set.
    fn wait_ready(&self, stop: BorrowedHandle<'_>) -> Result<()>;
}

impl Ready for Event {
    fn wait_ready(&self, stop: BorrowedHandle<'_>) -> Result<()> {
        self.0.wait_ready(stop)
    }
}

impl Ready for MessageQueue {
    fn wait_ready(&self, stop: BorrowedHandle<'_>) -> Result<()> {
        self.0.wait_ready(stop)
    }
}

impl Ready for Receiver {
    fn wait_ready(&self, stop: BorrowedHandle<'_>) -> Result<()> {
        const STOP_POLL: Duration = Duration::from_millis(100);
        loop {
            if self.0.wait_ready(STOP_POLL)? || event::is_set(stop).map_err(Error::io("waiting for a receiver"))? {
                return Ok(());
            }
        }
    }
}

/// Something for which a thread of its own waits as long as a task does.
#[derive(Debug)]
pub(crate) struct Polled<T: Ready> {
    inner: Arc<Inner<T>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Inner<T> {
    awaited: T,
    state: Mutex<PolledState>,
    /// That there are tasks, or the end.
    changed: Condvar,
    stop: OwnedHandle,
}

#[derive(Debug, Default)]
struct PolledState {
    tasks: HashMap<u64, Waker>,
    last: u64,
    /// Why the thread could not wait; the next that looks is told.
    failed: Option<Error>,
    over: bool,
}

/// The one task that waits for a stream.
const STREAM: u64 = 0;

impl<T: Ready> Polled<T> {
    pub(crate) fn new(awaited: T) -> io::Result<Self> {
        let inner = Inner { awaited, state: Mutex::default(), changed: Condvar::new(), stop: event::create(true)? };
        let inner = Arc::new(inner);
        let waiting = Arc::clone(&inner);
        let thread = Builder::new().name("sharesock wait".into()).spawn(move || waiting.serve())?;
        Ok(Polled { inner, thread: Some(thread) })
    }

    /// Waits until `look` finds something.
    pub(crate) async fn wait<R>(&self, look: impl Fn(&T) -> Result<Option<R>>) -> Result<R> {
        let task = self.inner.task();
        std::future::poll_fn(|context| self.inner.poll(task.number, context, &look)).await
    }

    /// The same for a stream, of which one task waits.
    pub(crate) fn poll<R>(&self, context: &mut Context<'_>, look: impl Fn(&T) -> Result<Option<R>>) -> Poll<Result<R>> {
        self.inner.poll(STREAM, context, &look)
    }
}

impl<T: Ready> Drop for Polled<T> {
    fn drop(&mut self) {
        self.inner.open().over = true;
        self.inner.changed.notify_all();
        // It cannot fail: the handle is its own.
        let _ = event::set(self.inner.stop.as_handle());
        // Waking a task may have been the end of this, in the thread itself: then it ends by itself.
        if let Some(thread) = self.thread.take().filter(|it| it.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl<T: Ready> Inner<T> {
    fn poll<R>(
        &self,
        number: u64,
        context: &mut Context<'_>,
        look: &impl Fn(&T) -> Result<Option<R>>,
    ) -> Poll<Result<R>> {
        match look(&self.awaited) {
            Ok(Some(found)) => return Poll::Ready(Ok(found)),
            Err(error) => return Poll::Ready(Err(error)),
            Ok(None) => {}
        }
        let mut state = self.open();
        if let Some(error) = state.failed.take() {
            return Poll::Ready(Err(error));
        }
        // What has come since shows to the thread, too, as it takes nothing.
        let former = state.tasks.insert(number, context.waker().clone());
        drop(state);
        self.changed.notify_all();
        // Without the lock: what a waker does when it is dropped is not ours.
        drop(former);
        Poll::Pending
    }
}

impl<T> Inner<T> {
    fn open(&self) -> MutexGuard<'_, PolledState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn task(&self) -> Task<'_, T> {
        let mut state = self.open();
        state.last += 1;
        Task { inner: self, number: state.last }
    }
}

impl<T: Ready> Inner<T> {
    /// What the thread does.
    fn serve(&self) {
        loop {
            let state = self.open();
            let waited = self.changed.wait_while(state, |state| state.tasks.is_empty() && !state.over);
            if waited.unwrap_or_else(PoisonError::into_inner).over {
                return;
            }
            let failed = self.awaited.wait_ready(self.stop.as_handle()).err();
            let mut state = self.open();
            state.failed = failed;
            let tasks = std::mem::take(&mut state.tasks);
            drop(state);
            tasks.into_values().for_each(Waker::wake);
        }
    }
}

/// A task that waits, whose future may be dropped.
struct Task<'a, T> {
    inner: &'a Inner<T>,
    number: u64,
}

impl<T> Drop for Task<'_, T> {
    fn drop(&mut self) {
        let waker = self.inner.open().tasks.remove(&self.number);
        // Without the lock, as above.
        drop(waker);
    }
}
