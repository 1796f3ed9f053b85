//! The table of a domain: the record of every socket that has or had a registration, and the owners of registrations.

use super::cell::{Cell, update};
use super::word::{OWNERS, Record, Seen};
use crate::commons::{Commons, HEADER, InsertLock, Watcher};
use crate::domain::{Domain, endpoint_name};
use crate::error::{Error, Result};
use crate::mail::bell_suffix;
use crate::process::Process;
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many sockets can have a record at a time.
pub(super) const SLOTS: usize = 1 << 17;
/// So far from its own place a socket's slot may lie.
const REACH: usize = 64;
/// So many owners are freed at a time.
const MOST_RECLAIMED: usize = 1024;
/// Words of a slot, and of an owner.
const EACH: usize = 8;
const INSERTED: usize = HEADER;
const FRESH: usize = HEADER + 1;
const FREED: usize = HEADER + 2;
const OWNERS_AT: usize = EACH;
const SLOTS_AT: usize = OWNERS_AT + OWNERS as usize * EACH;
const WORDS: usize = SLOTS_AT + SLOTS * EACH;

/// Words of an owner: whether it is in use, its process in three, what it wants.
const STATE: usize = 0;
const NAME: usize = 1;
const WISHES: usize = 4;
const UNHEARD: usize = 5;
const USED: u64 = 1;
const UNUSED: u64 = 2;

/// Words of a slot.
const WORD: usize = 0;
const COOKIE: usize = 1;
const CODE: usize = 2;
const MARK: usize = 3;

/// The table of a domain, attached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table<'a> {
    domain: &'a Domain,
    commons: &'a Commons,
}

/// The record of one underlying socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot<'a> {
    table: Table<'a>,
    index: u32,
    cookie: u64,
}

/// An owner of registrations: a process, and which of its event objects and message queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) process: Process,
    number: u32,
}

impl<'a> Table<'a> {
    pub(crate) fn of(domain: &'a Domain) -> Result<Self> {
        Ok(Table { domain, commons: domain.commons(WORDS)? })
    }

    pub(crate) fn if_any(domain: &'a Domain) -> Option<Self> {
        Some(Table { domain, commons: domain.commons_if_any(WORDS)? })
    }

