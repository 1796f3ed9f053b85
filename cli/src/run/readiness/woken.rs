//! Whether connections wake a worker that may not be looked at.
//!
//! Everybody may know how often the threads of a process began to wait. A worker that waits for connections does so once
//! more for each that it takes, and not at all while none comes. One that is hung never does; one that loads does also while
//! no connection is made, and each time that is seen, what was counted before counts for nothing.

/// Number of connections that must have woken it.
const WANTED: u32 = 16;
/// Most trials for each worker that accepts there, until one wakes it.
const SHARE: u32 = 2;

/// Outcome of the trials of one worker.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Woken {
    hits: u32,
    trials: u32,
}

impl Woken {
    /// Takes note of a trial: whether it moved while nothing was tried, and when a connection was made.
    pub(super) fn note(&mut self, by_itself: bool, by_connection: bool, rivals: u32) {
        if by_itself || self.trials >= WANTED * (rivals + 1) * SHARE {
            *self = Woken::default();
            return;
        }
        self.trials += 1;
        self.hits += u32::from(by_connection);
    }

    pub(super) fn is_proved(self) -> bool {
        self.hits >= WANTED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many trials it is proved.
    fn proved_after(most: u32, rivals: u32, mut moves: impl FnMut(u32) -> (bool, bool)) -> Option<u32> {
        let mut woken = Woken::default();
        (1..=most).find(|trial| {
            let (by_itself, by_connection) = moves(*trial);
            woken.note(by_itself, by_connection, rivals);
            woken.is_proved()
        })
    }

    #[test]
    fn one_that_takes_connections_in_turn_is_found_and_one_that_does_not_move_never() {
        assert_eq!(proved_after(1000, 0, |_| (false, true)), Some(16));
        // Four others take them in turn with it.
        assert_eq!(proved_after(1000, 4, |trial| (false, trial % 5 == 0)), Some(80));
        assert_eq!(proved_after(10_000, 4, |_| (false, false)), None);
        // It moves all the time.
        assert_eq!(proved_after(10_000, 4, |_| (true, true)), None);
    }

    #[test]
    fn what_moves_by_chance_is_not_taken_for_woken() {
        for (rate, rivals) in [(5_u64, 0), (10, 1), (20, 1), (50, 1), (10, 8)] {
            let mut seed = 0x2545_F491_4F6C_DD1D_u64 ^ rate;
            let mut chance = |hundredths: u64| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed % 100 < hundredths
            };
            // As many trials as there are in the longest time that a worker may take.
            let found = proved_after(2_000, rivals, |_| (chance(rate), chance(rate)));
            assert_eq!(found, None, "{rate} of 100, {rivals} rivals");
        }
    }
}
