//! Handing sockets off to one target.

use super::lingering::{INSTALLED, Lingering, SOME, SWIFT, SWIFT_EACH};
use super::progress::{Progress, drain};
use super::queue::{MOST_TOGETHER, Read, Reader, drop_first, first_count, is_readable};
use super::sent::Sent;
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::hand_off::load::{fitting, write_head};
use crate::hand_off::{Parcel, ReceiverName, Refused, Sender};
use crate::process::Process;
use crate::provider::InnerEndpoint;
use crate::provider::linux::closer::{Closer, Link, Queue};
use crate::provider::linux::endpoint::Live;
use crate::provider::linux::mail::{Addressee, Frame, Purpose, connect, hung_up, make_queue, read_frame};
use crate::provider::linux::process::{Handle, Peer};
use crate::provider::linux::sys::{
    Exclusive, ForkMark, Look, gates_left, new_gate, peek_first, send_rights, take_gates,
};
use crate::socket::SocketRef;
use crate::wait::{Deadline, Wait};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::{Errno, IoSlice, ioctl_fionread};
use rustix::net::{Shutdown, shutdown};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most parcels that a target may leave untaken.
const MOST_UNTAKEN: usize = 4096;
/// Between two attempts when too many descriptors are in flight, or no descriptor is free to wait with.
const PAUSE: Duration = Duration::from_millis(10);
/// A flush looks so often, whatever it is told.
const GLANCE: Duration = Duration::from_millis(100);
/// How long a target that lives may keep its queue to itself while its parcels are reclaimed; it does for microseconds.
const SETTLED_WITHIN: Duration = Duration::from_millis(100);
/// So much of what a target says is read at a time.
const BUDGET: usize = 16;

/// That a target receives is asked again after this: one that ended within it could as well have ended after. Asking
/// delays the parcel; a target that was killed is not reaped faster.
const SURE_FOR: Duration = Duration::from_micros(800);
const STOPPED: &str = "reclaiming what was handed off (its target was stopped while it took something; try again)";

/// The sending end of a queue for parcels.
#[derive(Debug)]
pub(crate) struct InnerSender {
    target: Process,
    mark: ForkMark,
    closer: Closer,
    domain: Domain,
    /// Where the target was greeted, says what it wants, and hangs up when it closes its receiver or becomes another program.
    link: Link,
    /// The target: it tells its end although children that it forked have its descriptors still.
    peer: Peer,
    /// Parcels go in here.
    queue: Link,
    /// A second descriptor of the end at which they come out.
    back: Queue,
    /// Readable when the target has ended or closed its receiver.
    watch: OwnedFd,
    lingering: Lingering,
    state: Mutex<SenderState>,
}

#[derive(Debug)]
struct SenderState {
    asked: Option<Instant>,
    sent: Sent,
    /// How many parcels of one message the target takes at a time.
    appetite: usize,
    /// The target has ended, or closed its receiver, or what it did not take was reclaimed.
    over: bool,
    turned_away: bool,
    head: Vec<u8>,
}

impl InnerEndpoint {
    pub(crate) fn sender(&self, target: Process, receiver: &ReceiverName) -> Result<InnerSender> {
        self.with_live(|live| InnerSender::open(live, target, receiver))
    }
}

impl InnerSender {
    fn open(live: &Live, target: Process, receiver: &ReceiverName) -> Result<Self> {
        let refused = Error::system("making a queue for parcels");
        let (queue, back) = make_queue(&target, receiver).map_err(&refused)?;
        let closer = live.domain.closer();
        let addressee = Addressee::Process(&target);
        let (link, peer) = connect(&live.domain, &live.me, addressee, Purpose::HandOff(receiver), &[back.as_fd()])?;
        let watch = epoll::create(CreateFlags::CLOEXEC).map_err(&refused)?;
        let nothing = EventData::new_u64(0);
        // That it hangs up is told without being asked for.
        epoll::add(&watch, &link, nothing, EventFlags::empty()).map_err(&refused)?;
        if let Some(end) = peer.handle.as_ref().and_then(Handle::end) {
            epoll::add(&watch, end, nothing, EventFlags::IN).map_err(&refused)?;
        }
        let state = SenderState {
            asked: None,
            sent: Sent::default(),
            appetite: 1,
            over: false,
            turned_away: false,
            head: Vec::new(),
        };
        Ok(InnerSender {
            target,
            mark: ForkMark::new().map_err(Error::system("marking a sender"))?,
            queue: closer.guard_link(queue),
            back: closer.guard_queue(back),
            closer,
            domain: live.domain.clone(),
            link,
            peer,
            watch,
            lingering: Lingering::default(),
            state: Mutex::new(state),
        })
    }

    pub(crate) fn target(&self) -> Process {
        self.target
    }

