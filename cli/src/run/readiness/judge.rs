//! Evidence about a worker, and the sign that follows from it.

use super::exec::Attempt;
use super::woken::Woken;
use super::{Served, Serves};
use crate::run::machine::Sign;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A worker is not tried before this: most are seen to serve without.
const TRY_AFTER: Duration = Duration::from_secs(1);
/// Pause between two trials, at first and at last: they take the time of servers that answer one after the other.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// For how many looks what was seen counts: a busy server does not wait in each.
const FRESH: u64 = 16;
/// In how many looks in a row a worker may not be looked at until it is taken for hidden.
const HIDDEN: u64 = 4;

/// Evidence about a worker, from all looks.
#[derive(Debug)]
pub(super) struct Evidence {
    /// In which look it was last seen to serve each listener, by inode.
    served: HashMap<u64, u64>,
    /// Number of looks.
    look: u64,
    /// In how many of the last it could not be looked at.
    hidden_for: u64,
    /// Its main process is among what may not be.
    is_main_hidden: bool,
    /// It serves at the address that was named.
    pub(super) answers: bool,
    /// The request, or the command, that was named.
    pub(super) attempt: Attempt,
    /// Addresses that the named one stands for.
    pub(super) addresses: Vec<SocketAddr>,
    /// It gave the right answer to the request, or the command succeeded, that was named.
    pub(super) is_well: bool,
    /// Connections at these listeners are taken, and not by others: nobody else could, or they wake it or one like it.
    pub(super) taken: HashSet<u64>,
    /// Listeners that it was seen to serve, though it need not.
    pub(super) also: HashSet<u64>,
    /// Whether connections at a listener wake it, or those that started with it.
    pub(super) woken: HashMap<u64, Woken>,
    try_at: Instant,
    pause: Duration,
}

impl Evidence {
    pub(super) fn new(now: Instant) -> Self {
        Evidence {
            served: HashMap::new(),
            look: 0,
            hidden_for: 0,
            is_main_hidden: false,
            answers: false,
            attempt: Attempt::default(),
            addresses: Vec::new(),
            is_well: false,
            taken: HashSet::new(),
            also: HashSet::new(),
            woken: HashMap::new(),
            try_at: now + TRY_AFTER,
            pause: TRY_AGAIN.0,
        }
    }

    /// Takes note of a look: what it waits for, or that it may not be looked at.
    pub(super) fn note(&mut self, waits_for: &HashSet<u64>, is_hidden: bool, is_main_hidden: bool) {
        self.look += 1;
        self.is_main_hidden = is_main_hidden;
        self.hidden_for = if is_hidden { self.hidden_for + 1 } else { 0 };
        waits_for.iter().for_each(|inode| self.has_served(*inode));
    }

    pub(super) fn has_served(&mut self, inode: u64) {
        self.served.insert(inode, self.look);
    }

    /// Whether it was seen to serve the listener in one of the last looks: one that has stopped to does not.
    fn serves(&self, inode: u64) -> bool {
        self.served.get(&inode).is_some_and(|look| self.look - look < FRESH)
    }

    pub(super) fn serves_any(&self) -> bool {
        self.served.keys().any(|inode| self.serves(*inode))
    }

    /// Whether it may not be looked at, and not only for a moment.
    pub(super) fn is_hidden(&self) -> bool {
        self.hidden_for >= HIDDEN
    }

    /// Whether it is time to try it by a connection; the next time is later.
    pub(super) fn is_to_be_tried(&mut self, now: Instant) -> bool {
        let due = now >= self.try_at;
        if due {
            self.try_at = now + self.pause;
            self.pause = (self.pause * 2).min(TRY_AGAIN.1);
        }
        due
    }

    /// Goes on soon with trials that were begun.
    pub(super) fn is_tried_again_soon(&mut self) {
        self.pause = TRY_AGAIN.0;
        self.try_at = Instant::now() + self.pause;
    }

