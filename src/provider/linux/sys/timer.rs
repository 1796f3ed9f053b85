//! Timers as descriptors, readable when their time is over.

use rustix::event::Timespec;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};
use std::os::fd::OwnedFd;
use std::time::Duration;

const NEVER: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A timer that is not set.
pub(crate) fn new() -> rustix::io::Result<OwnedFd> {
    timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)
}

/// Sets a timer to go off once after `time`, or never; it is not readable until then.
pub(crate) fn set(timer: &OwnedFd, time: Option<Duration>) -> rustix::io::Result<()> {
    // Zero would be never.
    let time = time.map(|time| time.max(Duration::from_nanos(1)));
    let it_value = time.and_then(|time| Timespec::try_from(time).ok()).unwrap_or(NEVER);
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: NEVER, it_value }).map(drop)
}
