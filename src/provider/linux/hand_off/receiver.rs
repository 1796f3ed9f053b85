//! Receiving what others hand off.

use super::greeting::{Greeted, Greeting, Heard};
use super::incoming::{Incoming, Taken};
use super::queue::{MOST_TOGETHER, Reader};
use crate::error::{Error, Result};
use crate::hand_off::{Parcel, Receiver, ReceiverName};
use crate::process::Process;
use crate::provider::InnerEndpoint;
use crate::provider::linux::closer::Link;
use crate::provider::linux::endpoint::Live;
use crate::provider::linux::mail::{Frame, Listener, Purpose, Quota, at_end};
use crate::provider::linux::sys::{ForkMark, send_rights, timer};
use crate::wait::{Deadline, Wait};
use foldhash::{HashMap, HashMapExt};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::{Errno, IoSlice};
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many messages are taken from one queue before others get their turn.
const RUN: u32 = 64;
/// So many links are accepted before what is known gets its turn.
const ACCEPTED: usize = 64;
/// How many queues are asked about at a time, and how often in a call that does not wait.
const EVENTS: usize = 64;
const LOOKS: usize = 16;
/// So many links that have not said whose they are may be open.
const MOST_SILENT: usize = 256;
/// So many queues may be of one process.
const OF_A_PROCESS: usize = 256;
/// How long a receiver that has as many queues as it may have waits before it asks whether it may have more by now.
const ASK_AFTER: Duration = Duration::from_secs(1);
/// What the epoll instance says of the listener; all else counts from 1.
const LISTENER: u64 = 0;
/// What it says of the timer.
const TIMER: u64 = u64::MAX;
/// What there is no descriptor free for is not told of for so long: it would be told of all the time.
const PAUSE: Duration = Duration::from_millis(50);

/// The listener for senders, their queues, and what is in them.
#[derive(Debug)]
pub(crate) struct InnerReceiver {
    epoll: OwnedFd,
    mark: ForkMark,
    me: Process,
    state: Mutex<ReceiverState>,
}

#[derive(Debug)]
struct ReceiverState {
    listener: Listener,
    /// In the order in which they came.
    greetings: BTreeMap<u64, Greeting>,
    queues: HashMap<u64, Incoming>,
    /// What has something to read.
    due: VecDeque<u64>,
    /// The queue that is being read, and how much longer.
    current: Option<(u64, u32)>,
    last: u64,
    reader: Reader,
    /// How many parcels of one message the program takes.
    appetite: usize,
    /// There are as many queues as there may be, so that links wait.
    is_full: bool,
    /// Goes off when what is muted is to be told of again.
    timer: OwnedFd,
    /// What could not be taken for want of a descriptor, and is not told of.
    muted: Vec<u64>,
    /// Where one parcel is put, before it is handed out.
    one: Vec<Parcel>,
}

impl InnerEndpoint {
    pub(crate) fn receiver(&self, name: &ReceiverName) -> Result<InnerReceiver> {
        self.with_live(|live| InnerReceiver::open(live, name))
    }
}

