//! One link that a sender opened, or is yet to open.

use super::counter::Counter;
use super::message::{GREETING, Greeting, LENGTH, Packed, read_length, read_load};
use crate::error::{Error, Result};
use crate::hand_off::Parcel;
use crate::process::Process;
use crate::provider::Shared;
use crate::provider::windows::sys::{Arrival, Pipe, is_lack, redeem};
use crate::socket::Socket;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// While a sender is between its duplicates and its message, whoever leaves looks so often whether it is done.
const PAUSE: Duration = Duration::from_millis(1);

/// The receiving end of a link.
#[derive(Debug)]
pub(super) struct Link {
    pipe: Pipe,
    stage: Stage,
    /// Who is at its other end, and what the two count together; unknown until it said so and the kernel agreed.
    sender: Option<(Process, Counter)>,
    /// Parcels that came in one message and were not taken yet. No more is read before they are.
    parcels: VecDeque<Packed>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Call,
    Greeting,
    Length,
    Load,
}

/// What one step came to.
#[derive(Debug)]
pub(super) enum Step {
    /// Somebody called.
    Called,
    /// There may be more.
    Some,
    Parcel(Parcel),
    Drained,
    Closed,
}

impl Link {
    /// A link that somebody may open from now on.
    pub(super) fn new(mut pipe: Pipe) -> std::io::Result<Self> {
        pipe.await_call()?;
        Ok(Link { pipe, stage: Stage::Call, sender: None, parcels: VecDeque::new() })
    }

    pub(super) fn was_called(&self) -> bool {
        self.stage != Stage::Call
    }

    /// Takes one parcel, or reads one more piece of what there is. After an error the link is to be ended.
    pub(super) fn step(&mut self) -> Result<Step> {
        match self.parcels.pop_front() {
            Some(packed) => self.unpack(packed),
            None => Ok(self.read()),
        }
    }

    /// Makes a parcel of what came, unless its sender has taken it back.
    fn unpack(&mut self, packed: Packed) -> Result<Step> {
        let Some((source, counter)) = &self.sender else { return Ok(Step::Closed) };
        let socket = match redeem(&packed.genuine) {
            Ok(socket) => socket,
            Err(error) if is_lack(&error) && !counter.is_closed() => {
                counter.lack_descriptors();
                self.parcels.push_front(packed);
                return Err(Error::io("receiving what was handed off (no socket can be made; its sender keeps it)")(
                    error,
                ));
            }
            Err(_) => return Ok(Step::Closed),
        };
        // Not before there is a socket: what cannot be made is its sender's still. Not after, or both would have it.
        if !counter.take() {
            return Ok(Step::Some);
        }
        let parcel = Parcel {
            socket: Socket::from_parts(socket.into(), Shared::with_id(packed.id)),
            bytes: packed.bytes,
            source: Some(*source),
        };
        self.tell();
        Ok(Step::Parcel(parcel))
    }

    /// Tells the sender that something was taken or read, if it asked.
    fn tell(&self) {
        if self.sender.as_ref().is_some_and(|(_, counter)| counter.was_asked()) {
            // There is room for one byte each time a sender asks; one that lies gets none.
            let _ = self.pipe.write(b"t", Duration::ZERO);
        }
    }

    fn read(&mut self) -> Step {
        if self.stage == Stage::Call {
            return match self.pipe.was_called() {
                Arrival::Pending => Step::Drained,
                Arrival::Broken => Step::Closed,
                Arrival::Whole => self.expect(Stage::Greeting, GREETING, Step::Called),
            };
        }
        match self.pipe.arrival() {
            Arrival::Pending => return Step::Drained,
            Arrival::Broken => return Step::Closed,
            Arrival::Whole => {}
        }
        self.digest().unwrap_or(Step::Closed)
    }

    fn expect(&mut self, stage: Stage, length: usize, step: Step) -> Step {
        self.stage = stage;
        self.pipe.expect(length);
        step
    }

    /// Understands what has arrived.
    fn digest(&mut self) -> Option<Step> {
        let bytes = self.pipe.arrived()?;
        let arrived = bytes.len();
        let (stage, next) = match self.stage {
            Stage::Call | Stage::Greeting => {
                self.sender = Some(greet(&self.pipe, bytes)?);
                (Stage::Length, LENGTH)
            }
            Stage::Length => (Stage::Load, read_length(bytes)?),
            Stage::Load => {
                self.parcels = read_load(bytes)?.into();
                (Stage::Length, LENGTH)
            }
        };
        if let Some((_, counter)) = &self.sender {
            counter.count_read(arrived);
        }
        self.tell();
        Some(self.expect(stage, next, Step::Some))
    }

    /// Closes the link. What came and what is on its way lies in this process's handle table already: it is discarded,
    /// which takes until `until` at most.
    pub(super) fn end(mut self, until: Instant) {
        loop {
            self.parcels.drain(..).for_each(|packed| drop(redeem(&packed.genuine)));
            let step = match &self.sender {
                Some((_, counter)) => {
                    counter.leave();
                    let is_sending = counter.is_sending();
                    (self.read(), is_sending)
                }
                None => (self.read(), false),
            };
            match step {
                (Step::Closed, _) => return,
                (Step::Drained, false) => return,
                _ if Instant::now() >= until => return,
                (Step::Drained, true) => std::thread::sleep(PAUSE),
                _ => {}
            }
        }
    }
}

/// Who greets, when the kernel agrees.
fn greet(pipe: &Pipe, bytes: &[u8]) -> Option<(Process, Counter)> {
    let Greeting { process, ticket } = Greeting::from_bytes(bytes)?;
    let agreed = pipe.client_pid().is_ok_and(|pid| pid == process.pid()) && may_be(&process);
    // Not before: a counter is taken from who may give it.
    if agreed { Some((process, Counter::adopt(ticket).ok()?)) } else { None }
}

/// Whether the process that has this id now does not contradict: it may have ended, and the id be another's since.
fn may_be(process: &Process) -> bool {
    let start = |process: Process| process.to_bytes().get(4..12)?.try_into().ok().map(u64::from_le_bytes);
    Process::from_pid(process.pid()).map_or(true, |now| start(now) >= start(*process))
}
