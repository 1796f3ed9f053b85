//! The sockets that one event object or message queue watches, and what the kernel reports of them.
//!
//! No thread does it: whoever waits reads the reports, records them, and learns what is due.

mod enrol;

use super::notifier::{Content, Notifier, Open};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::network_events::NetworkEvents;
use crate::process::Process;
use crate::provider::linux::mail::Listener;
use crate::provider::linux::record::{NOTHING, Record, Slot, Table, UNKNOWN, arrivals, observe};
use crate::provider::linux::sys::{ForkMark, Interest, Look, receive_few};
use crate::socket::SocketId;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

/// So many reports are taken from the kernel at a time.
const REPORTS: usize = 64;
/// Number of wake-ups that are read before sockets get their turn.
const WAKE_UPS: usize = 256;
/// What the kernel says of the ready eventfd and of the waker; sockets have a slot below and a number above.
const READY: u64 = u64::MAX;
const WAKER: u64 = u64::MAX - 1;

/// What an event object and a message queue do with what is due.
pub(crate) trait Sink: Content {
    /// Whether events are told one by one.
    const MESSAGES: bool;
    fn due(&mut self, due: Due);
    fn lost(&mut self, lost: Lost);
}

/// Something may be due of a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    pub(crate) slot: u32,
    pub(crate) socket: SocketId,
    pub(crate) owner: u16,
    pub(crate) epoch: u16,
    pub(crate) events: NetworkEvents,
    pub(crate) descriptor: RawFd,
    pub(crate) id: u32,
}

/// A registration was taken over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost {
    pub(crate) socket: SocketId,
    pub(crate) descriptor: RawFd,
    pub(crate) id: u32,
}

#[derive(Debug)]
pub(crate) struct WatchSet<S: Sink> {
    domain: Domain,
    mark: ForkMark,
    epoll: OwnedFd,
    notifier: Notifier<S>,
    /// What others know it by: made with the first registration.
    owner_slot: OnceLock<OwnerSlot>,
    opening: Mutex<bool>,
    watched: Mutex<Watched>,
    me: Weak<Self>,
}

/// Its index among the owners of registrations, and where others wake it.
#[derive(Debug)]
struct OwnerSlot {
    owner: u16,
    waker: Listener,
}

#[derive(Debug, Default)]
struct Watched {
    sockets: HashMap<u32, Entry, foldhash::fast::RandomState>,
    last: u32,
}

/// A socket that is watched.
#[derive(Debug)]
struct Entry {
    interest: Interest,
    socket: SocketId,
    /// Tells it from another under the same slot, before and after.
    number: u32,
    epoch: u16,
    datagrams: bool,
    /// How much had arrived when the kernel was asked to report all that is: what it reports next may be what was, and
    /// is new if more has arrived.
    known: Option<u64>,
    id: u32,
}

impl Entry {
    fn descriptor(&self) -> RawFd {
        self.interest.socket().as_raw_fd()
    }

    fn data(&self, slot: u32) -> u64 {
        u64::from(self.number) << 32 | u64::from(slot)
    }

    fn is_mine(&self, record: &Record, owner: u16) -> bool {
        record.owner == owner && record.epoch == self.epoch
    }
}

impl<S: Sink> WatchSet<S> {
    pub(crate) fn with(domain: &Domain, sink: S) -> Result<Arc<Self>> {
        let refused = Error::system("making an event object");
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(&refused)?;
        let notifier = Notifier::new(sink)?;
        epoll::add(&epoll, notifier.ready(), EventData::new_u64(READY), EventFlags::IN).map_err(&refused)?;
        let mark = ForkMark::new().map_err(&refused)?;
        Ok(Arc::new_cyclic(|me| WatchSet {
            domain: domain.clone(),
            mark,
            epoll,
            notifier,
            owner_slot: OnceLock::new(),
            opening: Mutex::new(false),
            watched: Mutex::default(),
            me: me.clone(),
        }))
    }

    pub(crate) fn domain(&self) -> &Domain {
        &self.domain
    }