    /// Listeners that it was not seen to serve.
    pub(super) fn unserved<'a>(&self, serves: &'a Serves) -> Vec<&'a Served> {
        match serves {
            Serves::Listeners(listeners) | Serves::Http(listeners, _) | Serves::Exec(listeners, _) => {
                listeners.iter().filter(|listener| !self.serves(listener.inode)).collect()
            }
            Serves::Address(_) => Vec::new(),
        }
    }

    /// Whether it accepts from all of its listeners.
    pub(super) fn accepts(&self, serves: &Serves) -> bool {
        let is_served = |left: &&Served| self.is_hidden() && self.taken.contains(&left.inode);
        let is_some = match serves {
            Serves::Listeners(all) | Serves::Http(all, _) => !all.is_empty(),
            // It may have none.
            Serves::Exec(..) => true,
            Serves::Address(_) => false,
        };
        is_some && self.unserved(serves).iter().all(is_served)
    }

    /// Listeners that it does not serve, if that is seen, and it serves others.
    pub(super) fn ignored(&self, serves: &Serves) -> Vec<u64> {
        if self.is_hidden() || !self.serves_any() {
            return Vec::new();
        }
        self.unserved(serves).into_iter().map(|left| left.inode).collect()
    }

    /// The sign that follows from the evidence.
    pub(super) fn sign(&self, serves: &Serves) -> Sign {
        let accepts = self.accepts(serves);
        let serves_all = match serves {
            Serves::Listeners(_) => accepts,
            Serves::Http(..) | Serves::Exec(..) => accepts && self.is_well,
            Serves::Address(_) => self.answers,
        };
        match serves_all {
            true => Sign::Serves,
            // A helper of another user is no reason to believe what the worker says.
            false if self.is_hidden() && self.is_main_hidden => Sign::Hidden,
            false if self.is_hidden() => Sign::Unseen,
            // One that accepts and is not well has failed.
            false if !accepts && (self.serves_any() || !self.taken.is_empty()) => Sign::ServesSome,
            false => Sign::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::*;
    use std::sync::Arc;

    fn listeners(inodes: &[u64]) -> Serves {
        Serves::Listeners(inodes.iter().map(|inode| Served { inode: *inode, at: None }).collect())
    }

    #[test]
    fn all_listeners_are_to_be_served_and_what_is_not_seen_is_not_taken_for_it() {
        let set = |inodes: &[u64]| inodes.iter().copied().collect::<HashSet<_>>();
        type Case = (&'static [u64], &'static [u64], bool, &'static [u64], Sign);
        let cases: &[Case] = &[
            // wanted, served, hidden, taken by somebody
            (&[1], &[], false, &[], Sign::Nothing),
            (&[], &[], false, &[], Sign::Nothing),
            (&[1], &[1], false, &[], Sign::Serves),
            (&[1], &[2], false, &[], Sign::ServesSome),
            (&[1, 2], &[1], false, &[], Sign::ServesSome),
            (&[1, 2], &[1, 2], false, &[], Sign::Serves),
            // A visible worker must be seen to wait: connections may be taken by somebody else.
            (&[1], &[], false, &[1], Sign::ServesSome),
            (&[1], &[], true, &[], Sign::Unseen),
            (&[1], &[], true, &[1], Sign::Serves),
            (&[1, 2], &[1], true, &[2], Sign::Serves),
            (&[1, 2], &[], true, &[2], Sign::Unseen),
        ];
        for (wanted, served, hidden, taken, sign) in cases {
            let mut evidence = Evidence::new(Instant::now());
            (0..HIDDEN).for_each(|_| evidence.note(&set(served), *hidden, false));
            evidence.taken = set(taken);
            assert_eq!(evidence.sign(&listeners(wanted)), *sign, "{wanted:?} {served:?} {hidden} {taken:?}");
        }
    }

    #[test]
    fn what_was_seen_long_ago_or_hidden_for_a_moment_does_not_count() {
        let mut evidence = Evidence::new(Instant::now());
        let (one, none) = (HashSet::from([1]), HashSet::new());
        evidence.note(&one, false, false);
        assert_eq!(evidence.sign(&listeners(&[1])), Sign::Serves);
        (0..FRESH).for_each(|_| evidence.note(&none, false, false));
        assert_eq!(evidence.sign(&listeners(&[1])), Sign::Nothing);
        (1..HIDDEN).for_each(|_| evidence.note(&none, true, true));
        assert_eq!(evidence.sign(&listeners(&[1])), Sign::Nothing);
        evidence.note(&none, true, true);
        assert_eq!(evidence.sign(&listeners(&[1])), Sign::Hidden);
        evidence.note(&none, false, false);
        assert_eq!(evidence.sign(&listeners(&[1])), Sign::Nothing);
    }

    #[test]
    fn one_that_accepts_and_is_not_well_serves_nothing() {
        let Serves::Listeners(all) = listeners(&[1]) else { return };
        let mut evidence = Evidence::new(Instant::now());
        evidence.note(&HashSet::from([1]), false, false);
        let serves = Serves::Exec(all, Command::new("false", &Arc::default()));
        assert_eq!(evidence.sign(&serves), Sign::Nothing);
        evidence.is_well = true;
        assert_eq!(evidence.sign(&serves), Sign::Serves);
    }

    #[test]
    fn trials_are_rare_and_become_rarer() {
        let begun = Instant::now();
        let mut evidence = Evidence::new(begun);
        let step = Duration::from_millis(50);
        let tried: Vec<_> = (0..200).map(|n| begun + step * n).filter(|now| evidence.is_to_be_tried(*now)).collect();
        let ages: Vec<_> = tried.iter().map(|at| (*at - begun).as_millis()).collect();
        assert_eq!(ages, [1000, 1250, 1750, 2750, 4750, 6750, 8750]);
    }
}
