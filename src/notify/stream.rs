//! Waiting in a tokio program.

use super::{Event, Message, MessageQueue};
use crate::error::{Error, Result};
use crate::provider::Polled;
use std::time::Duration;

/// An [`Event`] that can be awaited. On Windows a thread of its own waits for it, and it needs no runtime.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("sharesock-doc-async-event-{}", std::process::id()));
/// # let domain = sharesock::Domain::at(&folder)?;
/// use sharesock::{AsyncEvent, Event, NetworkEvents, Socket};
/// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
/// let event = Event::manual(&domain)?;
/// let socket = Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?);
/// socket.event_select(&event, NetworkEvents::WRITE)?;
/// AsyncEvent::new(event.clone())?.wait().await?;
/// assert!(socket.enum_network_events(Some(&event))?.contains(NetworkEvents::WRITE));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AsyncEvent(Polled<Event>);

impl AsyncEvent {
    /// The event object in the tokio runtime in which this is called.
    ///
    /// # Errors
    /// [`Error::System`] when the runtime's poll loop does not take it, such as a second one of the same object.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled, as everything in tokio does.
    pub fn new(event: Event) -> Result<Self> {
        Polled::new(event).map(AsyncEvent).map_err(Error::io("registering an event object with tokio"))
    }

    /// Waits until the object is set; an automatic one is reset. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`Event::wait`].
    pub async fn wait(&self) -> Result<()> {
        self.0.wait(|event| Ok(event.wait(Some(Duration::ZERO))?.then_some(()))).await
    }
}

/// A [`MessageQueue`] that can be awaited. On Windows a thread of its own waits for it, and it needs no runtime.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("sharesock-doc-async-queue-{}", std::process::id()));
/// # let domain = sharesock::Domain::at(&folder)?;
/// use sharesock::{AsyncMessageQueue, Message, MessageQueue};
/// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
/// let queue = MessageQueue::new(&domain)?;
/// queue.post(1, 2, 3)?;
/// let message = AsyncMessageQueue::new(queue)?.get().await?;
/// assert_eq!(message, Message::Posted { id: 1, first: 2, second: 3 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AsyncMessageQueue(Polled<MessageQueue>);

impl AsyncMessageQueue {
    /// The queue in the tokio runtime in which this is called.
    ///
    /// # Errors
    /// [`Error::System`] when the runtime's poll loop does not take it, such as a second one of the same queue.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled, as everything in tokio does.
    pub fn new(queue: MessageQueue) -> Result<Self> {
        Polled::new(queue).map(AsyncMessageQueue).map_err(Error::io("registering a message queue with tokio"))
    }

    /// The next message. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`MessageQueue::get`].
    pub async fn get(&self) -> Result<Message> {
        self.0.wait(MessageQueue::try_get).await
    }
}
