//! Receiving what others hand off.

use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::hand_off::{Parcel, Receiver, load};
use crate::process::Process;
use crate::provider::Mailbox;
use crate::provider::linux::mail::{Frame, Listener, MOST_LINKS, Purpose, SIZE, is_from};
use crate::provider::linux::mailbox::Live;
use crate::provider::linux::sys::{ForkMark, Tally, receive_load, receive_rights};
use crate::socket::Socket;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many parcels are taken from one link before others get their turn.
const RUN: u32 = 64;
/// How many links are asked about at a time.
const EVENTS: usize = 64;
/// What the epoll instance says of the listener and of the bell; links count from 2.
const LISTENER: u64 = 0;
const BELL: u64 = 1;

/// The listener for links, the links, and what has come over them.
#[derive(Debug)]
pub(crate) struct Intake {
    epoll: OwnedFd,
    mark: ForkMark,
    me: Process,
    domain: Domain,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    listener: Listener,
    /// Readable while parcels are left that came with others in one message: for threads that wait, and for poll loops.
    bell: OwnedFd,
    rung: bool,
    links: HashMap<u64, Link>,
    /// Links that have something to read.
    due: VecDeque<u64>,
    /// The link that is being read, and how much longer.
    current: Option<(u64, u32)>,
    last: u64,
    buffer: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// A link that a sender opened.
#[derive(Debug)]
struct Link {
    socket: OwnedFd,
    /// Who is at its other end, and what the two count together; unknown until it said so and the kernel agreed.
    sender: Option<(Process, Tally)>,
    /// Parcels that came in one message and were not taken yet.
    parcels: VecDeque<Parcel>,
}

/// What reading a link came to.
enum Read {
    Some,
    Drained,
    Closed,
}

impl Mailbox {
    pub(crate) fn intake(&self) -> Result<Intake> {
        self.with_live(Intake::open)
    }
}

impl Intake {
    fn open(live: &Live) -> Result<Self> {
        let refused = Error::system("opening a receiver");
        let listener = Listener::open(&live.domain, &live.me, Purpose::HandOff)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(&refused)?;
        epoll::add(&epoll, listener.descriptor(), EventData::new_u64(LISTENER), EventFlags::IN).map_err(&refused)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(&refused)?;
        epoll::add(&epoll, &bell, EventData::new_u64(BELL), EventFlags::IN).map_err(&refused)?;
        let state = State {
            listener,
            bell,
            rung: false,
            links: HashMap::new(),
            due: VecDeque::new(),
            current: None,
            last: BELL,
            buffer: vec![0; load::MOST],
            descriptors: Vec::new(),
        };
        let mark = ForkMark::new().map_err(&refused)?;
        Ok(Intake { epoll, mark, me: live.me, domain: live.domain.clone(), state: Mutex::new(state) })
    }

    pub(crate) fn receive(&self) -> Result<Parcel> {
        loop {
            if let Some(parcel) = self.next(None)? {
                return Ok(parcel);
            }
        }
    }

    pub(crate) fn receive_within(&self, timeout: Duration) -> Result<Option<Parcel>> {
        let until = Instant::now() + timeout;
        loop {
            let parcel = self.next(Some(until))?;
            if parcel.is_some() || Instant::now() >= until {
                return Ok(parcel);
            }
        }
    }

    pub(crate) fn try_receive(&self) -> Result<Option<Parcel>> {
        let mut state = self.lock()?;
        loop {
            if let Some(parcel) = self.take(&mut state)? {
                return Ok(Some(parcel));
            }
            if !self.poll(&mut state)? {
                return Ok(None);
            }
        }
    }

    pub(crate) fn receive_many(&self, most: usize) -> Result<Vec<Parcel>> {
        let mut parcels = Vec::new();
        if most > 0 {
            parcels.push(self.receive()?);
        }
        let mut state = self.lock()?;
        while parcels.len() < most {
            match self.take(&mut state) {
                Ok(Some(parcel)) => parcels.push(parcel),
                // An error that lasts shows at the next call.
                Ok(None) | Err(_) => break,
            }
        }
        Ok(parcels)
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>> {
        match self.mark.is_mine() {
            true => Ok(self.state.lock().unwrap_or_else(PoisonError::into_inner)),
            false => Err(Error::Forked),
        }
    }

    fn take(&self, state: &mut State) -> Result<Option<Parcel>> {
        let parcel = state.take(&self.epoll, &self.me)?;
        if let Some(parcel) = &parcel {
            parcel.socket.share_in(&self.domain);
        }
        Ok(parcel)
    }

    /// Takes one parcel, or waits once.
    fn next(&self, until: Option<Instant>) -> Result<Option<Parcel>> {
        let mut state = self.lock()?;
        if let Some(parcel) = self.take(&mut state)? {
            return Ok(Some(parcel));
        }
        drop(state);
        // Not under the lock: other threads may take what they find.
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let mut events = Vec::with_capacity(EVENTS);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::system("waiting for parcels")(errno)),
        }
        let mut state = self.lock()?;
        state.due.extend(events.iter().map(|event: &Event| event.data.u64()));
        self.take(&mut state)
    }