    pub(crate) fn hand_off(&self, parcel: Parcel, wait: Wait) -> Result<(), Box<Refused>> {
        match self.send_waiting(parcel.socket.as_fd(), &parcel.bytes, wait) {
            Ok(sent) => {
                self.lingering.close(&self.closer, parcel.socket.into(), sent + SWIFT < Instant::now());
                Ok(())
            }
            Err(error) => Err(Box::new(Refused { error, parcel })),
        }
    }

    pub(crate) fn hand_off_copy(&self, socket: &SocketRef<'_>, bytes: &[u8], wait: Wait) -> Result<()> {
        // A receiver takes every descriptor for a socket's.
        socket.id()?;
        socket.share_in(&self.domain);
        self.send_waiting(socket.descriptor(), bytes, wait).map(drop)
    }

    /// Sends one parcel, waiting while there is no room for it; when that began.
    fn send_waiting(&self, socket: BorrowedFd<'_>, bytes: &[u8], wait: Wait) -> Result<Instant> {
        let deadline = wait.begin();
        let mut waiting = None;
        loop {
            match self.send_one(socket, bytes) {
                Err(Error::HandOffFull { .. }) if !deadline.is_over() => {
                    self.wait(&mut waiting, Some(PAUSE), &deadline)?;
                }
                sent => return sent,
            }
        }
    }

