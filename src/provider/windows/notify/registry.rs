//! Which number of a window's messages belongs to which registration, and what has come for it.

use crate::network_events::NetworkEvents;
use crate::notify::Message;
use crate::provider::RawDescriptor;
use crate::provider::windows::sys::window::{NUMBERS, Posted};
use crate::socket::SocketId;
use std::collections::{HashMap, VecDeque};

/// The number of what the program posts; registrations have the others.
pub(super) const POST: u32 = *NUMBERS.start();

const FIRST: u32 = POST + 1;
const COUNT: u32 = *NUMBERS.end() - POST;

/// A registration with a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) id: u32,
    pub(super) socket: SocketId,
    pub(super) descriptor: RawDescriptor,
}

/// Names an entry, and no other after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Serial(u64);

impl Serial {
    /// The number of its messages. They rotate: nothing is on its way any more under one that comes again.
    pub(super) fn number(self) -> u32 {
        // Less than what it is divided by, which has 32 bits.
        FIRST + (self.0 % u64::from(COUNT)) as u32
    }
}

#[derive(Debug)]
struct Listed {
    serial: Serial,
    entry: Entry,
    /// How many messages of it are waiting.
    waiting: u32,
}

/// The registrations of a queue and the messages that wait in it.
#[derive(Debug, Default)]
pub(super) struct Registry {
    last: u64,
    listed: HashMap<u32, Listed>,
    by_socket: HashMap<SocketId, Serial>,
    waiting: VecDeque<(Option<Serial>, Message)>,
    /// What was posted and is on its way through the window, which keeps it in order with the others.
    posted: VecDeque<Message>,
}

impl Registry {
    /// Enters a registration, in place of any that the socket has here; nothing when there is no room.
    pub(super) fn enter(&mut self, entry: Entry) -> Option<Serial> {
        if self.listed.len() >= COUNT as usize {
            return None;
        }
        let serial = loop {
            self.last = self.last.wrapping_add(1);
            let serial = Serial(self.last);
            if !self.listed.contains_key(&serial.number()) {
                break serial;
            }
        };
        self.listed.insert(serial.number(), Listed { serial, entry, waiting: 0 });
        Some(serial)
    }

    /// The registration of this entry is in force: that of the same socket before it is not any more.
    pub(super) fn confirm(&mut self, serial: Serial) {
        let Some(listed) = self.listed.get(&serial.number()).filter(|listed| listed.serial == serial) else { return };
        if let Some(former) = self.by_socket.insert(listed.entry.socket, serial).filter(|former| *former != serial) {
            self.strike(former);
        }
    }

    /// Removes an entry, and what waits of it.
    pub(super) fn strike(&mut self, serial: Serial) {
        if self.listed.get(&serial.number()).is_none_or(|listed| listed.serial != serial) {
            return;
        }
        let Some(listed) = self.listed.remove(&serial.number()) else { return };
        if self.by_socket.get(&listed.entry.socket) == Some(&serial) {
            self.by_socket.remove(&listed.entry.socket);
        }
        if listed.waiting > 0 {
            self.waiting.retain(|(of, _)| *of != Some(serial));
        }
    }

    /// A message has come to the window.
    pub(super) fn hear(&mut self, posted: Posted) {
        if posted.number == POST {
            self.waiting.extend(self.posted.pop_front().map(|message| (None, message)));
            return;
        }
        let Some(listed) = self.listed.get_mut(&posted.number) else { return };
        let Entry { id, socket, descriptor } = listed.entry;
        // An accepted socket has its listener's number until it is registered for itself, and is told all then.
        if posted.first as u64 != descriptor as u64 {
            return;
        }
        // The low word is the event, the high word its code.
        let (event, code) = (posted.second as u16, (posted.second >> 16) as u16);
        let event = NetworkEvents::from_bits_truncate(event);
        if event.is_empty() {
            return;
        }
        listed.waiting += 1;
        let message = Message::Network { id, socket, descriptor, event, code: i32::from(code) };
        self.waiting.push_back((Some(listed.serial), message));
    }

    /// What is posted waits here for its turn in the window.
    pub(super) fn post(&mut self, message: Message) {
        self.posted.push_back(message);
    }

    /// The last that was posted did not get into the window.
    pub(super) fn take_back(&mut self) {
        self.posted.pop_back();
    }

    pub(super) fn pop(&mut self) -> Option<Message> {
        let (of, message) = self.waiting.pop_front()?;
        if let Some(listed) = of.and_then(|serial| self.listed.get_mut(&serial.number())) {
            listed.waiting -= 1;
        }
        Some(message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(socket: u64) -> Entry {
        Entry { id: 1, socket: SocketId(socket), descriptor: 4 }
    }

    fn read(serial: Serial, descriptor: usize) -> Posted {
        Posted { number: serial.number(), first: descriptor, second: 1 }
    }

    #[test]
    fn what_is_struck_does_not_come_out() {
        let mut registry = Registry::default();
        let one = registry.enter(entry(1)).unwrap();
        let two = registry.enter(entry(2)).unwrap();
        for serial in [one, two] {
            registry.confirm(serial);
            registry.hear(read(serial, 4));
        }
        registry.strike(one);
        registry.hear(read(one, 4));
        assert!(matches!(registry.pop(), Some(Message::Network { socket: SocketId(2), .. })));
        assert_eq!(registry.pop(), None);
    }

    #[test]
    fn what_another_descriptor_is_told_is_not_taken() {
        let mut registry = Registry::default();
        let one = registry.enter(entry(1)).unwrap();
        registry.hear(read(one, 8));
        assert!(registry.is_empty());
    }

    #[test]
    fn a_later_registration_of_a_socket_replaces_the_former() {
        let mut registry = Registry::default();
        let one = registry.enter(entry(1)).unwrap();
        registry.confirm(one);
        registry.hear(read(one, 4));
        let two = registry.enter(entry(1)).unwrap();
        registry.confirm(two);
        assert!(registry.is_empty());
        registry.strike(one);
        registry.hear(read(two, 4));
        assert!(registry.pop().is_some());
    }

    #[test]
    fn it_is_bounded_and_its_numbers_rotate() {
        let mut registry = Registry::default();
        let all: Vec<_> = (0..u64::from(COUNT)).map(|socket| registry.enter(entry(socket)).unwrap()).collect();
        assert!(all.iter().all(|serial| NUMBERS.contains(&serial.number()) && serial.number() != POST));
        assert!(registry.enter(entry(0)).is_none());
        registry.strike(all[7]);
        let again = registry.enter(entry(7)).unwrap();
        assert_eq!(again.number(), all[7].number());
        registry.strike(all[7]);
        registry.hear(read(again, 4));
        assert!(registry.pop().is_some());
    }
}
