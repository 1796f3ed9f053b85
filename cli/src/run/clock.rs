//! Time that goes on in a successor: milliseconds since the machine was started.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        let [seconds, nanoseconds] = [now.tv_sec, now.tv_nsec].map(|part| u64::try_from(part).unwrap_or_default());
        Moment(seconds * 1000 + nanoseconds / 1_000_000)
    }

    /// When the machine was started.
    #[cfg(test)]
    pub(crate) fn start() -> Self {
        Moment(0)
    }

    pub(crate) fn after(self, time: Duration) -> Self {
        Moment(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    pub(crate) fn elapsed(self) -> Duration {
        Moment::now().since(self)
    }

    /// The same by the time of day, as that is set now.
    pub(crate) fn since_1970(self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(self.elapsed())
    }

    /// Nothing, if it is past.
    pub(crate) fn remaining(self) -> Duration {
        self.since(Moment::now())
    }

    pub(crate) fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}
