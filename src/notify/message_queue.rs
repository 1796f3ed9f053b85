//! Message queues.

use crate::domain::Domain;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::network_events::NetworkEvents;
use crate::provider::{Queue, RawDescriptor};
use crate::socket::SocketId;
use std::sync::Arc;
use std::time::Duration;

/// A message of a [`MessageQueue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// A network event has occurred at a socket.
    Network {
        /// The id that was given to [`Socket::async_select`](crate::Socket::async_select) (`wMsg`).
        id: u32,
        /// The underlying socket.
        socket: SocketId,
        /// The number of the descriptor by which it was registered (`wParam`).
        descriptor: RawDescriptor,
        /// One event (the low word of `lParam`).
        event: NetworkEvents,
        /// Its Winsock code, 0 for success (the high word of `lParam`).
        code: i32,
    },
    /// The registration of a socket was taken over: sent to a queue that [hears](MessageQueue::hear_losses) of it.
    TakenOver {
        /// The id that was given to [`Socket::async_select`](crate::Socket::async_select).
        id: u32,
        /// The underlying socket.
        socket: SocketId,
        /// The number of the descriptor by which it was registered.
        descriptor: RawDescriptor,
    },
    /// A message of the program's own.
    Posted {
        /// Its meaning is the program's.
        id: u32,
        /// The first of two values.
        first: usize,
        /// The second.
        second: usize,
    },
}

/// A queue of messages, in which network events come one by one with those that the program posts.
///
/// Clones are the same queue. Sockets are registered by [`Socket::async_select`](crate::Socket::async_select) (R10). On
/// Linux messages about network events are made when they are got: one about a registration that was cancelled or taken
/// over meanwhile never comes. As a descriptor (`AsFd`) it can be waited on in any poll loop: when it is readable,
/// there may be a message. A forked child cannot use its parent's queues. On Windows behind a queue is a hidden window
/// with its thread, and a message that was on its way may still come after another process took over.
///
/// ```
/// use sharesock::{Domain, Message, MessageQueue, NetworkEvents, Socket};
/// # let folder = std::env::temp_dir().join(format!("sharesock-doc-queue-{}", std::process::id()));
/// # let domain = Domain::at(&folder)?;
/// let queue = MessageQueue::new(&domain)?;
/// let listener = Socket::from(std::net::TcpListener::bind("127.0.0.1:0")?);
/// listener.async_select(&queue, 7, NetworkEvents::ACCEPT)?;
/// let _client = std::net::TcpStream::connect(listener.as_socket().local_addr()?.as_socket().unwrap())?;
/// assert!(matches!(queue.get()?, Message::Network { id: 7, event: NetworkEvents::ACCEPT, .. }));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct MessageQueue(pub(crate) Arc<Queue>);

impl MessageQueue {
    /// An empty queue.
    ///
    /// # Errors
    /// [`Error::System`] when no descriptor is free. It needs two, and one more from the first registration on.
    pub fn new(domain: &Domain) -> Result<Self> {
        Queue::new(domain).map(MessageQueue)
    }

    /// The next message, waiting for it (`GetMessage`).
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::System`] when the system refuses.
    pub fn get(&self) -> Result<Message> {
        loop {
            if let Some(message) = self.0.wait(None)? {
                return Ok(message);
            }
        }
    }

    /// The next message, if there is one (`PeekMessage`).
    ///
    /// # Errors
    /// As [`MessageQueue::get`].
    pub fn try_get(&self) -> Result<Option<Message>> {
        self.0.wait(Some(Duration::ZERO))
    }

    /// The next message, waiting for it for at most `timeout`.
    ///
    /// # Errors
    /// As [`MessageQueue::get`].
    pub fn get_within(&self, timeout: Duration) -> Result<Option<Message>> {
        self.0.wait(Some(timeout))
    }

    /// Posts a message of the program's own; whoever gets it finds it as [`Message::Posted`] (`PostMessage`).
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn post(&self, id: u32, first: usize, second: usize) -> Result<()> {
        self.0.post(id, first, second)
    }

    /// Whether to be told when a registration on this queue is taken over, which Winsock keeps silent: then
    /// [`Message::TakenOver`] comes. Off at first.
    ///
    /// # Errors
    /// [`Error::NotOnThisSystem`] on Windows;
    /// [`Error::Forked`]; [`Error::BadTable`];
    /// [`Error::System`] when the system refuses.
    pub fn hear_losses(&self, hear: bool) -> Result<()> {
        self.0.hear_losses(hear)
    }
}
