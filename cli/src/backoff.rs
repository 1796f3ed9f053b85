//! How long to wait before a process that ended unasked is started again.

use std::time::Duration;

/// The first pause; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A process that lived so long was no failure.
const SOUND_AFTER: Duration = Duration::from_secs(10);

/// How often it failed in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// One that lived so long has ended: the pause before the next.
    pub(crate) fn ended(&mut self, lived: Duration) -> Duration {
        if lived >= SOUND_AFTER {
            self.failures = 0;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    /// Failures in a row.
    #[cfg_attr(windows, allow(dead_code))] // Nothing is supervised there.
    pub(crate) fn failures(self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_a_sound_life_begins_anew() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..9).map(|_| backoff.ended(Duration::ZERO).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(backoff.failures(), 9);
        assert_eq!(backoff.ended(SOUND_AFTER), FIRST_PAUSE);
        assert_eq!(backoff.failures(), 1);
    }
}
