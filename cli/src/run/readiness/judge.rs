//! What was seen of a worker, and what follows from it.

use super::exec::Run;
use super::woken::Woken;
use super::{Served, Serves};
use crate::run::machine::Sign;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// A worker is not tried before this: most are seen to serve without.
const TRY_AFTER: Duration = Duration::from_secs(1);
/// Pause between two trials, at first and at last: they take the time of servers that answer one after the other.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// What was seen of a worker, in all looks.
#[derive(Debug)]
pub(super) struct Evidence {
    /// Listeners that it was seen to serve, by inode.
    pub(super) served: HashSet<u64>,
    /// It serves at the address that was named.
    pub(super) answers: bool,
    /// The command that was named.
    pub(super) run: Run,
    /// It gave the right answer to the request, or the command succeeded, that was named.
    pub(super) is_well: bool,
    /// Part of it may not be looked at, or waits in a way that cannot be seen.
    pub(super) unseen: bool,
    /// Connections at these listeners are taken, and not by others: nobody else could, or they wake it or one like it.
    pub(super) taken: HashSet<u64>,
    /// Whether connections at a listener wake it, or those that started with it.
    pub(super) woken: HashMap<u64, Woken>,
    try_at: Instant,
    pause: Duration,
}

impl Evidence {
    pub(super) fn new(now: Instant) -> Self {
        Evidence {
            served: HashSet::new(),
            answers: false,
            run: Run::default(),
            is_well: false,
            unseen: false,
            taken: HashSet::new(),
            woken: HashMap::new(),
            try_at: now + TRY_AFTER,
            pause: TRY_AGAIN.0,
        }
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

    /// What was begun goes on.
    pub(super) fn is_tried_again_soon(&mut self) {
        self.pause = TRY_AGAIN.0;
        self.try_at = Instant::now() + self.pause;
    }

    /// What of its listeners it was not seen to serve.
    pub(super) fn unserved<'a>(&self, serves: &'a Serves) -> Vec<&'a Served> {
        match serves {
            Serves::Listeners(listeners) | Serves::Http(listeners, _) | Serves::Exec(listeners, _) => {
                listeners.iter().filter(|listener| !self.served.contains(&listener.inode)).collect()
            }
            Serves::Address(_) => Vec::new(),
        }
    }

    /// Whether it accepts from all of its listeners.
    pub(super) fn accepts(&self, serves: &Serves) -> bool {
        let is_served = |left: &&Served| self.unseen && self.taken.contains(&left.inode);
        let is_some = match serves {
            Serves::Listeners(all) | Serves::Http(all, _) => !all.is_empty(),
            // It may have none.
            Serves::Exec(..) => true,
            Serves::Address(_) => false,
        };
        is_some && self.unserved(serves).iter().all(is_served)
    }

    /// What it does not serve, if that is seen, and it serves something.
    pub(super) fn ignored(&self, serves: &Serves) -> Vec<u64> {
        if self.unseen || self.served.is_empty() {
            return Vec::new();
        }
        self.unserved(serves).into_iter().map(|left| left.inode).collect()
    }

    /// What that is a sign of.
    pub(super) fn sign(&self, serves: &Serves) -> Option<Sign> {
        let serves_all = match serves {
            Serves::Listeners(_) => self.accepts(serves),
            Serves::Http(..) | Serves::Exec(..) => self.accepts(serves) && self.is_well,
            Serves::Address(_) => self.answers,
        };
        match (serves_all, self.unseen, self.served.is_empty()) {
            (true, _, _) => Some(Sign::Serves),
            (false, true, _) => Some(Sign::Unseen),
            (false, false, false) => Some(Sign::ServesSome),
            (false, false, true) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listeners(inodes: &[u64]) -> Serves {
        Serves::Listeners(inodes.iter().map(|inode| Served { inode: *inode, address: None }).collect())
    }

    #[test]
    fn all_listeners_are_to_be_served_and_what_is_not_seen_is_not_taken_for_it() {
        let set = |inodes: &[u64]| inodes.iter().copied().collect::<HashSet<_>>();
        type Case = (&'static [u64], &'static [u64], bool, &'static [u64], Option<Sign>);
        let cases: &[Case] = &[
            // wanted, served, unseen, taken by somebody
            (&[1], &[], false, &[], None),
            (&[1], &[1], false, &[], Some(Sign::Serves)),
            (&[1], &[2], false, &[], Some(Sign::ServesSome)),
            (&[1, 2], &[1], false, &[], Some(Sign::ServesSome)),
            (&[1, 2], &[1, 2], false, &[], Some(Sign::Serves)),
            // Where it can be seen, it does not matter who takes connections.
            (&[1], &[], false, &[1], None),
            (&[1], &[], true, &[], Some(Sign::Unseen)),
            (&[1], &[], true, &[1], Some(Sign::Serves)),
            (&[1, 2], &[1], true, &[2], Some(Sign::Serves)),
            (&[1, 2], &[], true, &[2], Some(Sign::Unseen)),
        ];
        for (wanted, served, unseen, taken, sign) in cases {
            let mut evidence = Evidence::new(Instant::now());
            (evidence.served, evidence.unseen, evidence.taken) = (set(served), *unseen, set(taken));
            assert_eq!(evidence.sign(&listeners(wanted)), *sign, "{wanted:?} {served:?} {unseen} {taken:?}");
        }
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
