//! The owners of registrations: event objects and message queues, each with its process and where it is woken.

use super::table::{EACH, Slot, Table};
use super::word::OWNERS;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::provider::linux::commons::{HEADER, InsertLock};
use crate::provider::linux::ended::may_live;
use crate::provider::linux::mail::bell_suffix;
use crate::provider::linux::place::{Presence, endpoint_name};
use rustix::io::Errno;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many owners are freed at a time.
const MOST_RECLAIMED: usize = 1024;

/// Words of the table: how many owners there ever were, and how many of them are free.
const FRESH: usize = HEADER + 1;
const FREED: usize = HEADER + 2;
/// Where they begin, and end.
const OWNERS_AT: usize = EACH;
pub(super) const END: usize = OWNERS_AT + OWNERS as usize * EACH;

/// Words of an owner: whether it is in use, its process in three, what it wants.
const STATE: usize = 0;
const NAME: usize = 1;
const WISHES: usize = 4;
const UNHEARD: usize = 5;
const USED: u64 = 1;
const UNUSED: u64 = 2;

/// An owner of registrations: a process, and which of its event objects and message queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) process: Process,
    number: u32,
}

impl<'a> Table<'a> {
    fn owner_word(&self, owner: u16, word: usize) -> &'a AtomicU64 {
        self.word(OWNERS_AT + usize::from(owner) * EACH + word)
    }

    /// Makes an owner; `prepare` makes the place with this number at which it is woken, before others know of the owner.
    pub(crate) fn add_owner<T>(
        &self,
        process: &Process,
        hears: bool,
        prepare: impl FnMut(u32) -> Result<T>,
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
        let (number, prepared) = name_bell(prepare)?;
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
        let dead: HashSet<u16> = (1..OWNERS).filter(|owner| self.is_gone(*owner)).take(MOST_RECLAIMED).collect();
        let one = *dead.iter().next().ok_or(Error::TableFull { what: "event objects and message queues" })?;
        self.all_slots().for_each(|slot: Slot<'_>| slot.release_if(|owner| dead.contains(&owner)));
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

    /// Whether an owner is gone, by the kernel's word. What this process cannot see or ask is no proof.
    pub(crate) fn is_gone(&self, owner: u16) -> bool {
        let Some(Owner { process, number }) = self.owner(owner) else { return true };
        match self.domain.presence(&bell_of(&process, number)) {
            Presence::There | Presence::Unknown => false,
            Presence::Refuses => true,
            // It was removed by its owner, or when it refused; unless somebody removes what is in use.
            Presence::NoName => !may_live(&process),
        }
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

    /// Wakes an owner to look at a slot. Whether it is gone.
    pub(super) fn wake(&self, owner: u16, slot: u32) -> bool {
        let Some(Owner { process, number }) = self.owner(owner) else { return false };
        let ring = || self.domain.send_to(&bell_of(&process, number), &slot.to_le_bytes());
        let sent = match ring() {
            Err(Errno::AGAIN) => {
                self.owner_word(owner, UNHEARD).store(1, Ordering::SeqCst);
                // The owner may have emptied its bell, and asked, before that was stored. If it is full still, the
                // owner asks after emptying it.
                ring()
            }
            sent => sent,
        };
        match sent {
            Err(Errno::CONNREFUSED) => true,
            Err(Errno::NOENT) => self.is_gone(owner),
            _ => false,
        }
    }
}

/// Picks a number that nobody can know before: then nobody can have taken the name that it is in.
fn name_bell<T>(mut prepare: impl FnMut(u32) -> Result<T>) -> Result<(u32, T)> {
    let refused = Error::system("making a place to be woken at");
    let mut attempt = || {
        let mut random = [0; 4];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).map_err(&refused)?;
        let number = u32::from_le_bytes(random);
        Ok((number, prepare(number)?))
    };
    match attempt() {
        Err(Error::NameTaken { .. }) => attempt(),
        made => made,
    }
}

fn bell_of(process: &Process, number: u32) -> String {
    endpoint_name(process.who(), &bell_suffix(number))
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
