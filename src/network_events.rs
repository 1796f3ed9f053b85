//! Network events: what can happen at a socket that a program may want to be told.

use std::fmt;

bitflags::bitflags! {
    /// A set of network events, with Winsock's names and numbers (`FD_*`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct NetworkEvents: u16 {
        /// Something can be received.
        const READ = 0x001;
        /// A send can proceed: once after the connection exists, then after each send that would have blocked.
        const WRITE = 0x002;
        /// Urgent data has arrived, and is not received in line.
        const OOB = 0x004;
        /// A connection can be accepted.
        const ACCEPT = 0x008;
        /// An attempt to connect has succeeded or failed.
        const CONNECT = 0x010;
        /// The other side has ended the connection, in order or by a reset.
        const CLOSE = 0x020;
        /// Quality of service: accepted, and never reported.
        const QOS = 0x040;
        /// Quality of service of a group: accepted, and never reported.
        const GROUP_QOS = 0x080;
        /// The interface to a destination has changed: refused on Linux.
        const ROUTING_INTERFACE_CHANGE = 0x100;
        /// The list of local addresses has changed: refused on Linux.
        const ADDRESS_LIST_CHANGE = 0x200;
    }
}

/// As a person reads it: `READ | CLOSE`.
impl fmt::Display for NetworkEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        bitflags::parser::to_writer(self, f)
    }
}

/// What [`Socket::enum_network_events`](crate::Socket::enum_network_events) found: the events that have occurred, with
/// an error code for each (`WSANETWORKEVENTS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Occurred {
    pub(crate) events: NetworkEvents,
    pub(crate) connect_code: i32,
    pub(crate) close_code: i32,
}

impl Occurred {
    /// The events that have occurred since they were last reported.
    #[must_use]
    pub fn events(&self) -> NetworkEvents {
        self.events
    }

    /// Whether all of `events` have occurred.
    #[must_use]
    pub fn contains(&self, events: NetworkEvents) -> bool {
        self.events.contains(events)
    }

    /// Whether nothing has occurred.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The Winsock code of `event`, one event that has occurred: 0 for success.
    ///
    /// For [`CONNECT`](NetworkEvents::CONNECT) why the attempt failed, such as 10061 (refused); for
    /// [`CLOSE`](NetworkEvents::CLOSE) 10053 when the connection was reset.
    #[must_use]
    pub fn code(&self, event: NetworkEvents) -> i32 {
        match self.events.intersection(event) {
            NetworkEvents::CONNECT => self.connect_code,
            NetworkEvents::CLOSE => self.close_code,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_winsocks() {
        assert_eq!(NetworkEvents::all().bits(), 0x3ff);
        assert_eq!((NetworkEvents::READ | NetworkEvents::CLOSE).to_string(), "READ | CLOSE");
        assert_eq!(NetworkEvents::empty().to_string(), "none");
    }
}
