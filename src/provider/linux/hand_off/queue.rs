//! The messages of a queue, as both of its ends read them.
//!
//! A message with many parcels has a gate before their descriptors, with as many in it. A receiver whose program takes some
//! of them leaves the message in the queue until all are taken, and takes one from the gate for each. So whoever finds
//! the message knows how many of its parcels are left: the last ones.

use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::hand_off::{Parcel, load};
use crate::process::Process;
use crate::provider::linux::closer::{Closer, Foreign};
use crate::provider::linux::mail::is_passing;
use crate::provider::linux::sys::{Headroom, Look, Message, receive_bytes, receive_rights};
use crate::socket::Socket;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// The most parcels in one message: the kernel passes one descriptor more, and that is the gate.
pub(super) const MOST_TOGETHER: usize = load::MOST_PARCELS - 1;

/// So many descriptors more than needed must be free, where that is tried out.
const SPARE: usize = 8;

/// Reads messages, with all that they need to be read into.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) closer: Closer,
    domain: Domain,
    headroom: Headroom,
    buffer: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// What is in a queue.
#[derive(Debug)]
pub(super) enum Read {
    /// A message, whose parcels were appended; and its gate if it has one.
    Message(Option<Foreign>),
    /// Nothing now.
    Nothing,
    /// Nothing, and nothing will come: its other end is closed. Or it was none of our messages.
    Over,
}

impl Reader {
    pub(super) fn new(domain: &Domain) -> Self {
        let (domain, closer) = (domain.clone(), domain.closer());
        Reader { closer, domain, headroom: Headroom::new(), buffer: vec![0; load::MOST], descriptors: Vec::new() }
    }

    /// Whether a message of so many parcels surely finds room for its descriptors.
    pub(super) fn has_room(&mut self, parcels: usize) -> bool {
        self.headroom.is_ample(parcels + 1)
    }

    /// The same by trying, with descriptors of `queue`, where there is little room, or the kernel does not count.
    pub(super) fn finds_room(&mut self, queue: impl AsFd, parcels: usize) -> bool {
        let again = || queue.as_fd().try_clone_to_owned();
        self.has_room(parcels) || (0..parcels + 1 + SPARE).map(|_| again()).collect::<Result<Vec<_>, _>>().is_ok()
    }

    /// Takes the first message, all of whose descriptors were taken, and which may be the last to have them: with room they are
    /// closed where nobody waits.
    pub(super) fn close_first(&mut self, queue: impl AsFd) -> rustix::io::Result<()> {
        match self.finds_room(&queue, MOST_TOGETHER) {
            true => {
                receive_rights(&queue, &mut [0; 1], |descriptor| self.closer.close(descriptor), Look::Take).map(drop)
            }
            false => drop_first(&queue),
        }
    }

    /// Takes a message, or looks at it, and appends its parcels; `source` is who sent it.
    ///
    /// # Errors
    /// [`Error::System`] with `EMFILE` when no descriptor is free for what the message has. A message that was only looked at
    /// is in the queue still.
    pub(super) fn read(
        &mut self,
        queue: impl AsFd,
        look: Look,
        source: Option<Process>,
        parcels: &mut Vec<Parcel>,
    ) -> Result<Read> {
        let Reader { closer, domain, buffer, descriptors, .. } = self;
        let message = loop {
            match receive_rights(&queue, buffer, |descriptor| descriptors.push(descriptor), look) {
                // Its other end closed while something of ours lay there; what lies here is there nevertheless.
                Err(Errno::CONNRESET) => {}
                Err(Errno::AGAIN) => return Ok(Read::Nothing),
                Err(errno) if is_passing(errno) => return Err(Error::system("receiving what was handed off")(errno)),
                Ok(None) | Err(_) => {
                    // A message without bytes may have descriptors.
                    descriptors.drain(..).for_each(|descriptor| closer.close(descriptor));
                    return Ok(Read::Over);
                }
                Ok(Some(message)) => break message,
            }
        };
        let gate = if message.lacking {
            None
        } else {
            parse(&message, buffer, descriptors, (closer, domain, source), parcels)
        };
        // What is left here is a stranger's, or in the queue still.
        descriptors.drain(..).for_each(|descriptor| closer.close(descriptor));
        match gate {
            Some(gate) => Ok(Read::Message(gate)),
            None if message.lacking => Err(Error::System {
                doing: "receiving what was handed off (no descriptor is free for it)",
                os_code: Errno::MFILE.raw_os_error(),
            }),
            None => Ok(Read::Over),
        }
    }
}

/// Appends the parcels of a message; its gate. Nothing when it is none of ours.
///
/// Whether its first descriptor is a gate is not asked, which could fail: what is none only lets its sender cheat itself.
fn parse(
    message: &Message,
    buffer: &[u8],
    descriptors: &mut Vec<OwnedFd>,
    (closer, domain, source): (&Closer, &Domain, Option<Process>),
    parcels: &mut Vec<Parcel>,
) -> Option<Option<Foreign>> {
    let count = parcels_of(buffer)?;
    let gated = usize::from(count > 1);
    let parts = load::read(buffer.get(..message.length)?, descriptors.len().checked_sub(gated)?)?;
    let mut descriptors = descriptors.drain(..);
    let gate = (gated == 1).then(|| descriptors.next()).flatten().map(|gate| closer.guard(gate));
    let parcel = |(descriptor, bytes): (_, &[u8])| Parcel {
        socket: Socket::received(descriptor, domain, 0),
        bytes: bytes.to_vec(),
        source,
    };
    parcels.extend(descriptors.zip(parts).map(parcel));
    Some(gate)
}

/// How many parcels the message has that begins so.
fn parcels_of(head: &[u8]) -> Option<usize> {
    let count = head.get(4..load::HEAD)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*count)).ok()
}

/// How many parcels the first message of a queue has; nothing when it is none of ours, or when nothing will come.
///
/// # Errors
/// `AGAIN` when there is none now; others when the kernel does not tell. Then there may be any number a moment later.
pub(super) fn first_count(queue: impl AsFd) -> rustix::io::Result<Option<usize>> {
    let mut head = [0; load::HEAD];
    let message = receive_bytes(queue, &mut head, Look::Peek)?;
    Ok(message.and_then(|_| parcels_of(&head)))
}

/// Takes the first message, of which all is taken that its descriptors are wanted for.
///
/// # Errors
/// It is in the queue still.
pub(super) fn drop_first(queue: impl AsFd) -> rustix::io::Result<()> {
    receive_bytes(queue, &mut [0; 1], Look::Take).map(drop)
}

/// Whether something can be read from a descriptor now.
pub(super) fn is_readable(descriptor: impl AsFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&now)), Ok(1..))
}
