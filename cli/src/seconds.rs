//! Times that a person gives: in seconds, such as 2 or 0.5.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Why a text is no such time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    NoNumber,
    OutOfBounds,
}

/// A time within these bounds.
pub(crate) fn parse(text: &str, bounds: RangeInclusive<f64>) -> Result<Duration, Wrong> {
    let seconds = text.parse().map_err(|_| Wrong::NoNumber)?;
    let seconds = Some(seconds).filter(|seconds| bounds.contains(seconds)).ok_or(Wrong::OutOfBounds)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| Wrong::OutOfBounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_numbers_within_bounds() {
        assert_eq!(parse("0.5", 0.0..=1.0), Ok(Duration::from_millis(500)));
        assert_eq!(parse("1", 0.0..=1.0), Ok(Duration::from_secs(1)));
        for text in ["", "x", "1s", " 1"] {
            assert_eq!(parse(text, 0.0..=1.0), Err(Wrong::NoNumber), "{text}");
        }
        for text in ["-1", "1.01", "nan", "inf", "1e400"] {
            assert_eq!(parse(text, 0.0..=1.0), Err(Wrong::OutOfBounds), "{text}");
        }
        assert_eq!(parse("1e300", 0.0..=f64::MAX), Err(Wrong::OutOfBounds), "more than a duration holds");
    }
}
