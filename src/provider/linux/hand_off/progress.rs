//! Waiting for a target to take something.

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Waits for events of an epoll instance, and takes them out.
pub(super) fn drain(epoll: &OwnedFd, at_most: Option<Duration>) -> rustix::io::Result<()> {
    let timeout = at_most.and_then(|time| Timespec::try_from(time).ok());
    let mut events: Vec<Event> = Vec::with_capacity(2);
    epoll::wait(epoll, spare_capacity(&mut events), timeout.as_ref()).map(drop)
}

/// Readable when a target has taken something, and there is room in its queue, or when it has gone.
#[derive(Debug)]
pub(crate) struct Progress(OwnedFd);

impl Progress {
    pub(super) fn new(epoll: OwnedFd) -> Self {
        Progress(epoll)
    }

    pub(crate) fn clear(&self) {
        let _ = drain(&self.0, Some(Duration::ZERO));
    }
}

impl AsFd for Progress {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
