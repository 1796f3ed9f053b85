//! What was handed off to one target and is kept until its program has taken it.

use super::QUOTA;
use super::counter::Counter;
use super::message::{Draft, GREETING};
use crate::error::{Error, Result};
use crate::hand_off::Parcel;
use crate::hand_off::load::fitting;
use crate::process::Process;
use crate::provider::windows::sys::{Arrival, Pipe, Running, duplicate_for};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use windows_sys::Win32::Foundation::{
    ERROR_BROKEN_PIPE, ERROR_NO_DATA, ERROR_OPERATION_ABORTED, ERROR_PIPE_NOT_CONNECTED,
};
use windows_sys::Win32::Networking::WinSock::WSAENOTSOCK;

/// The most parcels that are kept, and so the most handles.
pub(super) const MOST_KEPT: usize = 4096;
/// A message for which there is room is written at once; a target that lets it wait for so long lies about what it has
/// read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// The sending end of a link, in the hands of one thread at a time.
#[derive(Debug)]
pub(super) struct SendQueue {
    pipe: Pipe,
    kept: VecDeque<Parcel>,
    /// How many of all that were ever sent have left `kept`.
    let_go: u64,
    /// How many bytes were written.
    written: u64,
    /// The link is at its end.
    pub(super) closed: bool,
    /// One thread waits for news from the target. Until it has looked, nobody else takes them.
    pub(super) watched: bool,
    draft: Draft,
}

/// The process at the other end, and what is counted with it.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) target: Process,
    pub(super) process: Running,
    pub(super) counter: Counter,
}

impl SendQueue {
    /// The end of a link over which the greeting was sent.
    pub(super) fn new(mut pipe: Pipe) -> Self {
        pipe.expect(1);
        SendQueue {
            pipe,
            kept: VecDeque::new(),
            let_go: 0,
            written: GREETING as u64,
            closed: false,
            watched: false,
            draft: Draft::default(),
        }
    }

    /// Sends parcels from the front, as many as go into one message, without waiting; how many it took.
    pub(super) fn send(&mut self, other: &Other, parcels: &mut VecDeque<Parcel>) -> Result<usize> {
        self.let_go(other);
        self.listen(other);
        if self.closed {
            return Err(other.gone());
        }
        let count =
            fitting(parcels.iter().map(|parcel| parcel.bytes.len())).min(MOST_KEPT.saturating_sub(self.kept.len()));
        let count = self.roomy(other, parcels, count);
        match parcels.front().map(|parcel| parcel.bytes.len()) {
            None => return Ok(0),
            Some(given) if given > Parcel::MOST_BYTES => {
                return Err(Error::TooManyBytes { given, limit: Parcel::MOST_BYTES });
            }
            Some(_) if count == 0 => return Err(Error::HandOffFull { pid: other.target.pid() }),
            Some(_) => {}
        }
        if !other.counter.begin_sending() {
            self.closed = true;
            return Err(other.gone());
        }
        let sent = self.transmit(other, parcels.iter().take(count));
        other.counter.end_sending();
        let count = sent?;
        self.kept.extend(parcels.drain(..count));
        Ok(count)
    }

    /// Of the first `count` parcels: for how many the pipe has room.
    fn roomy(&self, other: &Other, parcels: &VecDeque<Parcel>, mut count: usize) -> usize {
        let room = self.room(other);
        let mut bytes: usize = parcels.iter().take(count).map(|parcel| parcel.bytes.len()).sum();
        while count > 0 && Draft::size(count, bytes) > room {
            count -= 1;
            bytes -= parcels.get(count).map_or(0, |parcel| parcel.bytes.len());
        }
        count
    }

    /// How many bytes may be written.
    fn room(&self, other: &Other) -> usize {
        let unread = self.written.saturating_sub(other.counter.read());
        usize::try_from(u64::from(QUOTA).saturating_sub(unread)).unwrap_or_default()
    }

    /// Whether a parcel with so many bytes would be accepted now.
    pub(super) fn has_room(&self, other: &Other, bytes: usize) -> bool {
        self.kept.len() < MOST_KEPT && Draft::size(1, bytes) <= self.room(other)
    }

    /// Duplicates and writes.
    ///
    /// A duplicate that was made and is not written about stays in the target's handle table until it ends. So all
    /// that can refuse was asked before: then it comes to this only when this process dies in between, when the target
    /// does or lies, and when the kernel has no memory.
    fn transmit<'a>(&mut self, other: &Other, parcels: impl Iterator<Item = &'a Parcel>) -> Result<usize> {
        self.draft.clear();
        for parcel in parcels {
            let duplicated = parcel.socket.id().and_then(|id| {
                let genuine = duplicate_for(parcel.socket.as_socket(), other.target.pid());
                genuine.map(|genuine| (id.as_u64(), genuine)).map_err(|error| self.not_duplicated(other, &error))
            });
            match duplicated {
                Ok((id, genuine)) => self.draft.push(id, &genuine, &parcel.bytes),
                Err(error) if self.draft.len() == 0 => return Err(error),
                // It shows again when it is the first.
                Err(_) => break,
            }
        }
        let message = self.draft.finish();
        match self.pipe.write(message, WRITE_TIMEOUT) {
            Ok(()) => self.written += message.len() as u64,
            Err(error) => {
                self.closed = true;
                return Err(match error.raw_os_error().and_then(|code| u32::try_from(code).ok()) {
                    Some(ERROR_BROKEN_PIPE | ERROR_NO_DATA | ERROR_PIPE_NOT_CONNECTED | ERROR_OPERATION_ABORTED) => {
                        other.gone()
                    }
                    _ => Error::io("handing off")(error),
                });
            }
        }
        Ok(self.draft.len())
    }

    fn not_duplicated(&self, other: &Other, error: &io::Error) -> Error {
        match error.raw_os_error() {
            _ if other.process.has_ended() => other.gone(),
            Some(WSAENOTSOCK) => Error::NotASocket,
            code => Error::System { doing: "duplicating a socket to hand off", os_code: code.unwrap_or_default() },
        }
    }

    /// Closes the sockets of parcels that were taken; how many are left.
    pub(super) fn let_go(&mut self, other: &Other) -> usize {
        let taken = other.counter.taken().saturating_sub(self.let_go);
        // A target that claims to have taken more than it was sent harms itself alone.
        let count = usize::try_from(taken).map_or(self.kept.len(), |taken| taken.min(self.kept.len()));
        self.let_go += count as u64;
        drop(self.kept.drain(..count));
        self.kept.len()
    }

    /// Takes what the target sent, which is only ever that it took or read something, and notices its end.
    pub(super) fn listen(&mut self, other: &Other) {
        while !self.closed && !self.watched {
            match self.pipe.arrival() {
                Arrival::Pending => break,
                Arrival::Whole => self.pipe.expect(1),
                Arrival::Broken => self.closed = true,
            }
        }
        self.closed |= other.counter.is_left();
    }

    /// Ends the link: what the target's program has not taken by now, it will not.
    pub(super) fn reclaim(&mut self, other: &Other) -> Vec<Parcel> {
        other.counter.close();
        self.let_go(other);
        self.closed = true;
        std::mem::take(&mut self.kept).into()
    }
}

impl Other {
    pub(super) fn gone(&self) -> Error {
        let pid = self.target.pid();
        match self.counter.lacked_descriptors() {
            true => Error::TargetOutOfDescriptors { pid },
            false => Error::TargetGone { pid },
        }
    }
}
