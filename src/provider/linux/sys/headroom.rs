//! Whether this process has so many free descriptors that one more surely finds a place.

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// So many free descriptors are ample: nobody opens as many within one tick of the coarse clock (1 to 4 ms).
const AMPLE: u64 = 2048;
/// Counting costs more than looking at a few messages before they are taken.
const WORTH_COUNTING: u32 = 8;

/// What was found out in this tick of the clock.
#[derive(Debug)]
pub(crate) struct Headroom {
    tick: Timespec,
    asked: u32,
    ample: bool,
}

impl Headroom {
    pub(crate) fn new() -> Self {
        Headroom { tick: Timespec { tv_sec: 0, tv_nsec: 0 }, asked: 0, ample: false }
    }

    /// `true` when a descriptor that is received now surely finds a place.
    pub(crate) fn is_ample(&mut self) -> bool {
        let tick = clock_gettime(ClockId::MonotonicCoarse);
        if tick != self.tick {
            *self = Headroom { tick, asked: 0, ample: false };
        }
        self.asked = self.asked.saturating_add(1);
        if self.asked == WORTH_COUNTING {
            self.ample = free_descriptors().is_some_and(|free| free >= AMPLE);
        }
        self.ample
    }
}

/// How many more descriptors this process may open; nothing where the kernel does not count them (before 6.2).
fn free_descriptors() -> Option<u64> {
    let open = std::fs::metadata("/proc/self/fd").ok()?.len();
    (open > 0).then(|| getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX).saturating_sub(open))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_descriptors_are_those_below_the_limit() {
        let limit = getrlimit(Resource::Nofile).current.unwrap();
        assert!(free_descriptors().is_none_or(|free| free < limit));
    }

    #[test]
    fn ample_is_not_assumed_but_counted() {
        let mut headroom = Headroom::new();
        assert!(!headroom.is_ample());
        let last = (0..1000).map(|_| headroom.is_ample()).last().unwrap();
        assert_eq!(last, headroom.asked >= WORTH_COUNTING && free_descriptors().is_some_and(|free| free >= AMPLE));
    }
}