    fn send_one(&self, socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<Instant> {
        self.check()?;
        if bytes.len() > Parcel::MOST_BYTES {
            return Err(Error::TooManyBytes { given: bytes.len(), limit: Parcel::MOST_BYTES });
        }
        let state = &mut *self.lock();
        write_head(&mut state.head, std::iter::once(bytes.len()));
        self.send(state, &[bytes], &[socket], 1)
    }

    pub(crate) fn try_hand_off_many(&self, parcels: &mut VecDeque<Parcel>) -> Result<usize> {
        self.check()?;
        let mut accepted = 0;
        while !parcels.is_empty() {
            match self.send_some(parcels) {
                Ok(count) => accepted += count,
                Err(error) if accepted == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(accepted)
    }

    pub(crate) fn hand_off_many(&self, parcels: &mut VecDeque<Parcel>) -> Result<()> {
        let (mut waiting, deadline) = (None, Wait::forever().begin());
        while !parcels.is_empty() {
            match self.try_hand_off_many(parcels) {
                Err(Error::HandOffFull { .. }) => self.wait(&mut waiting, Some(PAUSE), &deadline)?,
                accepted => drop(accepted?),
            }
        }
        Ok(())
    }

    /// Sends parcels from the front, as many as the target takes of one message, without waiting; how many it sent.
    fn send_some(&self, parcels: &mut VecDeque<Parcel>) -> Result<usize> {
        let mut locked = self.lock();
        let state = &mut *locked;
        self.listen(state);
        let most = state.appetite.min(self.room(state)).max(1);
        let count = fitting(parcels.iter().map(|parcel| parcel.bytes.len())).min(most);
        if count == 0 {
            let given = parcels.front().map_or(0, |parcel| parcel.bytes.len());
            return Err(Error::TooManyBytes { given, limit: Parcel::MOST_BYTES });
        }
        write_head(&mut state.head, parcels.iter().take(count).map(|parcel| parcel.bytes.len()));
        let bytes: Vec<_> =
            parcels.iter().take(count).map(|parcel| &parcel.bytes[..]).filter(|bytes| !bytes.is_empty()).collect();
        let gate = match u32::try_from(count) {
            Ok(count @ 2..) => Some(new_gate(count).map_err(Error::system("handing off many sockets"))?),
            _ => None,
        };
        let sockets = parcels.iter().take(count).map(|parcel| parcel.socket.as_fd());
        let descriptors: Vec<_> = gate.iter().map(AsFd::as_fd).chain(sockets).collect();
        self.send(state, &bytes, &descriptors, count)?;
        drop(locked);
        // The target, too, needs its time for each; and first the kernel, to put all of them into its table.
        let mut expected = Instant::now() + SWIFT + INSTALLED * u32::try_from(count).unwrap_or(0);
        let mut late = false;
        // Not under the lock: an event registration that was made through it ends here, too.
        for (n, parcel) in parcels.drain(..count).enumerate() {
            if n % SOME == 0 {
                late |= expected < Instant::now();
                expected += SWIFT_EACH;
            }
            self.lingering.close(&self.closer, parcel.socket.into(), late);
        }
        Ok(count)
    }

    /// Sends one message, whose head was written; when that began.
    fn send(
        &self,
        state: &mut SenderState,
        bytes: &[&[u8]],
        descriptors: &[BorrowedFd<'_>],
        parcels: usize,
    ) -> Result<Instant> {
        let now = Instant::now();
        let is_sure = |asked| now.saturating_duration_since(asked) < SURE_FOR;
        if !state.asked.is_some_and(is_sure) {
            state.asked = Some(now);
            state.over |= self.has_gone();
        }
        if state.over {
            return Err(self.gone(state));
        }
        if self.room(state) == 0 {
            return Err(self.full());
        }
        let parts = std::iter::once(&state.head[..]).chain(bytes.iter().copied());
        let length: usize = parts.clone().map(<[u8]>::len).sum();
        let sent = match bytes {
            [only] => send_rights(&self.queue, &[IoSlice::new(&state.head), IoSlice::new(only)], descriptors),
            _ => send_rights(&self.queue, &parts.map(IoSlice::new).collect::<Vec<_>>(), descriptors),
        };
        match sent {
            Ok(()) => {
                state.sent.push(length as u64, parcels);
                Ok(now)
            }
            Err(Errno::AGAIN | Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM) => Err(self.full()),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(self.gone(state)),
            Err(errno) => Err(Error::system("handing off")(errno)),
        }
    }

    /// How many parcels may be sent.
    fn room(&self, state: &mut SenderState) -> usize {
        if state.sent.parcels() >= MOST_UNTAKEN {
            self.count(state);
        }
        MOST_UNTAKEN.saturating_sub(state.sent.parcels())
    }

    /// Asks the kernel what is left in the queue.
    fn count(&self, state: &mut SenderState) {
        if let Ok(bytes) = ioctl_fionread(&self.back) {
            state.sent.keep(bytes);
        }
    }

    /// How many parcels the target's program has not taken.
    fn untaken(&self, state: &mut SenderState) -> usize {
        self.count(state);
        let (parcels, first) = (state.sent.parcels(), state.sent.first());
        if first < 2 || first_count(&self.back) != Ok(Some(first)) {
            return parcels;
        }
        // Of the first message some may be taken: its gate tells.
        let left = peek_first(&self.back).and_then(|gate| gates_left(&gate));
        parcels - first + left.map_or(first, |left| left.min(first))
    }

    pub(crate) fn outstanding(&self) -> usize {
        if self.mark.is_mine() { self.untaken(&mut self.lock()) } else { 0 }
    }

    pub(crate) fn flush(&self, wait: Wait) -> Result<()> {
        let deadline = wait.begin();
        let mut waiting = None;
        loop {
            let count = self.left()?;
            if count == 0 {
                return Ok(());
            }
            if deadline.is_over() {
                return Err(Error::NotTaken { pid: self.target.pid(), count });
            }
            // Of many in one message the last can be taken, and the message stay for a moment.
            let at_most = deadline.left().map_or(GLANCE, |left| left.min(GLANCE));
            self.wait(&mut waiting, Some(at_most), &deadline)?;
        }
    }

    /// How many parcels the target's program has yet to take.
    ///
    /// # Errors
    /// Why it will take no more.
    fn left(&self) -> Result<usize> {
        self.check()?;
        let state = &mut *self.lock();
        let count = self.untaken(state);
        // It may have taken the last of them just before it ended.
        if count > 0 && self.is_over(state) && self.untaken(state) > 0 { Err(self.gone(state)) } else { Ok(count) }
    }

    pub(crate) fn is_closed(&self) -> bool {
        !self.mark.is_mine() || self.is_over(&mut self.lock())
    }

    pub(crate) fn reclaim(self) -> Vec<Parcel> {
        let mut all = Vec::new();
        while let Ok(some) = self.reclaim_some() {
            if some.is_empty() {
                break;
            }
            all.extend(some);
        }
        all
    }

    pub(crate) fn reclaim_some(&self) -> Result<Vec<Parcel>> {
        self.check()?;
        let mut state = self.lock();
        state.over = true;
        let _ = shutdown(&self.queue, Shutdown::Both);
        // A target that has closed its receiver has closed its end before the link.
        let alone = self.peer.has_ended() || hung_up(&self.link);
        self.count(&mut state);
        let most = state.sent.most();
        let _settled = if alone { None } else { Some(self.settle()?) };
        let mut reader = Reader::new(&self.domain);
        let mut back = Vec::new();
        loop {
            match self.take_back(&mut reader, alone, most) {
                Ok(Some(parcels)) => back.extend(parcels),
                Ok(None) => return Ok(back),
                Err(error) if back.is_empty() => return Err(error),
                Err(_) => return Ok(back),
            }
        }
    }

    /// Waits until the target is not in the middle of taking something that it looked at before.
    ///
    /// # Errors
    /// [`Error::System`] with `EBUSY` when it was stopped there: nothing is lost, and it can be tried again.
    fn settle(&self) -> Result<Exclusive<'_>> {
        let started = Instant::now();
        loop {
            match Exclusive::take(&self.back) {
                Err(Errno::AGAIN) if started.elapsed() < SETTLED_WITHIN => std::thread::yield_now(),
                Err(Errno::AGAIN) => return Err(Error::system(STOPPED)(Errno::BUSY)),
                taken => return taken.map_err(Error::system("reclaiming what was handed off")),
            }
        }
    }

    /// Takes one message out of the queue: its parcels that the target's program has not taken.
    fn take_back(&self, reader: &mut Reader, alone: bool, most: usize) -> Result<Option<Vec<Parcel>>> {
        // A target that lives takes messages, too: then one that was looked at need not be the one that is taken.
        let look = if alone { Look::Peek } else { Look::Take };
        if !alone && !reader.finds_room(&self.back, most) {
            return Err(Error::System {
                doing: "reclaiming what was handed off (descriptors are short; what was not taken waits)",
                os_code: Errno::MFILE.raw_os_error(),
            });
        }
        let mut parcels = Vec::new();
        let Read::Message(gate) = reader.read(&self.back, look, None, &mut parcels)? else { return Ok(None) };
        if alone {
            if let Err(errno) = drop_first(&self.back) {
                // It would come back again.
                parcels.into_iter().for_each(|parcel| _ = self.closer.close_own(parcel.socket.into()));
                return Err(Error::system("reclaiming what was handed off")(errno));
            }
        }
        let count = parcels.len();
        let left = gate.map_or(count, |gate| take_gates(gate, count));
        parcels.drain(..count - left).for_each(|parcel| _ = self.closer.close_own(parcel.socket.into()));
        Ok(Some(parcels))
    }

    fn lock(&self) -> MutexGuard<'_, SenderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> Result<()> {
        self.mark.is_mine().then_some(()).ok_or(Error::Forked)
    }

    fn full(&self) -> Error {
        Error::HandOffFull { pid: self.target.pid() }
    }

    fn gone(&self, state: &mut SenderState) -> Error {
        state.over = true;
        self.listen(state);
        let pid = self.target.pid();
        if state.turned_away { Error::TurnedAway { pid } } else { Error::TargetGone { pid } }
    }

    /// Whether the target has ended, or closed its receiver.
    fn has_gone(&self) -> bool {
        // Where no descriptor tells the end, it is asked for.
        let untold = self.peer.handle.as_ref().filter(|handle| handle.end().is_none());
        is_readable(&self.watch) || untold.is_some_and(Handle::has_ended)
    }

    fn is_over(&self, state: &mut SenderState) -> bool {
        state.over |= self.has_gone();
        state.over
    }

    /// Takes what the target says.
    fn listen(&self, state: &mut SenderState) {
        for _ in 0..BUDGET {
            match read_frame(&self.link, &self.closer, false) {
                Ok(Some((Frame::Appetite(parcels), _))) => {
                    state.appetite = usize::try_from(parcels).unwrap_or(1).clamp(1, MOST_TOGETHER);
                }
                Ok(Some((Frame::TooMany, _))) => state.turned_away = true,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Waits until the target has taken something since `waiting` was made, or has ended. At first it does not wait, for
    /// something may have been taken before.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if the caller is to be told of signals.
    fn wait(&self, waiting: &mut Option<OwnedFd>, at_most: Option<Duration>, deadline: &Deadline) -> Result<()> {
        if waiting.is_none() {
            *waiting = self.waiting().ok();
            if waiting.is_some() {
                return Ok(());
            }
        }
        let Some(waiting) = waiting else {
            std::thread::sleep(PAUSE);
            return Ok(());
        };
        let at_most = deadline.left().into_iter().chain(at_most).min();
        match drain(waiting, at_most) {
            Err(Errno::INTR) => deadline.signalled(),
            _ => Ok(()),
        }
    }

    pub(crate) fn progress(&self) -> Result<Progress> {
        self.check()?;
        self.waiting().map(Progress::new).map_err(Error::system("making a descriptor to wait for a target"))
    }

    /// Tells whenever the target takes something and there is room in the queue. While it is full, that is when most of it
    /// was taken, which makes fuller messages.
    fn waiting(&self) -> rustix::io::Result<OwnedFd> {
        let waiting = epoll::create(CreateFlags::CLOEXEC)?;
        let nothing = EventData::new_u64(0);
        epoll::add(&waiting, &self.queue, nothing, EventFlags::OUT | EventFlags::ET)?;
        epoll::add(&waiting, &self.watch, nothing, EventFlags::IN)?;
        Ok(waiting)
    }
}

impl Drop for InnerSender {
    fn drop(&mut self) {
        // A target that lives has the queue, with all that is on its way. One that does not receive any more takes nothing.
        if self.mark.is_mine() && self.has_gone() {
            self.closer.empty(&self.back);
        }
    }
}

impl AsFd for Sender {
    /// Readable when the target has ended or closed its receiver: for a poll loop.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.watch.as_fd()
    }
}
