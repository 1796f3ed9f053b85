//! The choice of the worker that gets a connection.

use crate::run::options::Policy;

/// The order in which workers are tried, from what each has open, if it says so.
pub(super) fn order(policy: Policy, turn: usize, open: &[Option<u64>]) -> Vec<usize> {
    let count = open.len().max(1);
    let mut order: Vec<usize> = (0..open.len()).map(|at| (at + turn % count) % count).collect();
    // While one worker is silent, the counts of the others do not tell which has the fewest.
    if let (Policy::LeastOpen, Some(open)) = (policy, open.iter().copied().collect::<Option<Vec<_>>>()) {
        order.sort_by_key(|at| open.get(*at).copied());
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_busy_comes_first_and_ties_are_broken_in_turn() {
        use Policy::{LeastOpen, RoundRobin};
        let (some, none) = (Some, None);
        for (policy, turn, open, expected) in [
            (LeastOpen, 0, &[some(2), some(0), some(1)][..], &[1, 2, 0][..]),
            (LeastOpen, 2, &[some(1), some(1), some(1)], &[2, 0, 1]),
            (LeastOpen, 1, &[some(5), some(1), some(1), some(0)], &[3, 1, 2, 0]),
            (LeastOpen, 2, &[some(5), some(1), some(1), some(0)], &[3, 2, 1, 0]),
            (LeastOpen, 0, &[some(9), none, some(0)], &[0, 1, 2]),
            (LeastOpen, 4, &[none, none, none], &[1, 2, 0]),
            (RoundRobin, 1, &[some(9), some(9), some(0)], &[1, 2, 0]),
            (RoundRobin, usize::MAX, &[some(9)], &[0]),
            (LeastOpen, 7, &[], &[]),
        ] {
            assert_eq!(order(policy, turn, open), expected, "{policy:?} {turn} {open:?}");
        }
    }
}
