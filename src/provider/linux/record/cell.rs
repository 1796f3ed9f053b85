//! A word that several processes change.

use super::word::Record;
use std::sync::atomic::{AtomicU64, Ordering};

/// A word that somebody else changes whenever we try to is changed by somebody who wants to keep us.
const ATTEMPTS: usize = 10_000;

/// What a record lies in.
pub(crate) trait Cell {
    fn get(&self) -> u64;
    /// Replaces `old` by `new`, if it still is `old`.
    fn replace(&self, old: u64, new: u64) -> bool;
}

impl Cell for AtomicU64 {
    fn get(&self) -> u64 {
        self.load(Ordering::SeqCst)
    }

    fn replace(&self, old: u64, new: u64) -> bool {
        old == new || self.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// Changes a record in one step; nothing when `change` declines.
pub(crate) fn update<T>(cell: &impl Cell, mut change: impl FnMut(&mut Record) -> Option<T>) -> Option<T> {
    for _ in 0..ATTEMPTS {
        let old = cell.get();
        let mut new = Record::unpack(old);
        let result = change(&mut new)?;
        if cell.replace(old, new.pack()) {
            return Some(result);
        }
    }
    None
}
