//! What was handed off to one target and is kept until its program has taken it.

use crate::error::{Error, Result};
use crate::hand_off::load::{MOST_PARCELS, fitting, write_head};
use crate::hand_off::{Parcel, Refused};
use crate::process::Process;
use crate::provider::linux::mail::{Duty, Wait};
use crate::provider::linux::sys::{ForkMark, MOST_RIGHTS, Tally, send_load};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, IoSlice};
use rustix::net::{RecvFlags, Shutdown, recv, shutdown};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

// A load goes in one message, with a descriptor for each parcel.
const _: () = assert!(MOST_PARCELS <= MOST_RIGHTS);
/// The most parcels that are kept, and so the most descriptors.
const MOST_KEPT: usize = 4096;
/// While parcels are taken all the time, the courier looks so often.
const TICK: Duration = Duration::from_millis(1);
/// What has been taken is let go after so many more, or when the courier looks.
const LET_GO_EVERY: usize = 64;
/// A sender that waits is woken at once for so much room, and for less when nothing is being taken.
const WORTH_WAKING: usize = MOST_KEPT / 4;
/// Between two attempts when too many descriptors are in flight.
const PAUSE: Duration = Duration::from_millis(10);

/// The sending end of a link for parcels.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) target: Process,
    pub(super) mark: ForkMark,
    link: Arc<OwnedFd>,
    tally: Tally,
    state: Mutex<State>,
    /// Notified when parcels were taken, or the link is at its end.
    pub(super) changed: Condvar,
    /// Whether the courier looks after this outbox now; else it must be rung.
    attended: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct State {
    kept: VecDeque<Parcel>,
    /// How many of all that were ever sent have left `kept`.
    let_go: u64,
    /// What has been taken is let go when so much is kept.
    let_go_at: usize,
    /// The link is at its end.
    pub(super) closed: bool,
    /// The program let go of the sender.
    pub(super) dropped: bool,
    /// How many threads wait for room, or for all to be taken.
    pub(super) waiting: usize,
    /// Why the kernel took no message at the last attempt.
    blocked: Option<Blocked>,
    /// What the courier saw when it last looked.
    seen: (u64, usize),
    head: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Blocked {
    /// The kernel's queue is full.
    Queue,
    /// Too many descriptors are in flight, or memory is short: nothing tells when that ends, so it is tried then.
    Flight(Instant),
}

impl Outbox {
    pub(super) fn new(target: Process, link: OwnedFd, tally: Tally) -> Result<Self> {
        Ok(Outbox {
            target,
            mark: ForkMark::new().map_err(Error::system("marking a sender"))?,
            link: Arc::new(link),
            tally,
            state: Mutex::default(),
            changed: Condvar::new(),
            attended: AtomicBool::new(false),
        })
    }

    pub(super) fn link(&self) -> &Arc<OwnedFd> {
        &self.link
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the courier has to be rung, which is so once after it has nothing to look after.
    pub(super) fn needs_courier(&self) -> bool {
        !self.attended.load(Ordering::Relaxed) && !self.attended.swap(true, Ordering::SeqCst)
    }

    /// Sends one parcel, without waiting.
    pub(super) fn send_one(&self, state: &mut State, parcel: Parcel) -> Result<(), Box<Refused>> {
        let length = parcel.bytes.len();
        let accepted = match self.make_room(state) {
            Ok(_) if length > Parcel::MOST_BYTES => {
                Err(Error::TooManyBytes { given: length, limit: Parcel::MOST_BYTES })
            }
            Ok(0) => Err(self.full()),
            Ok(_) => {
                write_head(&mut state.head, std::iter::once(length));
                let both = [IoSlice::new(&state.head), IoSlice::new(&parcel.bytes)];
                send_load(&*self.link, &both, &[parcel.socket.as_fd()]).map_err(|errno| self.failed(state, errno))
            }
            Err(error) => Err(error),
        };
        match accepted {
            Ok(()) => {
                parcel.socket.end_watch();
                state.kept.push_back(parcel);
                Ok(())
            }
            Err(error) => Err(Box::new(Refused { error, parcel })),
        }
    }

    /// Sends parcels from the front, as many as go into one message, without waiting; how many it took.
    pub(super) fn send_many(&self, state: &mut State, parcels: &mut VecDeque<Parcel>) -> Result<usize> {
        let room = self.make_room(state)?;
        let count = fitting(parcels.iter().map(|parcel| parcel.bytes.len())).min(room);
        if count == 0 {
            return match parcels.front().map(|parcel| parcel.bytes.len()) {
                Some(given) if given > Parcel::MOST_BYTES => {
                    Err(Error::TooManyBytes { given, limit: Parcel::MOST_BYTES })
                }
                Some(_) => Err(self.full()),
                None => Ok(0),
            };
        }
        write_head(&mut state.head, parcels.iter().take(count).map(|parcel| parcel.bytes.len()));
        let bytes = parcels.iter().take(count).map(|parcel| &parcel.bytes[..]).filter(|bytes| !bytes.is_empty());
        let parts: Vec<_> = std::iter::once(&state.head[..]).chain(bytes).map(IoSlice::new).collect();
        let descriptors: Vec<_> = parcels.iter().take(count).map(|parcel| parcel.socket.as_fd()).collect();
        match send_load(&*self.link, &parts, &descriptors) {
            Ok(()) => {
                let sent = parcels.drain(..count).inspect(|parcel| parcel.socket.end_watch());
                state.kept.extend(sent);
                Ok(count)
            }
            Err(errno) => Err(self.failed(state, errno)),
        }
    }

    /// How many parcels may be sent.
    fn make_room(&self, state: &mut State) -> Result<usize> {
        if state.kept.len() >= state.let_go_at {
            // Not at each: the tally lies in memory that the target writes to all the time.
            let left = self.let_go(state);
            state.let_go_at = (left + LET_GO_EVERY).min(MOST_KEPT);
        }
        if state.closed {
            return Err(self.gone());
        }
        Ok(MOST_KEPT.saturating_sub(state.kept.len()))
    }

    fn failed(&self, state: &mut State, errno: Errno) -> Error {
        match errno {
            Errno::AGAIN => {
                state.blocked = Some(Blocked::Queue);
                self.full()
            }
            Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM => {
                state.blocked = Some(Blocked::Flight(Instant::now() + PAUSE));
                self.full()
            }
            Errno::PIPE | Errno::CONNRESET => {
                state.closed = true;
                self.gone()
            }
            errno => Error::system("handing off")(errno),
        }
    }

    fn full(&self) -> Error {
        Error::HandOffFull { pid: self.target.pid() }
    }

    pub(super) fn gone(&self) -> Error {
        let pid = self.target.pid();
        match self.tally.lacked_descriptors() {
            true => Error::TargetOutOfDescriptors { pid },
            false => Error::TargetGone { pid },
        }
    }

    /// Closes the descriptors of parcels that were taken; how many are left.
    pub(super) fn let_go(&self, state: &mut State) -> usize {
        let taken = self.tally.taken().saturating_sub(state.let_go);
        // A target that claims to have taken more than it was sent harms itself alone.
        let count = usize::try_from(taken).map_or(state.kept.len(), |taken| taken.min(state.kept.len()));
        state.let_go += count as u64;
        drop(state.kept.drain(..count));
        state.kept.len()
    }

    /// Takes what the target sent, which is only ever that it took something, and notices its end.
    pub(super) fn listen(&self, state: &mut State) {
        let mut word = [0_u8; 8];
        while !state.closed {
            match recv(&*self.link, &mut word, RecvFlags::DONTWAIT) {
                Ok((1.., _)) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Ok(_) | Err(_) => state.closed = true,
            }
        }
    }

    /// Ends the link: what the target's program has not taken by now, it will not.
    pub(super) fn reclaim(&self, state: &mut State) -> Vec<Parcel> {
        self.tally.close();
        let _ = shutdown(&*self.link, Shutdown::Both);
        self.let_go(state);
        state.closed = true;
        state.kept.drain(..).collect()
    }
}

impl Duty for Outbox {
    fn tend(&self, wait: &mut Wait) -> bool {
        let mut state = self.lock();
        self.attended.store(true, Ordering::SeqCst);
        self.listen(&mut state);
        self.let_go(&mut state);
        let waiting = state.waiting > 0;
        if waiting && !state.closed && state.seen == state.activity() {
            // Before the last look at the tally, or a take in between would go unnoticed.
            self.tally.ask();
            self.let_go(&mut state);
        }
        // While they are being taken, more room is worth a moment: it makes fuller messages.
        let free = MOST_KEPT.saturating_sub(state.kept.len());
        let enough = free >= WORTH_WAKING || (free > 0 && state.seen == state.activity());
        let room = enough && self.unblocked(&mut state, wait);
        if waiting && (state.closed || room || state.kept.is_empty()) {
            self.changed.notify_all();
        }
        if state.closed || (state.kept.is_empty() && !waiting) {
            self.attended.store(false, Ordering::SeqCst);
            return !state.dropped;
        }
        if state.seen != state.activity() {
            // Parcels are sent and taken: look again soon, rather than be told of each.
            state.seen = state.activity();
            wait.at_most(TICK);
            return true;
        }
        self.tally.ask();
        if self.tally.taken() > state.let_go {
            wait.at_most(TICK);
        }
        wait.ready(&self.link, PollFlags::IN);
        true
    }
}

impl Outbox {
    /// Whether the kernel takes messages again after it refused one; else waits for that, if somebody needs it.
    fn unblocked(&self, state: &mut State, wait: &mut Wait) -> bool {
        match state.blocked {
            None => return true,
            Some(_) if state.waiting == 0 => return false,
            Some(Blocked::Queue) if is_writable(&self.link) => {}
            Some(Blocked::Queue) => {
                wait.ready(&self.link, PollFlags::OUT);
                return false;
            }
            Some(Blocked::Flight(until)) if until <= Instant::now() => {}
            Some(Blocked::Flight(_)) => {
                wait.at_most(PAUSE);
                return false;
            }
        }
        state.blocked = None;
        true
    }
}

impl State {
    /// Changes with every parcel that is sent or taken.
    fn activity(&self) -> (u64, usize) {
        (self.let_go, self.kept.len())
    }
}

fn is_writable(link: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(link, PollFlags::OUT)], Some(&now)), Ok(1..))
}
