//! A link over which a sender says who it is, and gives the end of its queue at which parcels come out.

use crate::error::{Error, Result};
use crate::process::Process;
use crate::provider::linux::closer::{Closer, Foreign, Link, Queue};
use crate::provider::linux::mail::{Frame, is_passing, read_frame};
use crate::provider::linux::process::Peer;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::time::{Duration, Instant};

/// A sender is to say who it is within this time.
const WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) link: Link,
    since: Instant,
    /// What it says, until the kernel was asked.
    said: Option<(Process, Foreign)>,
}

/// A sender that was greeted.
#[derive(Debug)]
pub(super) struct Greeted {
    pub(super) process: Process,
    pub(super) uid: u32,
    /// Nothing when who it is rests on nothing that the kernel says.
    pub(super) source: Option<Process>,
    /// The end of its queue.
    pub(super) queue: Queue,
}

/// What a greeting came to.
pub(super) enum Heard {
    Greeted(Greeted),
    /// It has not been said yet.
    Nothing,
    /// It was no greeting, or not the truth.
    Refused,
}

impl Greeting {
    pub(super) fn new(link: Link) -> Self {
        Greeting { link, since: Instant::now(), said: None }
    }

    pub(super) fn is_late(&self) -> bool {
        self.since.elapsed() > WITHIN
    }

    /// # Errors
    /// [`Error::System`] when no descriptor is free; then it is to be asked again.
    pub(super) fn hear(&mut self, closer: &Closer, me: &Process) -> Result<Heard> {
        if self.said.is_none() {
            match read_frame(&self.link, closer, false) {
                Ok(Some((Frame::Hello(process), [Some(queue), None]))) => self.said = Some((process, queue)),
                Err(Errno::AGAIN) => return Ok(Heard::Nothing),
                Err(errno) if is_passing(errno) => return Err(Error::system("receiving what was handed off")(errno)),
                _ => return Ok(Heard::Refused),
            }
        }
        let peer = Peer::of(&self.link)?;
        let Some((process, queue)) = self.said.take() else { return Ok(Heard::Nothing) };
        if !could_be_a_queue(&queue) {
            return Ok(Heard::Refused);
        }
        let queue = closer.guard_queue(queue.into_owned());
        if !peer.is(&process, me) {
            return Ok(Heard::Refused);
        }
        let source = (!peer.is_hearsay(&process, me)).then_some(process);
        Ok(Heard::Greeted(Greeted { process, uid: peer.uid, source, queue }))
    }
}

/// Nothing that is asked of another kind of descriptor could be waited for.
fn could_be_a_queue(descriptor: &Foreign) -> bool {
    sockopt::socket_domain(descriptor) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(descriptor) == Ok(SocketType::SEQPACKET)
        && sockopt::socket_acceptconn(descriptor) == Ok(false)
}
