//! The table of a domain: the record of every socket that has or had a registration.

use super::cell::{Cell, update};
use super::observe::Observed;
use super::owners;
use super::word::{Record, Seen};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::provider::linux::commons::{Commons, HEADER, InsertLock, Watcher};
use rustix::io::Errno;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    commons: &'a Commons,
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
        Ok(Table { domain, commons: domain.commons(WORDS)? })
    }

    pub(crate) fn if_any(domain: &'a Domain) -> Option<Self> {
        Some(Table { domain, commons: domain.commons_if_any(WORDS)? })
    }

    pub(super) fn word(&self, at: usize) -> &'a AtomicU64 {
        self.commons.segment().word(at)
    }

    /// Counts the slots that were ever taken: while it is the same, nothing new is to be found.
    pub(crate) fn inserted(&self) -> u64 {
        self.word(INSERTED).load(Ordering::Acquire)
    }

    /// The slot of the socket with this cookie, if it has one.
    pub(crate) fn find(self, cookie: u64) -> Option<Slot<'a>> {
        let cookies =
            places(cookie).map(|index| (index, self.slot(index, cookie).field(COOKIE).load(Ordering::Acquire)));
        let mut taken = cookies.take_while(|(_, found)| *found != 0);
        taken.find(|(_, found)| *found == cookie).map(|(index, _)| self.slot(index, cookie))
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
        let whole = |slot: &Slot<'_>| !slot.peek().moving;
        if let Some(slot) = self.find(cookie).filter(whole) {
            return Ok(slot);
        }
        let _lock = InsertLock::take(self.domain)?;
        let found = self.find(cookie);
        if let Some(slot) = found.filter(whole) {
            return Ok(slot);
        }
        let slots = || places(cookie).map(|index| self.slot(index, cookie));
        // One that was found was left by a process that died while it inserted.
        let free = found.or_else(|| slots().find(|slot| slot.field(COOKIE).load(Ordering::Acquire) == 0));
        let slot = match free.or_else(|| slots().find(|slot| slot.vacate())) {
            Some(slot) => slot,
            None => slots()
                .find(|slot| !self.owner_lives(slot.peek().owner) && slot.vacate_from_dead())
                .ok_or(Error::TableFull { what: "registered sockets" })?,
        };
        slot.field(CODE).store(0, Ordering::Relaxed);
        slot.field(MARK).store(0, Ordering::Relaxed);
        slot.field(URGENT).store(0, Ordering::Relaxed);
        // Whoever dies in between leaves a slot that is moving, which the next one finishes. Who looked in vain before
        // the cookie was there looks again, for then it was not counted yet.
        let epoch = (slot.peek().epoch + 1) & 0xfff;
        slot.field(WORD).store(Record { epoch, moving: true, ..Record::default() }.pack(), Ordering::SeqCst);
        slot.field(COOKIE).store(cookie, Ordering::SeqCst);
        self.word(INSERTED).fetch_add(1, Ordering::SeqCst);
        slot.field(WORD).store(Record { epoch, ..Record::default() }.pack(), Ordering::SeqCst);
        Ok(slot)
    }

    /// From now on `watcher` is found in this process as `owner`.
    pub(crate) fn enlist(&self, owner: u16, watcher: std::sync::Weak<dyn Watcher>) -> Result<()> {
        self.commons.watch(owner, watcher)
    }

    pub(crate) fn strike(&self, owner: u16) {
        self.commons.unwatch(owner);
    }

    /// Who in this process is `owner`.
    pub(crate) fn watcher(&self, owner: u16) -> Option<Arc<dyn Watcher>> {
        self.commons.watcher(owner)
    }
}

impl Slot<'_> {
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    pub(super) fn field(&self, field: usize) -> &AtomicU64 {
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
        (!record.moving && self.field(COOKIE).load(Ordering::SeqCst) == self.cookie).then_some(record)
    }

    /// Changes the record; nothing when the slot is another's by now, or when `change` declines.
    pub(crate) fn update<T>(&self, mut change: impl FnMut(&mut Record) -> Option<T>) -> Option<T> {
        let is_ours = || self.field(COOKIE).load(Ordering::SeqCst) == self.cookie;
        update(self.field(WORD), |record| if record.moving || !is_ours() { None } else { change(record) })
    }

    /// Changes the record in any case; who its owner is, if the slot still is this socket's.
    pub(crate) fn change(&self, mut change: impl FnMut(&mut Record)) -> Option<u16> {
        self.update(|record| {
            change(record);
            Some(record.owner)
        })
    }

    fn replace(&self, old: Record, new: Record) -> bool {
        self.field(WORD).replace(old.pack(), new.pack())
    }

    /// Records what is seen of the socket, whoever its owner is, and wakes that one.
    pub(crate) fn see(&self, seen: &Seen) {
        let told = self.update(|record| {
            let due = record.see(seen, false);
            Some((!due.is_empty()).then_some(record.owner))
        });
        if let Some(Some(owner)) = told {
            self.ring(owner);
        }
    }

    /// Wakes an owner: something may be due to it.
    pub(crate) fn ring(&self, owner: u16) {
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

    /// Keeps what must be known before what was observed is recorded.
    pub(crate) fn keep(&self, observed: &Observed) {
        if let Some(errno) = observed.failure {
            self.keep_code(errno);
        }
        if observed.urgent {
            self.note_urgent();
        }
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

    /// Takes the slot from a socket that has no registration.
    pub(super) fn vacate(&self) -> bool {
        let old = self.peek();
        let new = Record { moving: true, epoch: (old.epoch + 1) & 0xfff, ..Record::default() };
        old.owner == 0 && self.replace(old, new)
    }

    fn vacate_from_dead(&self) -> bool {
        let dead = self.peek().owner;
        self.release_if(|owner| owner == dead);
        self.vacate()
    }
}

/// Where the slot of a socket may be, in order.
fn places(cookie: u64) -> impl Iterator<Item = u32> {
    let slots = SLOTS as u64;
    (0..REACH as u64).filter_map(move |step| u32::try_from((cookie % slots + step) % slots).ok())
}
