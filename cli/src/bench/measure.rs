//! Rounds, medians and spread.

use std::io::{IsTerminal, Write};
use std::time::Duration;

/// The time of one operation over several rounds, in microseconds.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Figure {
    pub(crate) median_us: f64,
    pub(crate) lowest_us: f64,
    pub(crate) highest_us: f64,
}

impl Figure {
    /// From the times of one operation, one a round.
    pub(crate) fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |index: usize| times.get(index).copied().unwrap_or(f64::NAN);
        let (middle, last) = (times.len() / 2, times.len().saturating_sub(1));
        let median_us =
            if times.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.wrapping_sub(1)), at(middle)) };
        Figure { median_us, lowest_us: at(0), highest_us: at(last) }
    }
}

/// The smallest of the times that at least this part of them does not exceed.
pub(crate) fn quantile(mut times: Vec<f64>, part: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let below = times.iter().enumerate().find(|(index, _)| (index + 1) as f64 >= part * times.len() as f64);
    below.map_or(f64::NAN, |(_, time)| *time)
}

/// Microseconds an operation took when `count` of them took `time`.
pub(crate) fn each(time: Duration, count: u32) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(count)
}

/// One line on standard error that says what is being measured, on a terminal only.
#[derive(Debug)]
pub(crate) struct Progress(bool);

impl Progress {
    pub(crate) fn new() -> Self {
        Progress(std::io::stderr().is_terminal())
    }

    pub(crate) fn say(&self, what: &str, round: u32, rounds: u32) {
        if self.0 {
            let _ = write!(std::io::stderr(), "\r\x1b[K{what}: round {round} of {rounds}");
        }
    }

    pub(crate) fn end(&self) {
        if self.0 {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let figure = Figure::of(vec![3.0, 1.0, 2.0]);
        assert_eq!((figure.median_us, figure.lowest_us, figure.highest_us), (2.0, 1.0, 3.0));
        assert_eq!(Figure::of(vec![1.0, 4.0, 2.0, 3.0]).median_us, 2.5);
    }

    #[test]
    fn a_quantile_is_one_of_the_times() {
        let times: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|part| quantile(times.clone(), part)), [1.0, 50.0, 99.0, 100.0]);
        assert!(quantile(Vec::new(), 0.5).is_nan());
    }
}
