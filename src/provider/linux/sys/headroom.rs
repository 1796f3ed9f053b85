//! Whether this process has so many free descriptors that some more surely find a place.

use rustix::process::{Resource, getrlimit};
use std::time::{Duration, Instant};

/// No process opens descriptors faster than one in so many nanoseconds.
const FASTEST: u64 = 50;
/// So many are never counted on.
const SPARE: u64 = 64;
/// Counting costs about a microsecond: when it found too few, it is not repeated before this.
const COUNT_PAUSE: Duration = Duration::from_millis(1);

/// The limit is asked again after this: it may have been lowered.
const LIMIT_FOR: Duration = Duration::from_micros(50);

/// What was counted, and when.
#[derive(Debug)]
pub(crate) struct Headroom {
    limit: u64,
    asked: Option<Instant>,
    open: u64,
    counted: Option<Instant>,
}

impl Headroom {
    pub(crate) fn new() -> Self {
        Headroom { limit: 0, asked: None, open: 0, counted: None }
    }

    /// `true` when `count` descriptors that are received now surely find a place: so many were free a moment ago that nobody
    /// can have used them up since.
    pub(crate) fn is_ample(&mut self, count: usize) -> bool {
        let now = Instant::now();
        let since = |then: Option<Instant>| then.map_or(Duration::MAX, |then| now.saturating_duration_since(then));
        if since(self.asked) > LIMIT_FOR {
            self.limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
            self.asked = Some(now);
        }
        // Another thread may do the same at the same time.
        let wanted = 2 * count as u64 + SPARE;
        let passed = since(self.counted);
        let free = self.limit.saturating_sub(self.open);
        if self.counted.is_some() && free.saturating_sub(used_up(passed)) >= wanted {
            return true;
        }
        if free < 2 * wanted && passed < COUNT_PAUSE {
            return false;
        }
        // Before Linux 6.2 it does not count: then room is never ample.
        self.open = open_descriptors().unwrap_or(u64::MAX);
        self.counted = Some(now);
        self.limit.saturating_sub(self.open) >= wanted
    }
}

/// How many descriptors can have been opened in that time.
fn used_up(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos().into()) / FASTEST
}

/// How many descriptors this process has open, where the kernel counts them (since 6.2).
fn open_descriptors() -> Option<u64> {
    std::fs::metadata("/proc/thread-self/fd").ok().map(|folder| folder.len()).filter(|open| *open > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_descriptors_are_below_the_limit() {
        let limit = getrlimit(Resource::Nofile).current.unwrap();
        assert!(open_descriptors().is_none_or(|open| open > 0 && open <= limit));
    }

    #[test]
    fn ample_is_counted_and_does_not_last() {
        let mut headroom = Headroom::new();
        let Some(open) = open_descriptors() else { return };
        let free = getrlimit(Resource::Nofile).current.unwrap() - open;
        assert!(headroom.is_ample(1));
        assert!(!headroom.is_ample(usize::try_from(free).unwrap() + 100));
        let old = Instant::now().checked_sub(Duration::from_secs(1));
        headroom = Headroom { limit: 1000, asked: Some(Instant::now()), open: 990, counted: old };
        // It counts again, and asks for the limit again after a while.
        assert!(headroom.is_ample(1) || headroom.limit == 1000);
    }

    #[test]
    fn ample_leaves_as_many_again_to_another_thread() {
        // Counted later than now: no time passes since.
        let later = Instant::now().checked_add(Duration::from_secs(3600));
        for count in [1, 2, 253_u64] {
            let is_ample = |free: u64| {
                let mut headroom = Headroom { limit: 1 << 20, asked: later, open: (1 << 20) - free, counted: later };
                headroom.is_ample(usize::try_from(count).unwrap())
            };
            assert!(is_ample(2 * count + SPARE) && !is_ample(2 * count + SPARE - 1));
        }
    }
}
