//! Message queues.

use super::notifier::Content;
use super::watch_set::{Due, Lost, Sink, WatchSet};
use crate::domain::Domain;
use crate::error::{Result, winsock_code};
use crate::network_events::NetworkEvents;
use crate::notify::{Message, MessageQueue};
use crate::provider::linux::record::Table;
use std::collections::{HashSet, VecDeque};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// A message queue.
pub(crate) type Queue = WatchSet<Messages>;

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

impl Queue {
    pub(crate) fn new(domain: &Domain) -> Result<Arc<Self>> {
        WatchSet::with(domain, Messages::default())
    }

    pub(crate) fn post(&self, id: u32, first: usize, second: usize) -> Result<()> {
        self.check()?;
        // What has happened comes before what is posted now.
        self.gather_all();
        self.open().waiting.push_back(Waiting::Message(Message::Posted { id, first, second }));
        Ok(())
    }

    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Result<Option<Message>> {
        self.wait_for(timeout, |messages| self.take(messages))
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
        let table = Table::of(self.domain()).ok()?;
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
