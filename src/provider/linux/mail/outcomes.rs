//! What became of the last duplicates, so that a second use of an info is told from an unknown one.

use super::arrived::Key;
use crate::error::Error;
use foldhash::fast::RandomState;
use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

/// So many tables of so many outcomes: when one is full, the oldest is forgotten. At least 16,384 are remembered.
const TABLES: usize = 5;
const EACH: usize = 4096;

/// What became of a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Redeemed,
    Expired,
    Revoked,
    /// Its source does not hold it, or no longer: it may have delivered it meanwhile.
    NotHeld,
    /// Its source ended before it answered a claim.
    SourceGone,
}

/// The last outcomes, the youngest table first.
///
/// They are found by a hash that nobody outside can predict. Each is one word, and what is written at every redemption is
/// small, so that it stays in the processor's cache.
#[derive(Debug, Default)]
pub(super) struct OutcomeCache {
    hash: RandomState,
    tables: [Table; TABLES],
}

type Table = HashSet<Noted, BuildHasherDefault<Print>>;

/// An outcome in three bits, and in all others the print of what it became of; only the print is compared.
#[derive(Debug, Clone, Copy)]
struct Noted(u64);

/// The bits of the outcome: in the middle, for a table finds a place by the lowest ones and the highest.
const OUTCOME: u64 = 0b111 << SHIFT;
const SHIFT: u32 = 32;

impl OutcomeCache {
    pub(super) fn of(&self, key: &Key) -> Option<Outcome> {
        self.find(Noted::seeking(self.hash.hash_one(key)))
    }

    /// The same. One that may change is forgotten.
    pub(super) fn consult(&mut self, key: &Key) -> Option<Outcome> {
        let sought = Noted::seeking(self.hash.hash_one(key));
        let outcome = self.find(sought)?;
        if outcome.may_change() {
            self.tables.iter_mut().for_each(|table| _ = table.remove(&sought));
        }
        Some(outcome)
    }

    pub(super) fn note(&mut self, key: Key, outcome: Outcome) {
        let print = self.hash.hash_one(key);
        if outcome.may_change() && self.find(Noted::seeking(print)).is_some() {
            return;
        }
        if self.tables.first().is_some_and(|youngest| youngest.len() >= EACH) {
            self.tables.rotate_right(1);
            let [youngest, ..] = &mut self.tables;
            youngest.clear();
        }
        let [youngest, ..] = &mut self.tables;
        youngest.replace(Noted::new(print, outcome));
    }

    fn find(&self, sought: Noted) -> Option<Outcome> {
        self.tables.iter().find_map(|table| table.get(&sought)).map(|noted| noted.outcome())
    }
}

impl Noted {
    fn new(print: u64, outcome: Outcome) -> Self {
        Noted((print & !OUTCOME) | (outcome.code() << SHIFT))
    }

    fn seeking(print: u64) -> Self {
        Noted(print & !OUTCOME)
    }

    fn outcome(self) -> Outcome {
        let code = (self.0 & OUTCOME) >> SHIFT;
        Outcome::ALL.into_iter().find(|outcome| outcome.code() == code).unwrap_or(Outcome::Redeemed)
    }
}

impl PartialEq for Noted {
    fn eq(&self, other: &Self) -> bool {
        self.0 & !OUTCOME == other.0 & !OUTCOME
    }
}

impl Eq for Noted {}

impl Hash for Noted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 & !OUTCOME);
    }
}

/// Hashes what is a hash already.
#[derive(Debug, Default)]
struct Print(u64);

impl Hasher for Print {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, print: u64) {
        self.0 = print;
    }
}

impl Outcome {
    const ALL: [Outcome; 5] =
        [Outcome::Redeemed, Outcome::Expired, Outcome::Revoked, Outcome::NotHeld, Outcome::SourceGone];

    fn code(self) -> u64 {
        match self {
            Outcome::Redeemed => 1,
            Outcome::Expired => 2,
            Outcome::Revoked => 3,
            Outcome::NotHeld => 4,
            Outcome::SourceGone => 5,
        }
    }

    pub(super) fn may_change(self) -> bool {
        matches!(self, Outcome::NotHeld | Outcome::SourceGone)
    }

    pub(super) fn error(self) -> Error {
        match self {
            Outcome::Redeemed => Error::AlreadyRedeemed,
            Outcome::Expired => Error::Expired,
            Outcome::Revoked => Error::Revoked,
            Outcome::NotHeld => Error::UnknownDelivery,
            Outcome::SourceGone => Error::SourceGone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Token;
    use super::*;

    fn key(number: u32) -> Key {
        let mut token = [0; 16];
        token[..4].copy_from_slice(&number.to_le_bytes());
        Key { source: (1, 2), token: Token::from_bytes(token) }
    }

    #[test]
    fn so_many_are_remembered_each_with_its_outcome_and_no_others() {
        let mut outcomes = OutcomeCache::default();
        let remembered = u32::try_from((TABLES - 1) * EACH).unwrap();
        assert_eq!(remembered, 16_384);
        let outcome = |number: u32| Outcome::ALL[number as usize % 3];
        for number in 0..3 * remembered {
            assert_eq!(outcomes.of(&key(number)), None);
            outcomes.note(key(number), outcome(number));
            let oldest = number.saturating_sub(remembered - 1);
            for number in [oldest, number] {
                assert_eq!(outcomes.of(&key(number)), Some(outcome(number)));
            }
        }
        assert!(outcomes.tables.iter().map(HashSet::len).sum::<usize>() <= TABLES * EACH);
    }

    #[test]
    fn what_may_change_gives_way_and_is_told_once() {
        let mut outcomes = OutcomeCache::default();
        outcomes.note(key(1), Outcome::NotHeld);
        assert_eq!(outcomes.consult(&key(1)), Some(Outcome::NotHeld));
        assert_eq!(outcomes.of(&key(1)), None);
        for (before, after, holds) in [
            (Outcome::NotHeld, Outcome::Redeemed, Outcome::Redeemed),
            (Outcome::Redeemed, Outcome::SourceGone, Outcome::Redeemed),
            (Outcome::SourceGone, Outcome::NotHeld, Outcome::SourceGone),
            (Outcome::Revoked, Outcome::Redeemed, Outcome::Redeemed),
        ] {
            let mut outcomes = OutcomeCache::default();
            outcomes.note(key(1), before);
            outcomes.note(key(1), after);
            assert_eq!(outcomes.of(&key(1)), Some(holds), "{before:?}, then {after:?}");
        }
    }
}