    /// What is due, for this thread alone.
    pub(crate) fn open(&self) -> Open<'_, S> {
        self.notifier.open()
    }

    /// What a foreign poll loop waits for.
    pub(crate) fn descriptor(&self) -> &OwnedFd {
        // A forked child must not wait for its parent's locks.
        if self.mark.is_mine() {
            self.open().show();
        }
        &self.epoll
    }

    /// The same, for a wait that counts itself.
    pub(crate) fn epoll(&self) -> &OwnedFd {
        &self.epoll
    }

    /// Refuses in a forked child: the set is its parent's.
    pub(crate) fn check(&self) -> Result<()> {
        if self.mark.is_mine() { Ok(()) } else { Err(Error::Forked) }
    }

    /// Whether it wants to hear that a registration was taken over.
    pub(crate) fn hear_losses(&self, hear: bool) -> Result<()> {
        self.check()?;
        let table = Table::of(&self.domain)?;
        *self.opening.lock().unwrap_or_else(PoisonError::into_inner) = hear;
        if let Some(owner_slot) = self.owner_slot.get() {
            table.set_hears(owner_slot.owner, hear);
        }
        Ok(())
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owner_slot(&self, table: &Table<'_>) -> Result<&OwnerSlot> {
        if let Some(owner_slot) = self.owner_slot.get() {
            return Ok(owner_slot);
        }
        let hears = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner_slot) = self.owner_slot.get() {
            return Ok(owner_slot);
        }
        let process = Process::current()?;
        let (owner, waker) =
            table.add_owner(&process, *hears, |number| Listener::waker(&self.domain, &process, number))?;
        let heard = epoll::add(&self.epoll, waker.descriptor(), EventData::new_u64(WAKER), EventFlags::IN)
            .map_err(Error::system("making an event object"))
            .and_then(|()| table.enlist(owner, self.me.clone()));
        if let Err(error) = heard {
            drop(waker);
            table.remove_owner(owner);
            return Err(error);
        }
        Ok(self.owner_slot.get_or_init(|| OwnerSlot { owner, waker }))
    }

    /// Waits until `ready` finds something, recording meanwhile what the kernel reports.
    pub(crate) fn wait_for<T>(
        &self,
        timeout: Option<Duration>,
        mut ready: impl FnMut(&mut S) -> Option<T>,
    ) -> Result<Option<T>> {
        self.check()?;
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        {
            let mut open = self.open();
            if let Some(found) = ready(&mut open) {
                return Ok(Some(found));
            }
            open.begin_wait();
        }
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let mut reports = [const { MaybeUninit::uninit() }; REPORTS];
            let waited = wait_for_reports(&self.epoll, &mut reports, left);
            self.open().end_wait();
            let reports = waited?;
            self.record(reports);
            let mut open = self.open();
            if let Some(found) = ready(&mut open) {
                return Ok(Some(found));
            }
            // Behind so many reports there may be others.
            if left.is_some_and(|left| left.is_zero()) && reports.len() < REPORTS {
                return Ok(None);
            }
            open.begin_wait();
        }
    }

    /// Records what the kernel has reported by now, without waiting.
    pub(crate) fn gather_all(&self) {
        loop {
            let mut reports = [const { MaybeUninit::uninit() }; REPORTS];
            let Ok(reports) = wait_for_reports(&self.epoll, &mut reports, Some(Duration::ZERO)) else { return };
            self.record(reports);
            // The ready eventfd and the waker are no reason to ask again.
            if reports.len() < REPORTS {
                return;
            }
        }
    }

    fn record(&self, reports: &[epoll::Event]) {
        let Some(owner_slot) = self.owner_slot.get() else { return };
        let Ok(table) = Table::of(&self.domain) else { return };
        let mut strays = Vec::new();
        let mut watched = self.watched();
        for report in reports {
            let (flags, data) = (report.flags, report.data.u64());
            match data {
                READY => {}
                WAKER => self.answer(&mut watched, table, owner_slot),
                _ => {
                    let [slot, number] = [data, data >> 32].map(|part| u32::try_from(part & 0xffff_ffff).unwrap_or(0));
                    strays.extend(self.report(&mut watched, table, owner_slot.owner, slot, number, flags));
                }
            }
        }
        drop(watched);
        // Others may have to be told: never under our own lock.
        for (slot, seen) in strays {
            slot.see(&seen);
        }
    }

    /// Records one report. If the socket is another owner's by now, what only we could see is for that one.
    fn report<'a>(
        &self,
        watched: &mut Watched,
        table: Table<'a>,
        owner: u16,
        index: u32,
        number: u32,
        flags: EventFlags,
    ) -> Option<(Slot<'a>, crate::provider::linux::record::Seen)> {
        let entry = watched.sockets.get_mut(&index).filter(|entry| entry.number == number)?;
        let slot = table.slot(index, entry.socket.as_u64());
        let arrived = match entry.known.take() {
            Some(known) => known == UNKNOWN || known != arrivals(entry.interest.socket()),
            None => true,
        };
        // Room is watched for only until it is told: then the kernel is asked again.
        let adjusts = flags.contains(EventFlags::OUT) && entry.interest.flags().contains(EventFlags::OUT);
        let known = match adjusts {
            true if flags.contains(EventFlags::IN) => arrivals(entry.interest.socket()),
            true => NOTHING,
            false => UNKNOWN,
        };
        let record = slot.load().unwrap_or_default();
        let mut observed = observe(entry.interest.socket(), &record, flags, entry.datagrams);
        slot.keep(&mut observed, entry.interest.socket());
        let recorded =
            slot.update(|record| entry.is_mine(record, owner).then(|| (record.see(&observed.seen, arrived), *record)));
        match recorded {
            Some((news, record)) => {
                adjust(&self.epoll, entry, index, &record, known);
                // Whoever recorded something may have died before it could say so.
                self.tell(entry, index, if S::MESSAGES { record.due() } else { news });
                None
            }
            // Others change it all the time: it still is ours.
            None if slot.load().is_some_and(|record| entry.is_mine(&record, owner)) => None,
            None => {
                self.lose(watched, index);
                (observed.failure.is_some() || observed.seen.reset).then_some((slot, observed.seen))
            }
        }
    }

    /// Reads the waker: others name the slots of which something may be due.
    fn answer(&self, watched: &mut Watched, table: Table<'_>, owner_slot: &OwnerSlot) {
        let (mut bytes, closer) = ([0_u8; 4], self.domain.closer());
        // What is left wakes the next look: nobody keeps this one by waking it all the time.
        for _ in 0..WAKE_UPS {
            // Anybody in the domain can wake it, and send descriptors with it.
            let wake = receive_few(&**owner_slot.waker.descriptor(), &mut bytes, |sent| closer.close(sent), Look::Take);
            match wake {
                Ok(Some(wake)) if wake.length == bytes.len() => {
                    self.look_at(watched, table, owner_slot.owner, u32::from_le_bytes(bytes));
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        if table.missed_wake_ups(owner_slot.owner) {
            for slot in watched.sockets.keys().copied().collect::<Vec<_>>() {
                self.look_at(watched, table, owner_slot.owner, slot);
            }
        }
    }

    /// Looks whether something is due of a socket, and whether more of it must be watched.
    fn look_at(&self, watched: &mut Watched, table: Table<'_>, owner: u16, index: u32) {
        let Some(entry) = watched.sockets.get_mut(&index) else { return };
        match table.slot(index, entry.socket.as_u64()).load().filter(|record| entry.is_mine(record, owner)) {
            Some(record) => {
                let known = arrivals(entry.interest.socket());
                adjust(&self.epoll, entry, index, &record, if known == NOTHING { NOTHING } else { UNKNOWN });
                self.tell(entry, index, record.due());
            }
            None => self.lose(watched, index),
        }
    }

    fn tell(&self, entry: &Entry, slot: u32, due: NetworkEvents) {
        if !due.is_empty() {
            let (Entry { socket, epoch, id, .. }, owner) =
                (entry, self.owner_slot.get().map_or(0, |owner_slot| owner_slot.owner));
            let descriptor = entry.descriptor();
            self.open().due(Due { slot, socket: *socket, owner, epoch: *epoch, events: due, descriptor, id: *id });
        }
    }

    /// The registration is another's: the socket is watched no more.
    fn lose(&self, watched: &mut Watched, index: u32) {
        let Some(entry) = watched.sockets.remove(&index) else { return };
        let lost = Lost { socket: entry.socket, descriptor: entry.descriptor(), id: entry.id };
        entry.interest.remove(&self.epoll);
        if *self.opening.lock().unwrap_or_else(PoisonError::into_inner) {
            self.open().lost(lost);
        }
    }
}

/// What the kernel is to report of a socket: that it can send only while that is to be told, for it is told often.
fn flags_for(record: &Record, datagrams: bool) -> EventFlags {
    let connection = NetworkEvents::CONNECT | NetworkEvents::WRITE;
    let awaited = if datagrams { NetworkEvents::WRITE } else { connection };
    let flags = EventFlags::IN | EventFlags::PRI | EventFlags::RDHUP;
    if record.recorded.contains(awaited) { flags } else { flags | EventFlags::OUT }
}

/// Has the kernel report what is to be told; `known` is what had arrived and is recorded by now.
fn adjust(epoll: &OwnedFd, entry: &mut Entry, slot: u32, record: &Record, known: u64) {
    let flags = flags_for(record, entry.datagrams);
    if flags != entry.interest.flags() {
        entry.known = Some(known);
        let data = entry.data(slot);
        entry.interest.modify(epoll, data, flags);
    }
}

fn wait_for_reports<'a>(
    epoll: &OwnedFd,
    reports: &'a mut [MaybeUninit<epoll::Event>; REPORTS],
    time: Option<Duration>,
) -> Result<&'a [epoll::Event]> {
    let time = time.map(|time| Timespec::try_from(time).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }));
    match epoll::wait(epoll, &mut reports[..], time.as_ref()) {
        Ok((reports, _)) => Ok(reports),
        Err(Errno::INTR) => Ok(&[]),
        Err(errno) => Err(Error::system("waiting for events")(errno)),
    }
}
