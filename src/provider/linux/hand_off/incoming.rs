//! The receiving end of one sender's queue.

use super::eager::Eager;
use super::greeting::Greeted;
use super::queue::{Read, Reader, drop_first, first_count, is_readable};
use crate::error::{Error, Result};
use crate::hand_off::Parcel;
use crate::process::Process;
use crate::provider::linux::closer::{Closer, Foreign, Link, Queue};
use crate::provider::linux::mail::{Frame, hung_up};
use crate::provider::linux::sys::{Exclusive, Look, gate_is_open, is_gate, peek_first, send_rights, take_gate};
use rustix::io::{Errno, IoSlice};
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) queue: Queue,
    closer: Closer,
    /// The sender sees by it that this process receives, and is told over it what the program wants.
    link: Link,
    /// Who is at the other end, and its user.
    pub(super) opener: (Process, u32),
    source: Option<Process>,
    /// How many parcels of one message its sender was told that the program takes, and the most that it ever was.
    told: usize,
    most_told: usize,
    /// The first message in the queue, of which the program has taken some.
    begun: Option<Begun>,
    pub(super) eager: Eager,
}

#[derive(Debug)]
struct Begun {
    parcels: VecDeque<Parcel>,
    gate: Foreign,
}

/// What taking came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Some,
    Nothing,
    /// More than is wanted came in one message: it waits whole.
    TooMany,
    Over,
}

impl Incoming {
    pub(super) fn new(link: Link, greeted: Greeted, closer: &Closer) -> Self {
        Incoming {
            queue: greeted.queue,
            closer: closer.clone(),
            link,
            opener: (greeted.process, greeted.uid),
            source: greeted.source,
            told: 1,
            most_told: 1,
            begun: None,
            eager: Eager::default(),
        }
    }

    /// Takes up to `wanted` parcels of the next message; those of one message that has more are `split` if need be.
    pub(super) fn take(
        &mut self,
        wanted: usize,
        split: bool,
        reader: &mut Reader,
        taken: &mut Vec<Parcel>,
    ) -> Result<Taken> {
        self.end_spent(reader)?;
        if let Some(begun) = &self.begun {
            if begun.parcels.is_empty() {
                return Ok(Taken::Over);
            }
            return Ok(if split { self.go_on(wanted, reader, taken) } else { Taken::TooMany });
        }
        // An honest sender puts no more into one message than it was told.
        let fits = self.most_told <= wanted
            || match first_count(&self.queue) {
                Ok(count) => count.is_none_or(|count| count <= wanted),
                // One that comes now could have more.
                Err(Errno::AGAIN) if !is_readable(&self.queue) => return Ok(Taken::Nothing),
                Err(Errno::AGAIN) => match first_count(&self.queue) {
                    // A queue that has something and shows nothing was meddled with, or its sender takes it back.
                    Err(Errno::AGAIN) => return Ok(Taken::Over),
                    count => count.is_ok_and(|count| count.is_none_or(|count| count <= wanted)),
                },
                Err(_) => false,
            };
        if fits {
            return self.take_message(wanted, reader, taken);
        }
        if !split {
            return Ok(Taken::TooMany);
        }
        let mut parcels = Vec::new();
        match reader.read(&self.queue, Look::Peek, self.source, &mut parcels)? {
            Read::Message(Some(gate)) => {
                self.begun = Some(Begun { parcels: parcels.into(), gate });
                Ok(self.go_on(wanted, reader, taken))
            }
            // What was first was taken back meanwhile, and another is there: the next look sees it.
            Read::Message(None) | Read::Nothing => Ok(Taken::Nothing),
            Read::Over => Ok(Taken::Over),
        }
    }

