//! What became of the last duplicates, so that a second use of an info is told from an unknown one.

use super::arrived::Key;
use crate::error::Error;
use foldhash::fast::RandomState;
use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

/// So many tables of so many fates: when one is full, the oldest is forgotten. At least 16,384 are remembered.
const TABLES: usize = 5;
const EACH: usize = 4096;

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

/// The last fates, the youngest table first.
///
/// They are found by a hash that nobody outside can predict. Each is one word, and what is written at every redemption is
/// small, so that it stays in the processor's cache.
#[derive(Debug, Default)]
pub(super) struct Fates {
    hash: RandomState,
    tables: [Fated; TABLES],
}

type Fated = HashSet<Noted, BuildHasherDefault<Print>>;

/// A fate in three bits, and in all others the print of what it became of; only the print is compared.
#[derive(Debug, Clone, Copy)]
struct Noted(u64);

/// The bits of the fate: in the middle, for a table finds a place by the lowest ones and the highest.
const FATE: u64 = 0b111 << SHIFT;
const SHIFT: u32 = 32;

impl Fates {
    pub(super) fn of(&self, key: &Key) -> Option<Fate> {
        self.find(Noted::seeking(self.hash.hash_one(key)))
    }

    /// The same. One that may change is forgotten.
    pub(super) fn consult(&mut self, key: &Key) -> Option<Fate> {
        let sought = Noted::seeking(self.hash.hash_one(key));
        let fate = self.find(sought)?;
        if fate.may_change() {
            self.tables.iter_mut().for_each(|table| _ = table.remove(&sought));
        }
        Some(fate)
    }

    pub(super) fn note(&mut self, key: Key, fate: Fate) {
        let print = self.hash.hash_one(key);
        if fate.may_change() && self.find(Noted::seeking(print)).is_some() {
            return;
        }
        if self.tables.first().is_some_and(|youngest| youngest.len() >= EACH) {
            self.tables.rotate_right(1);
            let [youngest, ..] = &mut self.tables;
            youngest.clear();
        }
        let [youngest, ..] = &mut self.tables;
        youngest.replace(Noted::new(print, fate));
    }

    fn find(&self, sought: Noted) -> Option<Fate> {
        self.tables.iter().find_map(|table| table.get(&sought)).map(|noted| noted.fate())
    }
}

impl Noted {
    fn new(print: u64, fate: Fate) -> Self {
        Noted((print & !FATE) | (fate.code() << SHIFT))
    }

    fn seeking(print: u64) -> Self {
        Noted(print & !FATE)
    }

    fn fate(self) -> Fate {
        let code = (self.0 & FATE) >> SHIFT;
        Fate::ALL.into_iter().find(|fate| fate.code() == code).unwrap_or(Fate::Redeemed)
    }
}

impl PartialEq for Noted {
    fn eq(&self, other: &Self) -> bool {
        self.0 & !FATE == other.0 & !FATE
    }
}

impl Eq for Noted {}

impl Hash for Noted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 & !FATE);
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

impl Fate {
    const ALL: [Fate; 5] = [Fate::Redeemed, Fate::Expired, Fate::Revoked, Fate::NotHeld, Fate::SourceGone];

    fn code(self) -> u64 {
        match self {
            Fate::Redeemed => 1,
            Fate::Expired => 2,
            Fate::Revoked => 3,
            Fate::NotHeld => 4,
            Fate::SourceGone => 5,
        }
    }

    pub(super) fn may_change(self) -> bool {
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
    fn so_many_are_remembered_each_with_its_fate_and_no_others() {
        let mut fates = Fates::default();
        let remembered = u32::try_from((TABLES - 1) * EACH).unwrap();
        assert_eq!(remembered, 16_384);
        let fate = |number: u32| Fate::ALL[number as usize % 3];
        for number in 0..3 * remembered {
            assert_eq!(fates.of(&key(number)), None);
            fates.note(key(number), fate(number));
            let oldest = number.saturating_sub(remembered - 1);
            for number in [oldest, number] {
                assert_eq!(fates.of(&key(number)), Some(fate(number)));
            }
        }
        assert!(fates.tables.iter().map(HashSet::len).sum::<usize>() <= TABLES * EACH);
    }

    #[test]
    fn what_may_change_gives_way_and_is_told_once() {
        let mut fates = Fates::default();
        fates.note(key(1), Fate::NotHeld);
        assert_eq!(fates.consult(&key(1)), Some(Fate::NotHeld));
        assert_eq!(fates.of(&key(1)), None);
        for (before, after, holds) in [
            (Fate::NotHeld, Fate::Redeemed, Fate::Redeemed),
            (Fate::Redeemed, Fate::SourceGone, Fate::Redeemed),
            (Fate::SourceGone, Fate::NotHeld, Fate::SourceGone),
            (Fate::Revoked, Fate::Redeemed, Fate::Redeemed),
        ] {
            let mut fates = Fates::default();
            fates.note(key(1), before);
            fates.note(key(1), after);
            assert_eq!(fates.of(&key(1)), Some(holds), "{before:?}, then {after:?}");
        }
    }
}
