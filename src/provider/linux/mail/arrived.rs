//! Duplicates that were taken from the kernel, and what became of them.

use super::{Token, since_boot};
use crate::error::{Error, Result};
use crate::process::Who;
use crate::provider::linux::closer::Foreign;
use crate::provider::linux::sys::{Headroom, take_gate};
use foldhash::fast::RandomState;
use foldhash::{HashMap, HashMapExt};
use rustix::process::{Resource, getrlimit};
use std::hash::BuildHasher;
use std::os::fd::OwnedFd;

/// The most duplicates that wait here for their infos, whatever the limit of descriptors.
const MOST_READY: usize = 16_384;
/// At least so many fates are remembered, to tell a second use from an unknown info.
const REMEMBERED: usize = 8192;

/// What identifies a duplicate at its target: who sent it, by the kernel's word, and its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) source: Who,
    pub(crate) token: Token,
}

/// What came in.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) headroom: Headroom,
    ready: HashMap<Key, Waiting>,
    /// How many of them are of one source.
    sources: HashMap<Who, usize>,
    fates: Fates,
    clock_shift: i128,
}

/// What became of the last duplicates, in two halves: when one is full, the other is forgotten.
///
/// They are found by a hash of 64 bits that nobody outside can predict: small tables stay in the processor's cache.
#[derive(Debug, Default)]
struct Fates {
    hash: RandomState,
    young: HashMap<u64, Fate>,
    old: HashMap<u64, Fate>,
}

/// A duplicate that waits for its info.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) descriptor: Foreign,
    pub(super) expires: u64,
    pub(super) gate: Option<Foreign>,
}

/// What became of a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Redeemed,
    Expired,
    Revoked,
    /// Its source does not hold it, or no longer: it may have delivered it meanwhile.
    NotHeld,
    /// Its source ended before it answered a claim.
    SourceGone,
}

impl Arrived {
    pub(super) fn new(clock_shift: i128) -> Self {
        Arrived {
            headroom: Headroom::new(),
            ready: HashMap::new(),
            sources: HashMap::new(),
            fates: Fates::default(),
            clock_shift,
        }
    }

    /// Makes room for one more duplicate of `source`, by closing those that nobody can redeem any more.
    ///
    /// One source may leave so many unredeemed that a quarter of the descriptors is left for others.
    pub(super) fn make_room(&mut self, source: Who) -> Result<()> {
        if self.ready.len() < 32 {
            return Ok(());
        }
        let limit = usize::try_from(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let limit = (limit / 4 * 3).clamp(1, MOST_READY);
        let is_full = |arrived: &Self| {
            arrived.ready.len() >= MOST_READY || arrived.sources.get(&source).is_some_and(|count| *count >= limit)
        };
        if !is_full(self) {
            return Ok(());
        }
        let now = since_boot(self.clock_shift);
        let expired: Vec<Key> =
            self.ready.iter().filter(|(_, waiting)| waiting.expired_at(now)).map(|(key, _)| *key).collect();
        for key in &expired {
            self.take(key);
            self.fates.note(*key, Fate::Expired);
        }
        if is_full(self) { Err(Error::TooManyUnredeemed { limit }) } else { Ok(()) }
    }

    pub(super) fn take(&mut self, key: &Key) -> Option<Waiting> {
        if self.ready.is_empty() {
            return None;
        }
        let waiting = self.ready.remove(key)?;
        if let Some(count) = self.sources.get_mut(&key.source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&key.source);
            }
        }
        Some(waiting)
    }

    /// Keeps one until it is asked for; `false` when there is one under this key already, which stays.
    pub(super) fn keep(&mut self, key: Key, waiting: Waiting) -> bool {
        if self.ready.contains_key(&key) {
            return false;
        }
        self.ready.insert(key, waiting);
        *self.sources.entry(key.source).or_default() += 1;
        true
    }

    /// Hands out what waited, if it may be had.
    pub(super) fn open(&mut self, key: &Key, waiting: Waiting) -> Result<OwnedFd> {
        let fate = if waiting.expires != 0 && waiting.expired_at(since_boot(self.clock_shift)) {
            Fate::Expired
        } else if waiting.gate.is_some_and(|gate| take_gate(&gate) != Ok(true)) {
            Fate::Revoked
        } else {
            Fate::Redeemed
        };
        self.fates.note(*key, fate);
        match fate {
            Fate::Redeemed => Ok(waiting.descriptor.into_owned()),
            fate => Err(fate.error()),
        }
    }

    pub(super) fn fate(&self, key: &Key) -> Option<Fate> {
        self.fates.of(key)
    }

    /// The fate of `key`, if it cannot change.
    pub(super) fn final_fate(&self, key: &Key) -> Option<Fate> {
        self.fates.of(key).filter(|fate| !fate.may_change())
    }

    /// The fate of `key`. One that may change is forgotten.
    pub(super) fn consult(&mut self, key: &Key) -> Option<Fate> {
        self.fates.consult(key)
    }

    pub(super) fn note(&mut self, key: Key, fate: Fate) {
        self.fates.note(key, fate);
    }

    pub(super) fn clear(&mut self) {
        *self = Arrived::new(self.clock_shift);
    }
}

impl Fates {
    fn of(&self, key: &Key) -> Option<Fate> {
        let print = self.hash.hash_one(key);
        self.young.get(&print).or_else(|| self.old.get(&print)).copied()
    }

    fn consult(&mut self, key: &Key) -> Option<Fate> {
        let fate = self.of(key)?;
        if fate.may_change() {
            let print = self.hash.hash_one(key);
            self.young.remove(&print);
            self.old.remove(&print);
        }
        Some(fate)
    }

    fn note(&mut self, key: Key, fate: Fate) {
        if fate.may_change() && self.of(&key).is_some() {
            return;
        }
        if self.young.len() >= REMEMBERED {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(self.hash.hash_one(key), fate);
    }
}

impl Waiting {
    fn expired_at(&self, now: u64) -> bool {
        self.expires != 0 && self.expires <= now
    }
}

impl Fate {
    fn may_change(self) -> bool {
        matches!(self, Fate::NotHeld | Fate::SourceGone)
    }

    pub(super) fn error(self) -> Error {
        match self {
            Fate::Redeemed => Error::AlreadyRedeemed,
            Fate::Expired => Error::Expired,
            Fate::Revoked => Error::Revoked,
            Fate::NotHeld => Error::UnknownDelivery,
            Fate::SourceGone => Error::SourceGone,
        }
    }
}
