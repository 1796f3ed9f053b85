//! Sockets in an epoll instance, for the one that owns neither.
#![allow(unsafe_code)]

use rustix::event::epoll::{self, EventData, EventFlags};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// A socket that an epoll instance watches.
///
/// It has the number of a descriptor that belongs to a `Socket`. That one removes its interests, under the lock that
/// guards them, before it closes: so whoever finds an interest may use the number.
#[derive(Debug)]
pub(crate) struct Interest {
    number: RawFd,
    flags: EventFlags,
}

impl Interest {
    /// Begins to watch: the kernel reports every change, and at first what is.
    pub(crate) fn add(
        epoll: &OwnedFd,
        socket: BorrowedFd<'_>,
        data: u64,
        flags: EventFlags,
    ) -> rustix::io::Result<Self> {
        epoll::add(epoll, socket, EventData::new_u64(data), flags | EventFlags::ET)?;
        Ok(Interest { number: socket.as_raw_fd(), flags })
    }

    /// Watches for other changes from now on; what is, is reported again.
    pub(crate) fn modify(&mut self, epoll: &OwnedFd, data: u64, flags: EventFlags) {
        // That it cannot be modified means that it is not watched any more: nothing is lost.
        let _ = epoll::modify(epoll, self.socket(), EventData::new_u64(data), flags | EventFlags::ET);
        self.flags = flags;
    }

    /// Ends watching. A descriptor that is closed while others of its socket live would be watched on.
    pub(crate) fn remove(self, epoll: &OwnedFd) {
        let _ = epoll::delete(epoll, self.socket());
    }

    pub(crate) fn flags(&self) -> EventFlags {
        self.flags
    }

    /// The descriptor, while the lock on the interests is held.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open while this interest exists, as said above.
        unsafe { BorrowedFd::borrow_raw(self.number) }
    }
}
