//! How long a call may wait, and whether a signal ends the wait.

#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use std::time::{Duration, Instant};

/// How long a call may wait, and whether a signal ends the wait.
///
/// A [`Duration`] and an `Option<Duration>` (`None` waits for ever) become one by `into`, so calls that take
/// `impl Into<Wait>` are given a plain time. By default a wait goes on after a signal handler has run; a program whose
/// handlers only set a flag asks to be [interruptible](Wait::interruptible).
///
/// ```
/// use sharesock::Wait;
/// use std::time::Duration;
/// assert_eq!(Wait::from(Duration::from_secs(1)), Wait::at_most(Duration::from_secs(1)));
/// assert_eq!(Wait::from(None), Wait::forever());
/// let _until_a_signal = Wait::forever().interruptible();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub struct Wait {
    limit: Option<Duration>,
    interruptible: bool,
}

impl Wait {
    /// Does not wait at all.
    pub fn none() -> Self {
        Self::at_most(Duration::ZERO)
    }

    /// Waits for at most `time`. A time beyond what the clock can tell is for ever.
    pub fn at_most(time: Duration) -> Self {
        Wait { limit: Some(time), interruptible: false }
    }

    /// Waits for as long as it takes.
    pub fn forever() -> Self {
        Wait { limit: None, interruptible: false }
    }

    /// The same wait, which ends with [`Error::Interrupted`] when a signal handler has run (`EINTR`).
    ///
    /// Nothing is lost by that: the same call can be made again. On Windows there are no such signals, and this has no
    /// effect.
    pub fn interruptible(mut self) -> Self {
        self.interruptible = true;
        self
    }

    pub(crate) fn begin(self) -> Deadline {
        let until = self.limit.and_then(|limit| Instant::now().checked_add(limit));
        Deadline { until, interruptible: self.interruptible }
    }
}

impl From<Duration> for Wait {
    fn from(time: Duration) -> Self {
        Wait::at_most(time)
    }
}

impl From<Option<Duration>> for Wait {
    fn from(limit: Option<Duration>) -> Self {
        Wait { limit, interruptible: false }
    }
}

/// A wait that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    until: Option<Instant>,
    interruptible: bool,
}

impl Deadline {
    /// How much time is left; nothing when there is no end.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// What is left of it, as a wait of its own.
    pub(crate) fn rest(&self) -> Wait {
        Wait { limit: self.left(), interruptible: self.interruptible }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left() == Some(Duration::ZERO)
    }

    /// What a signal handler that ran during the wait comes to.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if that was asked for.
    #[cfg_attr(windows, allow(dead_code))]
    pub(crate) fn signalled(&self) -> Result<()> {
        if self.interruptible { Err(crate::error::Error::Interrupted) } else { Ok(()) }
    }
}
