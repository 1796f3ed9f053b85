//! What is held for whom, and what became of what is not held any longer.

use super::{Mail, Refusal, Token};
use crate::process::Process;
use crate::provider::linux::closer::Foreign;
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// The most duplicates that are held at a time.
const MOST_HELD: usize = 16_384;
/// How many expired and revoked duplicates are remembered, to answer claims of them, and for how long.
const MOST_ENDED: usize = 16_384;
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// Who may have what is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heir {
    Process(Process),
    /// Whoever claims an offer first: any member of the domain, or any process of one user.
    First(Option<u32>),
}

impl Heir {
    fn is(self, claimant: &Process, uid: u32) -> bool {
        match self {
            Heir::Process(process) => process == *claimant,
            Heir::First(user) => user.is_none_or(|user| user == uid),
        }
    }

    /// The process that it must be.
    pub(super) fn process(self) -> Option<Process> {
        match self {
            Heir::Process(process) => Some(process),
            Heir::First(_) => None,
        }
    }
}

/// One duplicate that is held.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) heir: Heir,
    pub(super) mail: Mail,
    pub(super) descriptor: Foreign,
    pub(super) gate: Option<OwnedFd>,
}

/// What a process holds for others.
#[derive(Debug)]
pub(super) struct Holding {
    entries: HashMap<Token, Entry>,
    /// How many of them are for one process.
    targets: HashMap<Process, usize>,
    ended: HashMap<Token, (Heir, Refusal)>,
    offers: usize,
    order: VecDeque<(Token, Instant)>,
    /// When the next duplicate expires, or earlier; nanoseconds since boot.
    next_expiry: u64,
}

impl Entry {
    /// Its descriptor, and its gate if it has one.
    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        std::iter::once(self.descriptor.as_fd()).chain(self.gate.as_ref().map(AsFd::as_fd)).collect()
    }
}

impl Holding {
    pub(super) fn new() -> Self {
        Holding {
            entries: HashMap::new(),
            targets: HashMap::new(),
            ended: HashMap::new(),
            offers: 0,
            order: VecDeque::new(),
            next_expiry: u64::MAX,
        }
    }

    /// How many duplicates are held for targets that will claim them: an offer may have no taker.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.offers
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= MOST_HELD
    }

    /// Whether nothing is held, and nobody could still be told why.
    pub(super) fn is_done(&self) -> bool {
        self.entries.is_empty() && self.ended.is_empty()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&Token, &Entry)> {
        self.entries.iter()
    }

    pub(super) fn is_for(&self, target: &Process) -> bool {
        self.targets.contains_key(target)
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        match entry.heir.process() {
            Some(target) => *self.targets.entry(target).or_default() += 1,
            None => self.offers += 1,
        }
        if entry.mail.expires != 0 {
            self.next_expiry = self.next_expiry.min(entry.mail.expires);
        }
        self.entries.insert(entry.mail.token, entry);
    }

    /// What is held under `token` for `claimant`, a process of the user `uid`.
    ///
    /// # Errors
    /// Why there is nothing for it.
    pub(super) fn find(&self, token: &Token, claimant: &Process, uid: u32) -> Result<&Entry, Refusal> {
        let ended = || self.ended.get(token).filter(|(heir, _)| heir.is(claimant, uid));
        let entry = self.entries.get(token).filter(|entry| entry.heir.is(claimant, uid));
        entry.ok_or_else(|| ended().map_or(Refusal::NotHeld, |(_, refusal)| *refusal))
    }

    pub(super) fn remove(&mut self, token: &Token) -> Option<Entry> {
        let entry = self.entries.remove(token)?;
        let Some(target) = entry.heir.process() else {
            self.offers -= 1;
            return Some(entry);
        };
        if let Some(count) = self.targets.get_mut(&target) {
            *count -= 1;
            if *count == 0 {
                self.targets.remove(&target);
            }
        }
        Some(entry)
    }

    /// Drops what is held under `token`, and remembers why.
    pub(super) fn end(&mut self, token: &Token, refusal: Refusal, now: Instant) {
        let Some(entry) = self.remove(token) else { return };
        self.ended.insert(*token, (entry.heir, refusal));
        self.order.push_back((*token, now));
    }

    /// Drops all that is held for a process that has ended.
    pub(super) fn forget(&mut self, target: &Process, now: Instant) {
        let of_it = self.entries.iter().filter(|(_, entry)| entry.heir == Heir::Process(*target));
        let tokens: Vec<_> = of_it.map(|(token, _)| *token).collect();
        tokens.iter().for_each(|token| self.end(token, Refusal::NotHeld, now));
    }

    /// Drops what has expired at `since_boot`, and what was remembered for long enough at `now`; how long until the next.
    pub(super) fn expire(&mut self, since_boot: u64, now: Instant) -> Option<Duration> {
        if self.next_expiry <= since_boot {
            let expired = |entry: &Entry| (1..=since_boot).contains(&entry.mail.expires);
            let tokens: Vec<_> =
                self.entries.iter().filter(|(_, entry)| expired(entry)).map(|(token, _)| *token).collect();
            tokens.iter().for_each(|token| self.end(token, Refusal::Expired, now));
            let left = self.entries.values().map(|entry| entry.mail.expires).filter(|expires| *expires != 0);
            self.next_expiry = left.min().unwrap_or(u64::MAX);
        }
        let age = |ended: &Instant| now.saturating_duration_since(*ended);
        while self.order.len() > MOST_ENDED || self.order.front().is_some_and(|(_, ended)| age(ended) >= REMEMBERED_FOR)
        {
            self.order.pop_front().map(|(oldest, _)| self.ended.remove(&oldest));
        }
        let until_expiry = Duration::from_nanos(self.next_expiry.saturating_sub(since_boot));
        let expiry = (self.next_expiry != u64::MAX).then_some(until_expiry);
        let forgetting = self.order.front().map(|(_, ended)| REMEMBERED_FOR.saturating_sub(age(ended)));
        expiry.into_iter().chain(forgetting).min()
    }
}
