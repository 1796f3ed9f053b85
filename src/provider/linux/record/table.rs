//! The table of a domain: the record of every socket that has or had a registration.

use super::cell::update;
use super::claim::{Row, claim, cookie_in, find};
use super::observe::{Observed, peeks};
use super::owners;
use super::word::{Record, Seen};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::network_events::NetworkEvents;
use crate::provider::linux::shared_segment::{HEADER, SharedSegment, Watcher};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// So many sockets can have a record at a time.
pub(super) const SLOTS: usize = 1 << 17;
/// So far from its own place a socket's slot may lie.
const REACH: usize = 64;
/// Words of a slot, and of an owner.
pub(super) const EACH: usize = 8;
pub(super) const INSERTED: usize = HEADER;
const SLOTS_AT: usize = owners::END;
const WORDS: usize = SLOTS_AT + SLOTS * EACH;

/// Words of a slot.
pub(super) const WORD: usize = 0;
pub(super) const COOKIE: usize = 1;
pub(super) const CODE: usize = 2;
const MARK: usize = 3;
const URGENT: usize = 4;

/// The table of a domain, attached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table<'a> {
    pub(super) domain: &'a Domain,
    shared_segment: &'a SharedSegment,
}

/// The record of one underlying socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot<'a> {
    table: Table<'a>,
    index: u32,
    cookie: u64,
}

impl<'a> Table<'a> {
    pub(crate) fn of(domain: &'a Domain) -> Result<Self> {
        Ok(Table { domain, shared_segment: domain.shared_segment(WORDS)? })
    }

    /// The same if somebody has made it.
    pub(crate) fn if_made(domain: &'a Domain) -> Result<Option<Self>> {
        Ok(domain.shared_segment_if_made(WORDS)?.map(|shared_segment| Table { domain, shared_segment }))
    }

    /// The same for those who do well without.
    pub(crate) fn if_any(domain: &'a Domain) -> Option<Self> {
        Some(Table { domain, shared_segment: domain.shared_segment_if_any(WORDS)? })
    }

    pub(super) fn word(&self, at: usize) -> &'a AtomicU64 {
        self.shared_segment.segment().word(at)
    }

    /// Counts the slots that were ever taken: while it is the same, nothing new is to be found.
    pub(crate) fn inserted(&self) -> u64 {
        self.word(INSERTED).load(Ordering::Acquire)
    }

    /// The slot of the socket with this cookie, if it has one.
    pub(crate) fn find(self, cookie: u64) -> Option<Slot<'a>> {
        let row = Places { table: self, cookie };
        find(&row, cookie).map(|step| row.slot(step))
    }

    /// All slots, whosever they are.
    pub(super) fn all_slots(self) -> impl Iterator<Item = Slot<'a>> {
        (0..SLOTS).filter_map(move |index| Some(self.slot(u32::try_from(index).ok()?, 0)))
    }

    /// The slot with this index, which the caller believes to be this socket's.
    pub(crate) fn slot(self, index: u32, cookie: u64) -> Slot<'a> {
        Slot { table: self, index, cookie }
    }

    /// The slot of the socket with this cookie, made if it has none.
    pub(crate) fn insert(self, cookie: u64) -> Result<Slot<'a>> {
        let row = Places { table: self, cookie };
        let step = claim(&row, cookie).ok_or(Error::TableFull { what: "registered sockets" })?;
        Ok(row.slot(step))
    }

    /// From now on `watcher` is found in this process as `owner`.
    pub(crate) fn enlist(&self, owner: u16, watcher: std::sync::Weak<dyn Watcher>) -> Result<()> {
        self.shared_segment.watch(owner, watcher)
    }

    pub(crate) fn strike(&self, owner: u16) {
        self.shared_segment.unwatch(owner);
    }

    /// Who in this process is `owner`.
    pub(crate) fn watcher(&self, owner: u16) -> Option<Arc<dyn Watcher>> {
        self.shared_segment.watcher(owner)
    }
}

