//! The way of connections to one worker.

use super::record::Record;
use crate::run::signals::with_signals_blocked;
use crate::system::is_now;
use anyhow::{Context, Result};
use rustix::event::PollFlags;
use sharesock::{Endpoint, Parcel, Sender};
use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// The way to one worker.
#[derive(Debug)]
pub(crate) enum Link {
    /// It accepts itself, or serves the one connection that it was started with.
    None,
    /// It has not opened its receiver yet.
    Awaited,
    HandOff {
        sender: Box<Sender>,
        given: VecDeque<Instant>,
    },
    /// To its standard input. What is not whole yet waits; what the worker has not received, if it tells, is kept.
    Info {
        stream: Option<UnixStream>,
        rest: Vec<u8>,
        kept: VecDeque<Parcel>,
    },
}

impl Link {
    pub(crate) fn info(stream: UnixStream) -> Result<Self> {
        stream.set_nonblocking(true).context("a stream for protocol infos")?;
        Ok(Link::Info { stream: Some(stream), rest: Vec::new(), kept: VecDeque::new() })
    }

    pub(crate) fn hand_off(sender: Sender) -> Self {
        Link::HandOff { sender: Box::new(sender), given: VecDeque::new() }
    }

    /// Number of connections, or bytes, that were given and not taken yet.
    pub(crate) fn outstanding(&self) -> usize {
        match self {
            Link::HandOff { sender, .. } => sender.outstanding(),
            Link::Info { rest, kept, .. } => rest.len().max(kept.len()),
            Link::None | Link::Awaited => 0,
        }
    }

    /// Whether connections are kept that it was given.
    pub(crate) fn keeps(&self) -> bool {
        matches!(self, Link::Info { kept, .. } if !kept.is_empty())
    }

    /// Takes back what was given and not taken: a queue, which is to be emptied and opened anew, or what was kept. An info that
    /// was written stays with a worker that lives.
    pub(crate) fn take_back(&mut self, has_ended: bool) -> (Option<Box<Sender>>, VecDeque<Parcel>) {
        match self {
            Link::HandOff { .. } => match std::mem::replace(self, Link::Awaited) {
                Link::HandOff { sender, .. } => (Some(sender), VecDeque::new()),
                _ => (None, VecDeque::new()),
            },
            Link::Info { kept, .. } if has_ended => (None, std::mem::take(kept)),
            _ => (None, VecDeque::new()),
        }
    }

    /// The worker has received all but this many of the connections that it was given.
    pub(crate) fn received_all_but(&mut self, count: u64) {
        if let Link::Info { kept, .. } = self {
            let received = kept.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
            kept.drain(..received);
        }
    }

    /// Whether this is what tells the worker to end.
    pub(crate) fn end_input(&mut self) -> bool {
        match self {
            Link::Info { stream, .. } => stream.take().is_some(),
            _ => false,
        }
    }

    /// Writes what waits; whether nothing is left of it.
    pub(crate) fn write(&mut self) -> bool {
        let Link::Info { stream: Some(stream), rest, .. } = self else { return true };
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(length) => _ = rest.drain(..length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                // It has ended, or will; what it did not read is lost with it.
                Err(_) => rest.clear(),
            }
        }
        true
    }

    /// Gives one, unless `most_kept` are kept that it has not received.
    pub(crate) fn give(
        &mut self,
        parcel: Parcel,
        to: &Record,
        endpoint: &Endpoint,
        most_kept: impl Fn() -> usize,
    ) -> Result<(), Box<Parcel>> {
        match self {
            Link::HandOff { sender, .. } => {
                sender.try_hand_off(parcel).map_err(|refused| Box::new(refused.parcel))?;
                Ok(())
            }
            Link::Info { stream: Some(stream), rest, kept }
                if rest.is_empty() && kept.len() < most_kept() && !has_ended(stream) =>
            {
                let Ok(info) = with_signals_blocked(|| endpoint.duplicate(parcel.socket(), to.pid.unsigned_abs()))
                else {
                    return Err(Box::new(parcel));
                };
                rest.extend(info.to_wide_bytes());
                kept.extend(to.received.map(|_| parcel));
                self.write();
                Ok(())
            }
            _ => Err(Box::new(parcel)),
        }
    }
}

/// Whether nobody reads the other end any more: another worker may serve what this one would not even see.
fn has_ended(stream: &UnixStream) -> bool {
    is_now(stream, PollFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_nobody_reads_has_ended() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(!has_ended(&ours));
        drop(theirs);
        assert!(has_ended(&ours));
    }
}
