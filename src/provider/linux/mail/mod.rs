//! What goes between processes: where they listen, the links that lead to others, the frames on them, the inbox, and
//! what is held until it is claimed.

mod arrived;
mod birth;
mod claimants;
mod frame;
mod held;
mod holding;
mod inbox;
mod link;
mod listener;
mod outcomes;
mod quota;
mod token;

pub(crate) use arrived::Key;
pub(crate) use birth::{BIRTH_VARIABLE, SEAT_VARIABLE, Unborn, remove_names};
pub(crate) use frame::{Frame, Refusal, SIZE};
pub(crate) use held::{Flushing, Held};
pub(crate) use holding::Heir;
pub(crate) use inbox::{Backlog, Found, Inbox};
pub(crate) use link::{Addressee, Links, QUEUE_NAME, at_end, connect, hung_up, listens, make_link, make_queue};
pub(crate) use listener::{Listener, living, refuses, waker_suffix};
pub(crate) use outcomes::Outcome;
pub(crate) use quota::{MOST_LINKS, Quota};
pub(crate) use token::{Token, Tokens};

use super::closer::{Closer, Foreign};
use super::sys::{Look, receive_bytes, receive_few};
use crate::domain::Domain;
use crate::error::Error;
use crate::hand_off::ReceiverName;
use rustix::io::Errno;
use std::os::fd::AsFd;

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
pub(crate) enum Purpose<'a> {
    /// Duplicates that are delivered.
    Mail,
    /// Claims of duplicates that are held.
    Claims,
    /// Sockets that are handed off to the receiver of this name.
    HandOff(&'a ReceiverName),
}

impl Purpose<'_> {
    pub(crate) fn suffix(self) -> String {
        match self {
            Purpose::Mail => String::new(),
            Purpose::Claims => "-claims".into(),
            Purpose::HandOff(name) => name.suffix(),
        }
    }

    /// This process listens for it already.
    fn open_already(self, domain: &Domain) -> Error {
        let domain = domain.path().to_owned();
        match self {
            Purpose::Mail | Purpose::Claims => Error::EndpointOpen { domain },
            Purpose::HandOff(name) => Error::ReceiverOpen { name: name.as_str().to_owned(), domain },
        }
    }
}

/// Nanoseconds since boot, time asleep included: the same clock in every process, whose own is shifted by so much.
pub(crate) fn since_boot(clock_shift: i128) -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let nanoseconds = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec) - clock_shift;
    u64::try_from(nanoseconds).unwrap_or(0)
}

/// Whether what the kernel refused so may succeed later: it says nothing of the socket that was asked.
pub(crate) fn is_passing(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS)
}

/// Takes one frame with at most two descriptors, without waiting. `None` is the end of the link.
///
/// Unless there is `ample` room for them, the message is looked at first and taken only when its descriptors found places in
/// this process's table. Taken at once, a full table would make the kernel throw them away.
///
/// # Errors
/// `MFILE` when no descriptor is free, and others that [pass](is_passing): the message waits, unless room was said to be
/// ample. `AGAIN` when there is none. `PROTO` when it is no frame.
pub(crate) fn read_frame(
    link: impl AsFd,
    closer: &Closer,
    ample: bool,
) -> rustix::io::Result<Option<(Frame, [Option<Foreign>; 2])>> {
    let mut bytes = [0; SIZE];
    let mut descriptors = [None, None];
    let mut count = 0_usize;
    let keep = |descriptor| {
        if let Some(place) = descriptors.get_mut(count) {
            *place = Some(closer.guard(descriptor));
        } else {
            closer.close(descriptor);
        }
        count += 1;
    };
    let look = if ample { Look::Take } else { Look::Peek };
    let Some(message) = receive_few(&link, &mut bytes, keep, look)? else { return Ok(None) };
    if message.lacking {
        return Err(if count < descriptors.len() { Errno::MFILE } else { Errno::PROTO });
    }
    if !ample {
        receive_bytes(&link, &mut [0; 1], Look::Take)?;
    }
    match Frame::from_bytes(&bytes) {
        Some(frame) if message.length == SIZE && count <= descriptors.len() => Ok(Some((frame, descriptors))),
        _ => Err(Errno::PROTO),
    }
}
