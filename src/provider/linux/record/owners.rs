//! The owners of registrations: event objects and message queues, each with its process and where it is woken.

use super::table::{EACH, Slot, Table};
use super::word::OWNERS;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::provider::linux::directory::{Presence, endpoint_name};
use crate::provider::linux::mail::waker_suffix;
use crate::provider::linux::process::may_live;
use crate::provider::linux::shared_segment::HEADER;
use rustix::io::Errno;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many owners are freed at a time: as many stay claimed when a process is killed meanwhile.
const MOST_RECLAIMED: usize = 128;

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
/// States, in the lowest bits; above them it is counted how often the owner was given away.
const STATES: u64 = 0xff;
const NEVER_USED: u64 = 0;
const USED: u64 = 1;
const UNUSED: u64 = 2;
const CLAIMED: u64 = 3;

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
        let (number, prepared) = name_waker(prepare)?;
        let owner = self.claim_owner()?;
        for (at, value) in (NAME..).zip(to_words(process, number)) {
            self.owner_word(owner, at).store(value, Ordering::SeqCst);
        }
        self.owner_word(owner, WISHES).store(hears.into(), Ordering::SeqCst);
        self.owner_word(owner, UNHEARD).store(0, Ordering::SeqCst);
        self.set_state(owner, USED);
        Ok((owner, prepared))
    }

    fn state(&self, owner: u16) -> u64 {
        self.owner_word(owner, STATE).load(Ordering::SeqCst)
    }

    /// Sets the state of an owner that is this process's alone.
    fn set_state(&self, owner: u16, state: u64) {
        self.owner_word(owner, STATE).store((self.state(owner) & !STATES) | state, Ordering::SeqCst);
    }

    /// Makes an owner this process's, if it still is in the state that was found.
    fn try_claim(&self, owner: u16, found: u64) -> bool {
        let claimed = ((found & !STATES).wrapping_add(STATES + 1)) | CLAIMED;
        self.owner_word(owner, STATE).compare_exchange(found, claimed, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// One that nobody else has: freed, never used, or of a process that is gone.
    fn claim_owner(&self) -> Result<u16> {
        let freed = self.word(FREED).load(Ordering::SeqCst);
        if freed > 0 {
            let fresh = self.word(FRESH).load(Ordering::SeqCst).min(u64::from(OWNERS - 1));
            let free = |owner: &u16| {
                let found = self.state(*owner);
                found & STATES == UNUSED && self.try_claim(*owner, found)
            };
            if let Some(owner) = (1..=u16::try_from(fresh).unwrap_or(0)).find(free) {
                let less = |freed: u64| freed.checked_sub(1);
                let _ = self.word(FREED).fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
                return Ok(owner);
            }
            // It was counted by somebody who was killed before it took one, or others were faster.
            let _ = self.word(FREED).compare_exchange(freed, 0, Ordering::SeqCst, Ordering::SeqCst);
        }
        let more = |fresh: u64| (fresh < u64::from(OWNERS - 1)).then(|| fresh + 1);
        while let Ok(before) = self.word(FRESH).fetch_update(Ordering::SeqCst, Ordering::SeqCst, more) {
            let owner = u16::try_from(before + 1).unwrap_or(0);
            let found = self.state(owner);
            if found & STATES == NEVER_USED && self.try_claim(owner, found) {
                return Ok(owner);
            }
        }
        self.reclaim_owners()
    }

    /// Frees owners whose processes have ended, with their registrations; one of them.
    fn reclaim_owners(&self) -> Result<u16> {
        let mut dead = HashSet::new();
        for owner in 1..OWNERS {
            let found = self.state(owner);
            match found & STATES {
                NEVER_USED | UNUSED if self.try_claim(owner, found) => return Ok(self.free_all(&dead, owner)),
                USED if self.is_gone(owner) && self.try_claim(owner, found) => drop(dead.insert(owner)),
                _ => {}
            }
            if dead.len() == MOST_RECLAIMED {
                break;
            }
        }
        let one = *dead.iter().next().ok_or(Error::TableFull { what: "event objects and message queues" })?;
        Ok(self.free_all(&dead, one))
    }

    /// Ends the registrations of owners that are this process's to free, and frees them, save one.
    fn free_all(&self, dead: &HashSet<u16>, one: u16) -> u16 {
        if !dead.is_empty() {
            self.all_slots().for_each(|slot: Slot<'_>| slot.release_if(|owner| dead.contains(&owner)));
        }
        for owner in dead.iter().filter(|owner| **owner != one) {
            self.remove_owner(*owner);
        }
        one
    }

    /// Has `process` be every owner but one.
    #[cfg(test)]
    pub(super) fn use_all_owners(&self, process: &Process, but: u16) {
        for owner in (1..OWNERS).filter(|owner| *owner != but) {
            for (at, value) in (NAME..).zip(to_words(process, owner.into())) {
                self.owner_word(owner, at).store(value, Ordering::Release);
            }
            self.set_state(owner, USED);
        }
        self.word(FRESH).store(u64::from(OWNERS) - 1, Ordering::Release);
    }

    /// The owner has cancelled its registrations, and has no more.
    pub(crate) fn remove_owner(&self, owner: u16) {
        self.set_state(owner, UNUSED);
        self.word(FREED).fetch_add(1, Ordering::SeqCst);
    }

    /// Who an owner is.
    pub(crate) fn owner(&self, owner: u16) -> Option<Owner> {
        let state = self.state(owner);
        if owner == 0 || state & STATES != USED {
            return None;
        }
        let words = [NAME, NAME + 1, NAME + 2].map(|at| self.owner_word(owner, at).load(Ordering::SeqCst));
        // It may have become another's while it was read.
        from_words(words).filter(|_| self.state(owner) == state)
    }

    /// Whether an owner is gone, by the kernel's word. What this process cannot see or ask is no proof.
    pub(crate) fn is_gone(&self, owner: u16) -> bool {
        let Some(Owner { process, number }) = self.owner(owner) else { return true };
        match self.domain.presence(&waker_of(&process, number)) {
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

    /// Whether wake-ups did not reach the owner since it asked last: then it must look at all its registrations.
    pub(crate) fn missed_wake_ups(&self, owner: u16) -> bool {
        let unheard = self.owner_word(owner, UNHEARD);
        unheard.load(Ordering::SeqCst) != 0 && unheard.swap(0, Ordering::SeqCst) != 0
    }

    /// Wakes an owner to look at a slot. Whether it is gone.
    pub(super) fn wake(&self, owner: u16, slot: u32) -> bool {
        let Some(Owner { process, number }) = self.owner(owner) else { return false };
        let wake = || self.domain.send_to(&waker_of(&process, number), &slot.to_le_bytes());
        let sent = match wake() {
            Err(Errno::AGAIN) => {
                self.owner_word(owner, UNHEARD).store(1, Ordering::SeqCst);
                // The owner may have emptied its waker, and asked, before that was stored. If it is full still, the
                // owner asks after emptying it.
                wake()
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
fn name_waker<T>(mut prepare: impl FnMut(u32) -> Result<T>) -> Result<(u32, T)> {
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

fn waker_of(process: &Process, number: u32) -> String {
    endpoint_name(process.who(), &waker_suffix(number))
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