impl InnerReceiver {
    fn open(live: &Live, name: &ReceiverName) -> Result<Self> {
        let refused = Error::system("opening a receiver");
        let listener = Listener::open(&live.domain, &live.me, Purpose::HandOff(name))?;
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(&refused)?;
        epoll::add(&epoll, &**listener.descriptor(), EventData::new_u64(LISTENER), EventFlags::IN).map_err(&refused)?;
        let timer = timer::new().map_err(&refused)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN).map_err(&refused)?;
        let state = ReceiverState {
            listener,
            greetings: BTreeMap::new(),
            queues: HashMap::new(),
            due: VecDeque::new(),
            current: None,
            last: LISTENER,
            reader: Reader::new(&live.domain),
            appetite: 1,
            is_full: false,
            timer,
            muted: Vec::new(),
            one: Vec::new(),
        };
        let mark = ForkMark::new().map_err(&refused)?;
        Ok(InnerReceiver { epoll, mark, me: live.me, state: Mutex::new(state) })
    }

    pub(crate) fn receive(&self, wait: Wait) -> Result<Option<Parcel>> {
        let deadline = wait.begin();
        loop {
            let parcel = self.next(&deadline)?;
            if parcel.is_some() || deadline.is_over() {
                return Ok(parcel);
            }
        }
    }

    pub(crate) fn try_receive(&self) -> Result<Option<Parcel>> {
        let mut state = self.lock()?;
        // Each queue may have come to its end.
        for _ in 0..LOOKS + state.queues.len() / EVENTS {
            if let Some(parcel) = self.take_one(&mut state)? {
                return Ok(Some(parcel));
            }
            if !self.poll(&mut state)? {
                return self.take_one(&mut state);
            }
        }
        let parcel = self.take_one(&mut state)?;
        if parcel.is_none() && !state.is_full {
            // More links wait, and who is told of changes alone is to hear of them again: that is a change only once the
            // epoll instance has noticed that nothing was to be told of them.
            state.hear_listener(&self.epoll, EventFlags::empty());
            self.poll(&mut state)?;
            state.hear_listener(&self.epoll, EventFlags::IN);
        }
        Ok(parcel)
    }

    pub(crate) fn receive_many(&self, most: usize) -> Result<Vec<Parcel>> {
        let mut parcels = Vec::new();
        if most == 0 {
            return Ok(parcels);
        }
        let deadline = Wait::forever().begin();
        loop {
            let mut state = self.lock()?;
            // A message that has more than there will ever be room for could not be received.
            state.appetite = most.min(Quota::here(1).links / 2).clamp(1, MOST_TOGETHER);
            state.take(&self.epoll, &self.me, most, true, &mut parcels)?;
            while !parcels.is_empty() && parcels.len() < most {
                let before = parcels.len();
                // An error that lasts shows at the next call.
                let more = state.take(&self.epoll, &self.me, most - before, false, &mut parcels);
                if more.is_err() || parcels.len() == before {
                    break;
                }
            }
            if !parcels.is_empty() {
                return Ok(parcels);
            }
            let is_full = state.is_full;
            drop(state);
            let events = self.wait(&deadline, is_full)?;
            self.lock()?.due.extend(events);
        }
    }

    fn lock(&self) -> Result<MutexGuard<'_, ReceiverState>> {
        match self.mark.is_mine() {
            true => Ok(self.state.lock().unwrap_or_else(PoisonError::into_inner)),
            false => Err(Error::Forked),
        }
    }

    fn take_one(&self, state: &mut ReceiverState) -> Result<Option<Parcel>> {
        let mut one = std::mem::take(&mut state.one);
        let taken = state.take(&self.epoll, &self.me, 1, true, &mut one);
        let parcel = one.pop();
        state.one = one;
        taken?;
        Ok(parcel)
    }

    /// Takes one parcel, or waits once.
    fn next(&self, deadline: &Deadline) -> Result<Option<Parcel>> {
        let mut state = self.lock()?;
        if let Some(parcel) = self.take_one(&mut state)? {
            return Ok(Some(parcel));
        }
        let is_full = state.is_full;
        // Not under the lock: other threads may take what they find.
        drop(state);
        let events = self.wait(deadline, is_full)?;
        let mut state = self.lock()?;
        state.due.extend(events);
        self.take_one(&mut state)
    }

    fn wait(&self, deadline: &Deadline, is_full: bool) -> Result<Vec<u64>> {
        let left = deadline.left();
        // Nothing wakes it when its limit of descriptors is raised.
        let left = if is_full { Some(left.map_or(ASK_AFTER, |left| left.min(ASK_AFTER))) } else { left };
        self.events(left.and_then(|left| Timespec::try_from(left).ok()).as_ref(), deadline)
    }

    fn events(&self, timeout: Option<&Timespec>, deadline: &Deadline) -> Result<Vec<u64>> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout) {
            Ok(_) => Ok(events.iter().map(|event| event.data.u64()).collect()),
            Err(Errno::INTR) => deadline.signalled().map(|()| Vec::new()),
            Err(errno) => Err(Error::system("waiting for parcels")(errno)),
        }
    }

    /// Asks without waiting which queues have something; `false` when none has.
    fn poll(&self, state: &mut ReceiverState) -> Result<bool> {
        let events = self.events(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }), &Wait::none().begin())?;
        let some = !events.is_empty();
        state.due.extend(events);
        Ok(some)
    }
}

