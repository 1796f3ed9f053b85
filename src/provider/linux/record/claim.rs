//! Giving a socket its slot, without a lock: a process that is stopped or killed at whatever instruction keeps nobody.
//!
//! A slot is two words: its record, and the cookie of the socket it belongs to, with a version that counts how often the
//! slot was given away. A slot that never had a socket is taken by one compare-and-swap of the cookie; since all take the
//! first in a row that is free, and none becomes free again, a socket gets one. When none is free, one without a
//! registration is given away:
//!
//! 1. its record is replaced by one that is *moving*, with a new epoch: from now on no change of the record succeeds;
//! 2. its cookie is replaced, with a new version: others see who wants it;
//! 3. the row is searched for other slots of the same socket: one that is whole is used instead, one that is moving is
//!    stopped, by a new epoch;
//! 4. the record becomes whole, if it still is the one of step 1.
//!
//! Whoever finds a moving record may begin with it at step 1, for whichever socket; then step 4 of the other fails, and
//! it begins again. Of two that give one socket two slots, at least one sees the other's in step 3.

use super::cell::Cell;
use super::word::Record;

/// A row that others change whenever we look is changed by somebody who wants to keep us.
const ATTEMPTS: usize = 10_000;
/// Bits of a cookie: the kernel counts up from one, so that they last. The others are the version.
const COOKIE_BITS: u32 = 48;

/// The slots that a socket may have, in order.
pub(super) trait Row {
    type Cell: Cell;
    fn length(&self) -> usize;
    fn word(&self, at: usize) -> &Self::Cell;
    fn cookie(&self, at: usize) -> &Self::Cell;
    /// Forgets what else lies in a slot.
    fn clear(&self, at: usize);
    /// Tells those who looked in vain to look again.
    fn count(&self);
    /// Whether an owner is gone, and its registrations with it.
    fn is_gone(&self, owner: u16) -> bool;
    /// What was written before it is seen by all who read after theirs.
    fn fence(&self);
}

/// The cookie in such a word.
pub(super) fn cookie_in(word: u64) -> u64 {
    word & ((1 << COOKIE_BITS) - 1)
}

/// The word for a cookie in the place of another.
pub(super) fn cookie_after(former: u64, cookie: u64) -> u64 {
    ((former >> COOKIE_BITS).wrapping_add(1) << COOKIE_BITS) | cookie_in(cookie)
}

/// What a search in a row finds.
enum Found {
    /// The socket's own.
    Whole(usize),
    /// One that never had a socket, and none of the socket's own.
    Free(usize),
    /// Neither.
    Nothing,
}

/// Finds the slot of `cookie`, or gives it one. Nothing when all are in use.
pub(super) fn claim(row: &impl Row, cookie: u64) -> Option<usize> {
    let cookie = cookie_in(cookie);
    for _ in 0..ATTEMPTS {
        match search(row, cookie) {
            Found::Whole(at) => {
                // Whoever gave it may have been killed before it said so.
                let record = record(row, at);
                if (record.owner, record.epoch) == (0, 0) {
                    row.count();
                }
                return Some(at);
            }
            Found::Free(at) => {
                if row.cookie(at).replace(0, cookie_after(0, cookie)) {
                    row.count();
                    return Some(at);
                }
            }
            Found::Nothing => {
                if let Some(at) = take(row, candidate(row, cookie)?, cookie) {
                    return Some(at);
                }
            }
        }
    }
    None
}

/// The whole slot of `cookie` in a row, if it has one.
pub(super) fn find(row: &impl Row, cookie: u64) -> Option<usize> {
    match search(row, cookie_in(cookie)) {
        Found::Whole(at) => Some(at),
        _ => None,
    }
}

fn search(row: &impl Row, cookie: u64) -> Found {
    for at in 0..row.length() {
        match row.cookie(at).get() {
            0 => return Found::Free(at),
            word if cookie_in(word) == cookie && !record(row, at).moving => return Found::Whole(at),
            _ => {}
        }
    }
    Found::Nothing
}

fn record(row: &impl Row, at: usize) -> Record {
    Record::unpack(row.word(at).get())
}

/// A slot that can be given away: where it is, its cookie's word, and its record.
type Candidate = (usize, u64, Record);

/// The slot to begin with: the socket's own that is moving; else one without a registration; else one that is moving for
/// another socket, whose process may have ended; else one whose owner is gone.
fn candidate(row: &impl Row, cookie: u64) -> Option<Candidate> {
    // The cookie is read first: if the record is still the one that is read after it when it is replaced, nobody has given
    // the slot away in between, or the replacing of the cookie fails.
    let slots = || (0..row.length()).map(|at| (at, row.cookie(at).get(), record(row, at)));
    let (mut unregistered, mut abandoned) = (None, None);
    for slot in slots() {
        let (_, word, record) = &slot;
        match (record.moving, record.owner) {
            (true, _) if cookie_in(*word) == cookie => return Some(slot),
            (true, _) => drop(abandoned.get_or_insert(slot)),
            (false, 0) => drop(unregistered.get_or_insert(slot)),
            (false, _) => {}
        }
    }
    let gives_way = |record: &Record| record.moving || record.owner == 0 || row.is_gone(record.owner);
    unregistered.or(abandoned).or_else(|| slots().find(|(_, _, record)| gives_way(record)))
}

/// Gives a slot away; where the socket has one in the end. Nothing when somebody was faster.
fn take(row: &impl Row, (at, former, old): Candidate, cookie: u64) -> Option<usize> {
    let moving = Record { moving: true, epoch: next(old.epoch), ..Record::default() };
    if !row.word(at).replace(old.pack(), moving.pack()) || !row.cookie(at).replace(former, cookie_after(former, cookie))
    {
        return None;
    }
    row.fence();
    for other in (0..row.length()).filter(|other| *other != at) {
        if cookie_in(row.cookie(other).get()) != cookie {
            continue;
        }
        let found = record(row, other);
        if !found.moving {
            // Ours stays moving, for whoever needs one.
            return (cookie_in(row.cookie(other).get()) == cookie).then_some(other);
        }
        if !row.word(other).replace(found.pack(), Record { epoch: next(found.epoch), ..found }.pack()) {
            return None;
        }
    }
    row.clear(at);
    row.count();
    let whole = Record { moving: false, epoch: next(moving.epoch), ..moving };
    row.word(at).replace(moving.pack(), whole.pack()).then_some(at)
}

fn next(epoch: u16) -> u16 {
    epoch.wrapping_add(1) & 0xfff
}
