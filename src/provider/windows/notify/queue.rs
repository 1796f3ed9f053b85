//! Message queues.

use super::registry::{Entry, POST, Registry, Serial};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::notify::{Message, MessageQueue};
use crate::provider::windows::sys::event;
use crate::provider::windows::sys::window::{Posted, Window, is_full};
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle, RawHandle};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A message queue: a hidden window, whose thread brings what is posted to it to where other threads wait.
#[derive(Debug)]
pub(crate) struct Queue {
    window: Window,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    registry: Mutex<Registry>,
    /// Set when there may be a message.
    waker: OwnedHandle,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, posted: Posted) {
        let mut registry = self.open();
        let silent = registry.is_empty();
        registry.hear(posted);
        if silent && !registry.is_empty() {
            // It cannot fail: the handle is this shared's own.
            let _ = event::set(self.waker.as_handle());
        }
    }
}

/// A registration with a queue, which ends with it.
#[derive(Debug)]
pub(crate) struct Listing {
    queue: Arc<Queue>,
    serial: Serial,
}

impl Listing {
    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// The number of its messages.
    pub(super) fn number(&self) -> u32 {
        self.serial.number()
    }

    /// It is in force, and no earlier one of the same socket is.
    pub(super) fn confirm(&self) {
        self.queue.shared.open().confirm(self.serial);
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.queue.shared.open().strike(self.serial);
    }
}

impl Queue {
    pub(crate) fn new(_: &Domain) -> Result<Arc<Self>> {
        let waker = event::create(true).map_err(Error::io("creating a message queue"))?;
        let shared = Arc::new(Shared { registry: Mutex::default(), waker });
        let heard = Arc::clone(&shared);
        let window = Window::open(move |posted| heard.hear(posted)).map_err(Error::io("creating a message queue"))?;
        Ok(Arc::new(Queue { window, shared }))
    }

    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    pub(super) fn list(self: &Arc<Self>, entry: Entry) -> Result<Listing> {
        let serial = self.shared.open().enter(entry);
        let serial = serial.ok_or(Error::TableFull { what: "sockets registered with this message queue" })?;
        Ok(Listing { queue: Arc::clone(self), serial })
    }

    pub(crate) fn post(&self, id: u32, first: usize, second: usize) -> Result<()> {
        loop {
            // Both under one lock, so that they have the same order.
            let mut registry = self.shared.open();
            registry.post(Message::Posted { id, first, second });
            let Err(error) = self.window.post(Posted { number: POST, first: 0, second: 0 }) else { return Ok(()) };
            registry.take_back();
            drop(registry);
            if !is_full(&error) {
                return Err(Error::io("posting a message")(error));
            }
            // The thread of the window makes room.
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Result<Option<Message>> {
        let until = event::end_of(timeout);
        loop {
            let mut registry = self.shared.open();
            if let Some(message) = registry.pop() {
                return Ok(Some(message));
            }
            event::reset(self.handle()).map_err(waiting)?;
            drop(registry);
            if event::wait(&[self.handle()], false, until).map_err(waiting)?.is_none() {
                return Ok(None);
            }
        }
    }

    pub(crate) fn handle(&self) -> BorrowedHandle<'_> {
        self.shared.waker.as_handle()
    }

    /// Waits until there may be a message, or `stop` is set.
    #[cfg(feature = "tokio")]
    pub(crate) fn wait_ready(&self, stop: BorrowedHandle<'_>) -> Result<()> {
        event::wait(&[stop, self.handle()], false, None).map(drop).map_err(waiting)
    }

    pub(crate) fn hear_losses(&self, hear: bool) -> Result<()> {
        super::hear_losses(hear)
    }
}

fn waiting(error: std::io::Error) -> Error {
    Error::io("waiting for messages")(error)
}

/// Set when there may be a message.
impl AsHandle for MessageQueue {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.0.handle()
    }
}

impl AsRawHandle for MessageQueue {
    fn as_raw_handle(&self) -> RawHandle {
        self.as_handle().as_raw_handle()
    }
}
