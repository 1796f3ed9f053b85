//! What needs `unsafe`, or is but a system call.

pub(crate) mod inherited;
pub(crate) mod options;
pub(crate) mod signals;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::AsFd;

/// Whether a descriptor is found so now, without waiting; that its other end is gone is always among it.
pub(crate) fn is_now(descriptor: impl AsFd, flags: PollFlags) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&descriptor, flags)], Some(&now)).is_ok_and(|count| count > 0)
}
