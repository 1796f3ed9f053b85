//! Duplicates that were taken from the kernel, and what became of them.

use super::outcomes::{Outcome, OutcomeCache};
use super::{Token, since_boot};
use crate::error::{Error, Result};
use crate::process::Who;
use crate::provider::linux::closer::Foreign;
use crate::provider::linux::sys::{Headroom, take_gate};
use foldhash::{HashMap, HashMapExt};
use rustix::process::{Resource, getrlimit};
use std::os::fd::OwnedFd;

/// The most duplicates that wait here for their infos, whatever the limit of descriptors.
const MOST_READY: usize = 16_384;
/// So many may wait in any case.
const FEWEST: usize = 16;

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
    sources: HashMap<Who, Source>,
    /// How many sources there ever were.
    last: u64,
    outcomes: OutcomeCache,
    clock_shift: i128,
}

/// What waits here of one source.
#[derive(Debug, Clone, Copy)]
struct Source {
    count: usize,
    /// Later ones have a higher number.
    number: u64,
}

/// A duplicate that waits for its info.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) descriptor: Foreign,
    pub(super) expires: u64,
    pub(super) gate: Option<Foreign>,
}

impl Arrived {
    pub(super) fn new(clock_shift: i128) -> Self {
        Arrived {
            headroom: Headroom::new(),
            ready: HashMap::new(),
            sources: HashMap::new(),
            last: 0,
            outcomes: OutcomeCache::default(),
            clock_shift,
        }
    }

    /// Makes room for one more duplicate of `source`, by closing those that nobody can redeem any more; then those of
    /// sources of which nothing `has_more`, the oldest first.
    ///
    /// One source may leave so many unredeemed that a quarter of the descriptors is left, all together an eighth, and of few
    /// some more.
    pub(super) fn make_room(&mut self, source: Who, has_more: impl Fn(Who) -> bool) -> Result<()> {
        if self.ready.len() < FEWEST {
            return Ok(());
        }
        let limit = usize::try_from(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let leaving = |some: usize| limit.saturating_sub(some).clamp(FEWEST, MOST_READY);
        let (all, limit) = (leaving((limit / 8).max(64)), leaving((limit / 4).max(96)));
        let is_full = |arrived: &Self| {
            arrived.ready.len() >= all || arrived.sources.get(&source).is_some_and(|source| source.count >= limit)
        };
        if !is_full(self) {
            return Ok(());
        }
        let now = since_boot(self.clock_shift);
        let expired: Vec<Key> =
            self.ready.iter().filter(|(_, waiting)| waiting.expired_at(now)).map(|(key, _)| *key).collect();
        for key in &expired {
            self.take(key);
            self.outcomes.note(*key, Outcome::Expired);
        }
        while self.ready.len() >= all {
            let ended = self.sources.iter().filter(|(other, _)| **other != source && !has_more(**other));
            let Some(oldest) = ended.min_by_key(|(_, ended)| ended.number).map(|(oldest, _)| *oldest) else { break };
            self.ready.retain(|key, _| key.source != oldest);
            self.sources.remove(&oldest);
        }
        if is_full(self) { Err(Error::TooManyUnredeemed { limit }) } else { Ok(()) }
    }

    pub(super) fn take(&mut self, key: &Key) -> Option<Waiting> {
        if self.ready.is_empty() {
            return None;
        }
        let waiting = self.ready.remove(key)?;
        if let Some(source) = self.sources.get_mut(&key.source) {
            source.count -= 1;
            if source.count == 0 {
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
        self.last += 1;
        self.sources.entry(key.source).or_insert(Source { count: 0, number: self.last }).count += 1;
        true
    }

    /// Hands out what waited, if it may be had.
    pub(super) fn open(&mut self, key: &Key, waiting: Waiting) -> Result<OwnedFd> {
        let outcome = if waiting.expires != 0 && waiting.expired_at(since_boot(self.clock_shift)) {
            Outcome::Expired
        } else if waiting.gate.is_some_and(|gate| take_gate(&gate) != Ok(true)) {
            Outcome::Revoked
        } else {
            Outcome::Redeemed
        };
        self.outcomes.note(*key, outcome);
        match outcome {
            Outcome::Redeemed => Ok(waiting.descriptor.into_owned()),
            outcome => Err(outcome.error()),
        }
    }

    pub(super) fn outcome(&self, key: &Key) -> Option<Outcome> {
        self.outcomes.of(key)
    }

    /// The outcome of `key`, if it cannot change.
    pub(super) fn final_outcome(&self, key: &Key) -> Option<Outcome> {
        self.outcomes.of(key).filter(|outcome| !outcome.may_change())
    }

    /// The outcome of `key`. One that may change is forgotten.
    pub(super) fn consult(&mut self, key: &Key) -> Option<Outcome> {
        self.outcomes.consult(key)
    }

    pub(super) fn note(&mut self, key: Key, outcome: Outcome) {
        self.outcomes.note(key, outcome);
    }

    pub(super) fn clear(&mut self) {
        *self = Arrived::new(self.clock_shift);
    }
}

impl Waiting {
    fn expired_at(&self, now: u64) -> bool {
        self.expires != 0 && self.expires <= now
    }
}