    /// Asks without waiting which links have something; `false` when none has.
    fn poll(&self, state: &mut State) -> Result<bool> {
        let mut events = Vec::with_capacity(EVENTS);
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&now)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::system("looking for parcels")(errno)),
        }
        state.due.extend(events.iter().map(|event: &Event| event.data.u64()));
        Ok(!events.is_empty())
    }
}

impl State {
    /// Takes one parcel from the links that are known to have something.
    fn take(&mut self, epoll: &OwnedFd, me: &Process) -> Result<Option<Parcel>> {
        loop {
            let Some((id, left)) = self.current.take().or_else(|| self.due.pop_front().map(|id| (id, RUN))) else {
                return Ok(None);
            };
            match id {
                LISTENER => {
                    self.accept(epoll)?;
                    continue;
                }
                BELL => continue,
                _ => {}
            }
            // A link that is gone was due twice.
            let Some(link) = self.links.get_mut(&id) else { continue };
            if let Some(parcel) = link.parcels.pop_front() {
                self.current = Some((id, left));
                let (counted, more) = (link.count(), !link.parcels.is_empty());
                if more != self.rung {
                    self.ring(more);
                }
                if counted {
                    return Ok(Some(parcel));
                }
                // Its sender took it back.
                continue;
            }
            if left == 0 {
                // Others first; the epoll instance knows whether there is more.
                continue;
            }
            match link.read(&mut self.buffer, &mut self.descriptors, me) {
                Ok(Read::Some) => self.current = Some((id, left - 1)),
                Ok(Read::Drained) => {}
                Ok(Read::Closed) => self.close(epoll, id),
                Err(error) => {
                    // What did not find a place is its sender's again. A greeting waits.
                    if link.sender.is_some() {
                        self.close(epoll, id);
                    }
                    return Err(error);
                }
            }
        }
    }

    fn ring(&mut self, on: bool) {
        let rung = match on {
            true => rustix::io::write(&self.bell, &1_u64.to_ne_bytes()),
            false => rustix::io::read(&self.bell, &mut [0_u8; 8]),
        };
        if rung.is_ok() {
            self.rung = on;
        }
    }

    fn accept(&mut self, epoll: &OwnedFd) -> Result<()> {
        while let Some(socket) = self.listener.accept()? {
            if self.links.len() >= MOST_LINKS {
                continue;
            }
            self.last += 1;
            epoll::add(epoll, &socket, EventData::new_u64(self.last), EventFlags::IN)
                .map_err(Error::system("accepting a link"))?;
            self.links.insert(self.last, Link { socket, sender: None, parcels: VecDeque::new() });
            self.due.push_back(self.last);
        }
        Ok(())
    }

    fn close(&mut self, epoll: &OwnedFd, id: u64) {
        if let Some(link) = self.links.remove(&id) {
            let _ = epoll::delete(epoll, &link.socket);
        }
    }
}

impl Link {
    /// Counts one parcel as taken; `false` when its sender has taken it back.
    fn count(&self) -> bool {
        let Some((_, tally)) = &self.sender else { return false };
        let taken = tally.take();
        if taken && tally.was_asked() {
            // A sender that is gone, or that does not read, does not need to know.
            let _ = send(&self.socket, b"taken", SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
        taken
    }

    fn read(&mut self, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>, me: &Process) -> Result<Read> {
        let Some((source, tally)) = &self.sender else { return self.greet(me) };
        descriptors.clear();
        let load = match receive_load(&self.socket, buffer, descriptors) {
            Ok(Some(load)) => load,
            Err(Errno::AGAIN) => return Ok(Read::Drained),
            Ok(None) | Err(_) => return Ok(Read::Closed),
        };
        if load.lost {
            tally.lack_descriptors();
            return Err(Error::System {
                doing: "receiving what was handed off (no descriptor is free; its sender keeps it)",
                os_code: Errno::MFILE.raw_os_error(),
            });
        }
        let message = buffer.get(..load.length).and_then(|message| load::read(message, descriptors.len()));
        let Some(parts) = message else { return Ok(Read::Closed) };
        let sockets = descriptors.drain(..).map(Socket::from_trusted);
        self.parcels.extend(sockets.zip(parts).map(|(socket, bytes)| Parcel {
            socket,
            bytes: bytes.to_vec(),
            source: Some(*source),
        }));
        Ok(Read::Some)
    }

    /// Learns who opened the link.
    fn greet(&mut self, me: &Process) -> Result<Read> {
        let mut bytes = [0; SIZE];
        let arrival = match receive_rights(&self.socket, &mut bytes, false) {
            Ok(Some(arrival)) if arrival.length == SIZE => arrival,
            Err(Errno::AGAIN) => return Ok(Read::Drained),
            Err(errno @ (Errno::MFILE | Errno::NFILE)) => {
                return Err(Error::system("receiving what was handed off (no descriptor is free)")(errno));
            }
            _ => return Ok(Read::Closed),
        };
        match (Frame::from_bytes(&bytes), arrival.descriptors) {
            (Some(Frame::Hello(process)), [Some(file), None]) if is_from(&self.socket, &process, me) => {
                let Ok(tally) = Tally::adopt(&file) else { return Ok(Read::Closed) };
                self.sender = Some((process, tally));
                Ok(Read::Some)
            }
            _ => Ok(Read::Closed),
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