    fn word(&self, at: usize) -> &'a AtomicU64 {
        self.commons.segment().word(at)
    }

    fn owner_word(&self, owner: u16, word: usize) -> &'a AtomicU64 {
        self.word(OWNERS_AT + usize::from(owner) * EACH + word)
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
        let epoch = (slot.peek().epoch + 1) & 0xfff;
        slot.field(COOKIE).store(cookie, Ordering::Release);
        slot.field(WORD).store(Record { epoch, ..Record::default() }.pack(), Ordering::Release);
        self.word(INSERTED).fetch_add(1, Ordering::AcqRel);
        Ok(slot)
    }

    /// Makes an owner; `prepare` makes the place at which it is woken, which must be there before others know of it.
    pub(crate) fn add_owner<T>(
        &self,
        process: &Process,
        hears: bool,
        prepare: impl FnOnce(u32) -> Result<T>,
    ) -> Result<(u16, T)> {
        let _lock = InsertLock::take(self.domain)?;
        let fresh = self.word(FRESH).load(Ordering::Acquire).min(u64::from(OWNERS - 1));
        let fresh = u16::try_from(fresh).unwrap_or(0);
        let owners = 1..=fresh;
        let state = |owner: &u16| self.owner_word(*owner, STATE).load(Ordering::Acquire);
        let freed = match self.word(FREED).load(Ordering::Acquire) {
            0 => None,
            _ => owners.clone().find(|owner| state(owner) == UNUSED),
        };
        let owner = match freed {
            Some(owner) => owner,
            None if fresh + 1 < OWNERS => fresh + 1,
            None => self.reclaim_owners()?,
        };
        // Owners are told apart by their index within a process, too: another name could still be there.
        let number = u32::from(owner);
        let prepared = prepare(number)?;
        for (at, value) in (NAME..).zip(to_words(process, number)) {
            self.owner_word(owner, at).store(value, Ordering::Release);
        }
        self.owner_word(owner, WISHES).store(hears.into(), Ordering::Release);
        self.owner_word(owner, UNHEARD).store(0, Ordering::Release);
        self.owner_word(owner, STATE).store(USED, Ordering::Release);
        if freed.is_some() {
            let less = |freed: u64| freed.checked_sub(1);
            let _ = self.word(FREED).fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        }
        self.word(FRESH).store(fresh.max(owner).into(), Ordering::Release);
        Ok((owner, prepared))
    }

    /// Frees owners whose processes have ended, with their registrations; one of them.
    fn reclaim_owners(&self) -> Result<u16> {
        let mut known = HashMap::new();
        let mut lives = |owner: u16| match self.owner(owner) {
            Some(Owner { process, .. }) => *known.entry(process).or_insert_with(|| self.owner_lives(owner)),
            None => false,
        };
        let dead: HashSet<u16> = (1..OWNERS).filter(|owner| !lives(*owner)).take(MOST_RECLAIMED).collect();
        let one = *dead.iter().next().ok_or(Error::TableFull { what: "event objects and message queues" })?;
        for index in 0..u32::try_from(SLOTS).unwrap_or(0) {
            self.slot(index, 0).release_if(|owner| dead.contains(&owner));
        }
        for owner in dead.into_iter().filter(|owner| *owner != one) {
            self.remove_owner(owner);
        }
        Ok(one)
    }

    /// Has `process` be every owner but one.
    #[cfg(test)]
    pub(super) fn use_all_owners(&self, process: &Process, but: u16) {
        for owner in (1..OWNERS).filter(|owner| *owner != but) {
            for (at, value) in (NAME..).zip(to_words(process, owner.into())) {
                self.owner_word(owner, at).store(value, Ordering::Release);
            }
            self.owner_word(owner, STATE).store(USED, Ordering::Release);
        }
        self.word(FRESH).store(u64::from(OWNERS) - 1, Ordering::Release);
    }

    /// The owner has cancelled its registrations, and has no more.
    pub(crate) fn remove_owner(&self, owner: u16) {
        self.owner_word(owner, STATE).store(UNUSED, Ordering::Release);
        self.word(FREED).fetch_add(1, Ordering::AcqRel);
    }

    /// Who an owner is.
    pub(crate) fn owner(&self, owner: u16) -> Option<Owner> {
        if owner == 0 || self.owner_word(owner, STATE).load(Ordering::Acquire) != USED {
            return None;
        }
        from_words([NAME, NAME + 1, NAME + 2].map(|at| self.owner_word(owner, at).load(Ordering::Acquire)))
    }

    /// Whether an owner's process lives, as far as this one can see.
    pub(crate) fn owner_lives(&self, owner: u16) -> bool {
        let Some(Owner { process, number }) = self.owner(owner) else { return false };
        let ours = Process::current().is_ok_and(|me| me.shares_namespace_with(&process));
        match ours {
            true => Process::from_pid(process.pid()) == Ok(process),
            // An empty ring wakes nobody up, and finds out whether anybody is there.
            false => !is_gone(self.domain.send_to(&self.bell_of(&process, number), &[])),
        }
    }

    fn bell_of(&self, process: &Process, number: u32) -> String {
        endpoint_name(process.who(), &bell_suffix(number))
    }

    /// Whether an owner wants to hear that it lost a registration.
    pub(crate) fn hears(&self, owner: u16) -> bool {
        self.owner_word(owner, WISHES).load(Ordering::Acquire) != 0
    }

    pub(crate) fn set_hears(&self, owner: u16, hears: bool) {
        self.owner_word(owner, WISHES).store(hears.into(), Ordering::Release);
    }

    /// Whether rings did not reach the owner since it asked last: then it must look at all its registrations.
    pub(crate) fn missed_rings(&self, owner: u16) -> bool {
        let unheard = self.owner_word(owner, UNHEARD);
        unheard.load(Ordering::SeqCst) != 0 && unheard.swap(0, Ordering::SeqCst) != 0
    }

    /// From now on `watcher` is found in this process as `owner`.
    pub(crate) fn enlist(&self, owner: u16, watcher: std::sync::Weak<dyn Watcher>) {
        self.commons.watch(owner, watcher);
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

    fn field(&self, field: usize) -> &AtomicU64 {
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
        let Some(Owner { process, number }) = self.table.owner(owner) else { return };
        match self.table.domain.send_to(&self.table.bell_of(&process, number), &self.index.to_le_bytes()) {
            Err(Errno::AGAIN) => self.table.owner_word(owner, UNHEARD).store(1, Ordering::SeqCst),
            gone if is_gone(gone) && !self.table.owner_lives(owner) => self.release_if(|found| found == owner),
            _ => {}
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

/// Whether a datagram did not arrive because nobody is there.
fn is_gone(sent: std::result::Result<(), Errno>) -> bool {
    matches!(sent, Err(Errno::CONNREFUSED | Errno::NOENT))
}

fn to_words(process: &Process, number: u32) -> [u64; 3] {
    let mut bytes = [0; 24];
    bytes.split_at_mut(20).0.copy_from_slice(&process.to_bytes());
    let mut words = [0; 3];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    }
    words[2] |= u64::from(number) << 32;
    words
}

fn from_words(words: [u64; 3]) -> Option<Owner> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let process = Process::from_bytes(bytes.first_chunk()?)?;
    Some(Owner { process, number: u32::try_from(words[2] >> 32).ok()? })
}
