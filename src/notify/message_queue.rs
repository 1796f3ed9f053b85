//! Message queues.

use super::desk::Content;
use super::watch_set::{Due, Lost, Sink, WatchSet};
use crate::domain::Domain;
use crate::error::{Result, winsock_code};
use crate::network_events::NetworkEvents;
use crate::record::Table;
use crate::socket::SocketId;
use std::collections::{HashSet, VecDeque};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
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
        descriptor: RawFd,
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
        descriptor: RawFd,
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
/// Clones are the same queue. Sockets are registered by [`Socket::async_select`](crate::Socket::async_select) (R10).
/// Messages about network events are made when they are got: one about a registration that was cancelled or taken
/// over meanwhile never comes. As a descriptor ([`AsFd`]) it can be waited on in any poll loop: when it is readable,
/// there may be a message.
///
/// A forked child cannot use its parent's queues.
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
pub struct MessageQueue(pub(super) Arc<WatchSet<Messages>>);

/// What waits in a queue, in the order in which it happened.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    waiting: VecDeque<Waiting>,
    /// Which events of which registrations are among them: none twice, so that no busy socket fills the queue.
    known: HashSet<(u32, u16, NetworkEvents)>,
}

/// A message, or one event of a socket that may be due.
#[derive(Debug)]
enum Waiting {
    Message(Message),
    Event(Due),
}

impl Content for Messages {
    fn is_on(&self) -> bool {
        !self.waiting.is_empty()
    }
}

impl Sink for Messages {
    const MESSAGES: bool = true;

    fn due(&mut self, due: Due) {
        for events in due.events.in_order() {
            if self.known.insert((due.slot, due.epoch, events)) {
                self.waiting.push_back(Waiting::Event(Due { events, ..due }));
            }
        }
    }

    fn lost(&mut self, Lost { socket, descriptor, id }: Lost) {
        self.waiting.push_back(Waiting::Message(Message::TakenOver { id, socket, descriptor }));
    }
}

impl MessageQueue {
    /// An empty queue.
    ///
    /// # Errors
    /// [`Error::System`](crate::Error::System) when no descriptor is free. It needs two, and one more from the first registration on.
    pub fn new(domain: &Domain) -> Result<Self> {
        WatchSet::new(domain, Messages::default()).map(MessageQueue)
    }

    /// The next message, waiting for it (`GetMessage`).
    ///
    /// # Errors
    /// [`Error::Forked`](crate::Error::Forked); [`Error::System`](crate::Error::System) when the system refuses.
    pub fn get(&self) -> Result<Message> {
        loop {
            if let Some(message) = self.wait(None)? {
                return Ok(message);
            }
        }
    }

    /// The next message, if there is one (`PeekMessage`).
    ///
    /// # Errors
    /// As [`MessageQueue::get`].
    pub fn try_get(&self) -> Result<Option<Message>> {
        self.wait(Some(Duration::ZERO))
    }

    /// The next message, waiting for it for at most `timeout`.
    ///
    /// # Errors
    /// As [`MessageQueue::get`].
    pub fn get_within(&self, timeout: Duration) -> Result<Option<Message>> {
        self.wait(Some(timeout))
    }

    /// Posts a message of the program's own; whoever gets it finds it as [`Message::Posted`] (`PostMessage`).
    ///
    /// # Errors
    /// [`Error::Forked`](crate::Error::Forked).
    pub fn post(&self, id: u32, first: usize, second: usize) -> Result<()> {
        self.0.check()?;
        // What has happened comes before what is posted now.
        self.0.gather_all();
        self.0.open().waiting.push_back(Waiting::Message(Message::Posted { id, first, second }));
        Ok(())
    }

    /// Whether to be told when a registration on this queue is taken over, which Winsock keeps silent: then
    /// [`Message::TakenOver`] comes. Off at first.
    ///
    /// # Errors
    /// [`Error::Forked`](crate::Error::Forked); [`Error::BadTable`](crate::Error::BadTable);
    /// [`Error::System`](crate::Error::System) when the system refuses.
    pub fn hear_losses(&self, hear: bool) -> Result<()> {
        self.0.hear_losses(hear)
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<Option<Message>> {
        self.0.wait(timeout, |messages| self.take(messages))
    }

    /// The first message that is still true.
    fn take(&self, messages: &mut Messages) -> Option<Message> {
        while let Some(first) = messages.waiting.pop_front() {
            match first {
                Waiting::Message(message) => return Some(message),
                Waiting::Event(due) => {
                    messages.known.remove(&(due.slot, due.epoch, due.events));
                    let message = self.message_about(&due);
                    if message.is_some() {
                        return message;
                    }
                }
            }
        }
        None
    }

    fn message_about(&self, due: &Due) -> Option<Message> {
        let table = Table::of(self.0.domain()).ok()?;
        let slot = table.slot(due.slot, due.socket.as_u64());
        let event = due.events;
        let record = slot.update(|record| {
            let mine = record.messages && (record.owner, record.epoch) == (due.owner, due.epoch);
            (mine && record.report_one(event)).then_some(*record)
        })?;
        let code = match event {
            NetworkEvents::CONNECT if record.failed => winsock_code(slot.code()),
            NetworkEvents::CLOSE if record.reset => super::ABORTED,
            _ => 0,
        };
        Some(Message::Network { id: due.id, socket: due.socket, descriptor: due.descriptor, event, code })
    }
}

/// Readable when there may be a message.
impl AsFd for MessageQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.descriptor().as_fd()
    }
}

impl AsRawFd for MessageQueue {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