impl ReceiverState {
    /// Takes parcels of one message from the queues that are known to have something.
    fn take(
        &mut self,
        epoll: &OwnedFd,
        me: &Process,
        wanted: usize,
        split: bool,
        taken: &mut Vec<Parcel>,
    ) -> Result<()> {
        self.hear_again(epoll);
        self.unmute(epoll);
        loop {
            let current = self.current.take();
            let Some((id, left)) = current.or_else(|| self.due.pop_front().map(|id| (id, RUN))) else {
                return Ok(());
            };
            let step = self.step(epoll, me, id, (current.is_some(), left), (wanted, split), taken);
            match step {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    if error.is_lack() {
                        self.mute(epoll, id);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Looks at the listener, a greeting or a queue; whether to go on with the next.
    fn step(
        &mut self,
        epoll: &OwnedFd,
        me: &Process,
        id: u64,
        (is_current, left): (bool, u32),
        (wanted, split): (usize, bool),
        taken: &mut Vec<Parcel>,
    ) -> Result<bool> {
        if id == TIMER {
            // What it was set for was told of again.
            return Ok(true);
        }
        if id == LISTENER {
            return self.accept(epoll, me).map(|()| true);
        }
        if !self.greetings.is_empty() && self.greetings.contains_key(&id) {
            return self.greet(epoll, me, id).map(|()| true);
        }
        // One that is gone was due twice.
        let Some(queue) = self.queues.get_mut(&id) else { return Ok(true) };
        if left == 0 {
            // Others first; the epoll instance knows whether there is more.
            return Ok(true);
        }
        let came = queue.take(wanted, split, &mut self.reader, taken)?;
        if is_current {
            queue.eager.learn(came != Taken::Nothing);
        }
        match came {
            Taken::Some => {
                if wanted == 1 && queue.has_begun() {
                    // The program takes one at a time after all.
                    self.appetite = 1;
                }
                queue.tell(self.appetite);
                // The epoll instance knows whether there is more.
                if wanted > 1 || queue.has_begun() || queue.eager.reads_on() {
                    self.current = Some((id, left - 1));
                }
                return Ok(false);
            }
            Taken::TooMany => {
                self.current = Some((id, left));
                return Ok(false);
            }
            Taken::Nothing => {}
            Taken::Over => self.close(epoll, id),
        }
        Ok(true)
    }

    /// Has nothing told of what cannot be taken now, for a while. One that has hung up is told of whatever is asked for, so it
    /// leaves the epoll instance.
    fn mute(&mut self, epoll: &OwnedFd, id: u64) {
        if let Some(descriptor) = self.descriptor(id) {
            let _ = epoll::delete(epoll, descriptor);
        }
        if !self.muted.contains(&id) {
            self.muted.push(id);
        }
        let _ = timer::set(&self.timer, Some(PAUSE));
    }

    /// Tries what is muted again.
    fn unmute(&mut self, epoll: &OwnedFd) {
        if self.muted.is_empty() {
            return;
        }
        let _ = timer::set(&self.timer, None);
        for id in std::mem::take(&mut self.muted) {
            let Some(descriptor) = self.descriptor(id) else { continue };
            match epoll::add(epoll, descriptor, EventData::new_u64(id), EventFlags::IN) {
                Ok(()) | Err(Errno::EXIST) => self.due.push_back(id),
                // It is tried again with the others.
                Err(_) => self.mute(epoll, id),
            }
        }
    }

    fn descriptor(&self, id: u64) -> Option<BorrowedFd<'_>> {
        match id {
            LISTENER => Some(self.listener.descriptor().as_fd()),
            id => match self.greetings.get(&id) {
                Some(greeting) => Some(greeting.link.as_fd()),
                None => self.queues.get(&id).map(|queue| queue.queue.as_fd()),
            },
        }
    }

    fn accept(&mut self, epoll: &OwnedFd, me: &Process) -> Result<()> {
        for _ in 0..ACCEPTED {
            // More wait in the backlog, with all that was handed off over them.
            if self.has_all_queues() {
                // Nobody is woken for them until there is room.
                self.is_full = self.hear_listener(epoll, EventFlags::empty());
                return Ok(());
            }
            let Some(link) = self.listener.accept()? else { return Ok(()) };
            let link = self.reader.closer.guard_link(link);
            if at_end(&link) {
                continue;
            }
            self.last += 1;
            epoll::add(epoll, &link, EventData::new_u64(self.last), EventFlags::IN)
                .map_err(Error::system("accepting a sender"))?;
            self.greetings.insert(self.last, Greeting::new(link));
            self.greet(epoll, me, self.last)?;
            while let Some((oldest, greeting)) = self.greetings.first_key_value() {
                if self.greetings.len() <= Quota::here(OF_A_PROCESS).silent(MOST_SILENT) && !greeting.is_late() {
                    break;
                }
                let oldest = *oldest;
                self.close(epoll, oldest);
            }
        }
        Ok(())
    }

    /// Whether there are as many queues as there may be now.
    fn has_all_queues(&self) -> bool {
        self.queues.len() >= Quota::of_queues(OF_A_PROCESS).links
    }

    /// Hears the listener again when there is room for a queue: one was closed, or the limit of descriptors was raised.
    fn hear_again(&mut self, epoll: &OwnedFd) {
        if self.is_full && !self.has_all_queues() && self.hear_listener(epoll, EventFlags::IN) {
            self.is_full = false;
        }
    }

    /// Sets what is told of the listener; whether that could be done.
    fn hear_listener(&self, epoll: &OwnedFd, flags: EventFlags) -> bool {
        epoll::modify(epoll, &**self.listener.descriptor(), EventData::new_u64(LISTENER), flags).is_ok()
    }

    /// Learns who opened a link.
    fn greet(&mut self, epoll: &OwnedFd, me: &Process, id: u64) -> Result<()> {
        let Some(greeting) = self.greetings.get_mut(&id) else { return Ok(()) };
        let heard = match greeting.hear(&self.reader.closer, me) {
            Ok(heard) => heard,
            Err(error) => {
                // What was said is known, and the link need not become readable again.
                match error.is_lack() {
                    true => self.mute(epoll, id),
                    false => self.due.push_back(id),
                }
                return Err(error);
            }
        };
        match heard {
            Heard::Nothing => {}
            Heard::Refused => self.close(epoll, id),
            Heard::Greeted(greeted) => {
                if let Some(greeting) = self.greetings.remove(&id) {
                    let _ = epoll::delete(epoll, &greeting.link);
                    self.admit(epoll, greeting.link, greeted)?;
                }
            }
        }
        Ok(())
    }

    fn admit(&mut self, epoll: &OwnedFd, link: Link, greeted: Greeted) -> Result<()> {
        let open = self.queues.values().map(|queue| queue.opener);
        if !Quota::of_queues(OF_A_PROCESS).admits((greeted.process, greeted.uid), open) {
            let _ = send_rights(&link, &[IoSlice::new(&Frame::TooMany.to_bytes())], &[]);
            return Ok(());
        }
        self.last += 1;
        epoll::add(epoll, &greeted.queue, EventData::new_u64(self.last), EventFlags::IN)
            .map_err(Error::system("accepting a sender"))?;
        let mut queue = Incoming::new(link, greeted, &self.reader.closer);
        queue.tell(self.appetite);
        self.queues.insert(self.last, queue);
        self.due.push_back(self.last);
        Ok(())
    }

    /// Closes a queue or a link. Its sender may have a descriptor of the same, so it is taken from the epoll instance first.
    fn close(&mut self, epoll: &OwnedFd, id: u64) {
        if let Some(greeting) = self.greetings.remove(&id) {
            let _ = epoll::delete(epoll, &greeting.link);
        }
        if let Some(queue) = self.queues.remove(&id) {
            let _ = epoll::delete(epoll, &queue.queue);
            self.hear_again(epoll);
        }
    }
}

impl AsFd for Receiver {
    /// Readable when there may be something to receive: for a poll loop, with [`try_receive`](Receiver::try_receive).
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.epoll.as_fd()
    }
}

impl AsRawFd for Receiver {
    fn as_raw_fd(&self) -> RawFd {
        self.0.epoll.as_raw_fd()
    }
}
