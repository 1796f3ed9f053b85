//! Closing sockets that were handed off: one that lingers waits for its peer if its target was faster to close it.

use crate::provider::linux::closer::Closer;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// No target takes a parcel and closes its socket, while its sender goes on without a break, before the sender has closed
/// its own descriptor: that takes no longer than this after sending began, and for some more sockets each.
pub(super) const SWIFT: Duration = Duration::from_micros(4);
pub(super) const SWIFT_EACH: Duration = Duration::from_nanos(2500);
pub(super) const INSTALLED: Duration = Duration::from_nanos(80);
pub(super) const SOME: usize = 8;
/// Of so many sockets one is asked whether it lingers, as long as none does.
const SAMPLE: u32 = 32;
/// So many are asked at first.
const FIRST: u32 = 64;

/// Whether sockets that are handed off linger, so that closing one waits if its target was faster: to ask costs as much as
/// to close.
#[derive(Debug, Default)]
pub(super) struct Lingering {
    seen: AtomicBool,
    count: AtomicU32,
}

impl Lingering {
    /// Closes a socket that was sent; `late` when its target may have been faster.
    pub(super) fn close(&self, closer: &Closer, socket: OwnedFd, late: bool) {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let ask = late || count < FIRST || count % SAMPLE == 0 || self.seen.load(Ordering::Relaxed);
        if !ask {
            return drop(socket);
        }
        if closer.close_own(socket) {
            self.seen.store(true, Ordering::Relaxed);
        }
    }
}