impl<'a> Slot<'a> {
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    pub(super) fn field(&self, field: usize) -> &'a AtomicU64 {
        self.table.word(SLOTS_AT + self.index as usize * EACH + field)
    }

    fn peek(&self) -> Record {
        Record::unpack(self.field(WORD).load(Ordering::SeqCst))
    }

    /// The record, if the slot still is this socket's.
    pub(crate) fn load(&self) -> Option<Record> {
        let record = self.peek();
        // A slot that is given to another socket gets another epoch first: so a change of the record that was loaded
        // before the cookie was compared fails.
        (!record.moving && cookie_in(self.field(COOKIE).load(Ordering::SeqCst)) == cookie_in(self.cookie))
            .then_some(record)
    }

    /// Changes the record; nothing when the slot is another's by now, or when `change` declines.
    pub(crate) fn update<T>(&self, mut change: impl FnMut(&mut Record) -> Option<T>) -> Option<T> {
        let is_ours = || cookie_in(self.field(COOKIE).load(Ordering::SeqCst)) == cookie_in(self.cookie);
        update(self.field(WORD), |record| if record.moving || !is_ours() { None } else { change(record) })
    }

    /// Changes the record in any case; who its owner is, if the slot still is this socket's.
    pub(crate) fn change(&self, mut change: impl FnMut(&mut Record)) -> Option<u16> {
        self.update(|record| {
            change(record);
            Some(record.owner)
        })
    }

    /// Records what is seen of the socket, whoever its owner is, and wakes that one.
    pub(crate) fn see(&self, seen: &Seen) {
        let told = self.update(|record| {
            let due = record.see(seen, false);
            Some((!due.is_empty()).then_some(record.owner))
        });
        if let Some(Some(owner)) = told {
            self.wake(owner);
        }
    }

    /// Wakes an owner: something may be due to it.
    pub(crate) fn wake(&self, owner: u16) {
        if owner == 0 {
            return;
        }
        if let Some(watcher) = self.table.watcher(owner) {
            return watcher.look(self.index);
        }
        if self.table.wake(owner, self.index) {
            self.release_if(|found| found == owner);
        }
    }

    /// Frees the record of an owner that is dead.
    pub(crate) fn release_if(&self, dead: impl Fn(u16) -> bool) {
        update(self.field(WORD), |record| (record.owner != 0 && dead(record.owner)).then(|| record.cancel()));
    }

    /// The system's code of an attempt to connect that failed, and of nothing else.
    pub(crate) fn code(&self) -> i32 {
        i32::try_from(self.field(CODE).load(Ordering::SeqCst)).unwrap_or(0)
    }

    /// To be kept before the failure is recorded.
    pub(crate) fn keep_code(&self, errno: Errno) {
        self.field(CODE).store(u64::try_from(errno.raw_os_error()).unwrap_or(0), Ordering::SeqCst);
    }

    /// Keeps what must be known before what was observed is recorded, and takes back what the kernel said too early.
    pub(crate) fn keep(&self, observed: &mut Observed, socket: BorrowedFd<'_>) {
        if let Some(errno) = observed.failure {
            self.keep_code(errno);
        }
        if observed.urgent {
            self.note_urgent();
        }
        if observed.seen.holds.contains(NetworkEvents::READ) && !self.receives(socket) {
            observed.seen.holds -= NetworkEvents::READ;
        }
    }

    /// Whether a socket that the kernel says is readable is so. Short of memory, the kernel counts the byte of urgent data,
    /// which is received otherwise.
    pub(crate) fn receives(&self, socket: BorrowedFd<'_>) -> bool {
        !self.had_urgent() || peeks(socket)
    }

    /// Urgent data was seen, or somebody tries to receive some.
    pub(crate) fn note_urgent(&self) {
        self.field(URGENT).store(1, Ordering::SeqCst);
    }

    /// Whether urgent data may ever have come: a receive stops before it, though there is more behind.
    pub(crate) fn had_urgent(&self) -> bool {
        self.field(URGENT).load(Ordering::SeqCst) != 0
    }

    /// What was in the socket's queue when it was last looked at by an owner; 0 is not known.
    pub(crate) fn mark(&self) -> u64 {
        self.field(MARK).load(Ordering::SeqCst)
    }

    pub(crate) fn set_mark(&self, mark: u64) {
        self.field(MARK).store(mark, Ordering::SeqCst);
    }

    /// As if a process had been killed while it gave the slot to another socket.
    #[cfg(test)]
    pub(super) fn vacate(&self) {
        let epoch = (self.peek().epoch + 1) & 0xfff;
        self.field(WORD).store(Record { moving: true, epoch, ..Record::default() }.pack(), Ordering::SeqCst);
    }
}

/// The slots that a socket may have, beginning with its own place.
struct Places<'a> {
    table: Table<'a>,
    cookie: u64,
}

impl<'a> Places<'a> {
    fn slot(&self, step: usize) -> Slot<'a> {
        let index = (cookie_in(self.cookie) % SLOTS as u64 + step as u64) % SLOTS as u64;
        self.table.slot(u32::try_from(index).unwrap_or(0), self.cookie)
    }
}

impl Row for Places<'_> {
    type Cell = AtomicU64;

    fn length(&self) -> usize {
        REACH
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        self.slot(at).field(WORD)
    }

    fn cookie(&self, at: usize) -> &AtomicU64 {
        self.slot(at).field(COOKIE)
    }

    fn clear(&self, at: usize) {
        let slot = self.slot(at);
        slot.field(CODE).store(0, Ordering::SeqCst);
        slot.field(MARK).store(0, Ordering::SeqCst);
        slot.field(URGENT).store(0, Ordering::SeqCst);
    }

    fn count(&self) {
        self.table.word(INSERTED).fetch_add(1, Ordering::SeqCst);
    }

    fn is_gone(&self, owner: u16) -> bool {
        self.table.is_gone(owner)
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}
