//! What goes between processes: where they listen, the links that lead to others, the frames on them, the inbox, and
//! what is held until it is claimed.

mod birth;
mod courier;
mod frame;
mod held;
mod inbox;
mod link;
mod listener;

pub(crate) use birth::{BIRTH_VARIABLE, Unborn};
pub(crate) use courier::{Courier, Duty, Wait};
pub(crate) use frame::{Frame, Refusal, SIZE};
pub(crate) use held::Held;
pub(crate) use inbox::Inbox;
pub(crate) use link::{Links, connect};
pub(crate) use listener::{Listener, at_end, bell_suffix, is_from, living, refuses};

/// What names a duplicate within its source process.
pub(crate) type Token = [u8; 16];

/// The most links that others may keep open to one of our listeners, and that wait to be accepted.
pub(crate) const MOST_LINKS: usize = 4096;

/// So many links at their end may stay open until others are needed.
pub(crate) const FEW_LINKS: usize = 64;

/// A duplicate on its way, without its descriptor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mail {
    pub(crate) token: Token,
    /// Identity of the underlying socket.
    pub(crate) cookie: u64,
    /// When it expires, in nanoseconds since boot; 0 is never.
    pub(crate) expires: u64,
}

/// What a process listens for; each has its own name in the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Duplicates that are delivered.
    Mail,
    /// Claims of duplicates that are held.
    Claims,
    /// Sockets that are handed off.
    HandOff,
}

impl Purpose {
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Purpose::Mail => "",
            Purpose::Claims => "-claims",
            Purpose::HandOff => "-hand-off",
        }
    }

    fn opening_again(self) -> &'static str {
        match self {
            Purpose::Mail => "opening a second endpoint (clone the first)",
            Purpose::Claims => "opening a second place for claims",
            Purpose::HandOff => "opening a second receiver (share the first)",
        }
    }
}

/// Nanoseconds since boot, time asleep included: the same clock in every process.
pub(crate) fn since_boot() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let [seconds, nanoseconds] = [now.tv_sec, now.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}