    /// Takes a message whole.
    fn take_message(&mut self, wanted: usize, reader: &mut Reader, taken: &mut Vec<Parcel>) -> Result<Taken> {
        let before = taken.len();
        let read = if reader.has_room(wanted) {
            reader.read(&self.queue, Look::Take, self.source, taken)?
        } else {
            // Taken at once, a full table would make the kernel throw away what the message has. Its sender does not take
            // it back in between.
            // Only a sender that takes back what is left has the lock: nothing more comes.
            let Ok(_settled) = Exclusive::take(&self.queue) else { return Ok(Taken::Over) };
            let mut read = reader.read(&self.queue, Look::Peek, self.source, taken)?;
            if matches!(read, Read::Nothing) && is_readable(&self.queue) {
                // Something came since, or the queue was meddled with: it has something, and shows nothing.
                read = match reader.read(&self.queue, Look::Peek, self.source, taken)? {
                    Read::Nothing => Read::Over,
                    read => read,
                };
            }
            if matches!(read, Read::Message(_)) {
                if let Err(errno) = drop_first(&self.queue) {
                    // It would come again.
                    taken.drain(before..).for_each(|parcel| reader.closer.close(parcel.socket.into()));
                    return Err(Error::system("receiving what was handed off")(errno));
                }
            }
            read
        };
        match read {
            Read::Message(_) if taken.len() - before <= wanted => Ok(Taken::Some),
            Read::Message(_) => {
                taken.drain(before..).for_each(|parcel| reader.closer.close(parcel.socket.into()));
                Ok(Taken::Over)
            }
            Read::Nothing => Ok(Taken::Nothing),
            Read::Over => Ok(Taken::Over),
        }
    }

    /// Takes more of a message of which some were taken.
    fn go_on(&mut self, wanted: usize, reader: &mut Reader, taken: &mut Vec<Parcel>) -> Taken {
        let Some(begun) = &mut self.begun else { return Taken::Nothing };
        let mut count = 0;
        while count < wanted {
            let Some(parcel) = begun.parcels.pop_front() else { break };
            if take_gate(&begun.gate) != Ok(true) {
                // Its sender took back what was left, or an earlier look found a message that was done with.
                let left = std::iter::once(parcel).chain(begun.parcels.drain(..));
                left.for_each(|parcel| reader.closer.close(parcel.socket.into()));
                break;
            }
            taken.push(parcel);
            count += 1;
        }
        // If that fails it is done before the next one is taken.
        let _ = self.end_spent(reader);
        if count > 0 { Taken::Some } else { Taken::Nothing }
    }

    /// Takes the first message out of the queue when all its parcels were taken.
    ///
    /// Its sender may have done so meanwhile: then another one is first, whose gate is not empty, or that has none.
    fn end_spent(&mut self, reader: &mut Reader) -> Result<()> {
        if self.begun.as_ref().is_none_or(|begun| !begun.parcels.is_empty()) {
            return Ok(());
        }
        // Its sender takes back what is in the queue: it is asked for again.
        let Ok(_settled) = Exclusive::take(&self.queue) else { return Ok(()) };
        let failed = Error::system("receiving what was handed off");
        let first = match first_count(&self.queue) {
            Err(Errno::AGAIN) => None,
            count => count.map_err(&failed)?,
        };
        if first.is_some_and(|count| count > 1) {
            let gate = peek_first(&self.queue).ok_or_else(|| failed(Errno::MFILE))?;
            let gate = reader.closer.guard(gate);
            if !is_gate(&gate) || !gate_is_open(&gate).map_err(&failed)? {
                reader.close_first(&self.queue).map_err(&failed)?;
            }
        }
        self.begun = None;
        Ok(())
    }

    /// Whether of the first message in the queue some were taken, and not all.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Tells the sender how many parcels of one message the program takes, if that has changed.
    pub(super) fn tell(&mut self, appetite: usize) {
        if self.told == appetite {
            return;
        }
        let Ok(parcels) = u32::try_from(appetite) else { return };
        self.most_told = self.most_told.max(appetite);
        // If there is no room for it, it is told next time.
        if send_rights(&self.link, &[IoSlice::new(&Frame::Appetite(parcels).to_bytes())], &[]).is_ok() {
            self.told = appetite;
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Otherwise its sender is there, and what was not taken is its own again.
        if hung_up(&self.link) {
            self.closer.empty(&self.queue);
        }
    }
}
