//! How amounts went lately: what a supervisor said of them, one time after the other, as rows of blocks.

use super::rates::Rates;
use super::units;
use crate::status::Status;
use std::collections::VecDeque;

/// More moments than this are not kept, however close together they are.
const MOST_MOMENTS: usize = 1024;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// An amount whose course is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trend {
    Connections,
    Queued,
    Processor,
    Memory,
    Latency,
}

impl Trend {
    pub(crate) const ALL: [Trend; 5] =
        [Trend::Connections, Trend::Processor, Trend::Memory, Trend::Queued, Trend::Latency];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Queued => "queued",
            Self::Processor => "processor",
            Self::Memory => "memory",
            Self::Latency => "latency 99%",
        }
    }

    pub(crate) fn show(self, amount: f64) -> String {
        match self {
            Self::Connections | Self::Queued => units::count(amount as u64),
            Self::Processor => units::percent(amount),
            Self::Memory => units::bytes(amount as u64),
            Self::Latency => units::microseconds(amount as u64),
        }
    }

    /// Nothing where the system does not tell it of anybody.
    fn of(self, status: &Status, rates: &Rates) -> Option<f64> {
        let workers = || status.workers.iter();
        let sum =
            |amounts: &mut dyn Iterator<Item = f64>| amounts.fold(None, |sum, one| Some(sum.unwrap_or(0.0) + one));
        match self {
            Self::Connections => sum(&mut workers().filter_map(|worker| Some(worker.connections? as f64))),
            Self::Queued => sum(&mut status.listeners.iter().filter_map(|listener| Some(listener.queued? as f64))),
            Self::Processor => sum(&mut workers().filter_map(|worker| rates.worker(worker).processor)),
            Self::Memory => sum(&mut workers().filter_map(|worker| Some(worker.memory_bytes? as f64))),
            Self::Latency => Some(status.hand_offs?.slowest_percent_us? as f64),
        }
    }
}

/// A report, with its time by the supervisor's clock.
#[derive(Debug, Default)]
pub(crate) struct Trends(VecDeque<(f64, [Option<f64>; Trend::ALL.len()])>);

impl Trends {
    /// Goes on with what was said last. Another supervisor, or an earlier moment, begins anew.
    pub(crate) fn take(&mut self, rates: &Rates) {
        let Some(status) = rates.status() else { return };
        match self.0.back() {
            Some((last, _)) if *last == status.uptime_s => return,
            Some((last, _)) if *last > status.uptime_s => self.0.clear(),
            _ => {}
        }
        if self.0.len() == MOST_MOMENTS {
            self.0.pop_front();
        }
        self.0.push_back((status.uptime_s, Trend::ALL.map(|trend| trend.of(status, rates))));
    }

    /// The last amounts, the newest last: the highest of each of so many stretches of time.
    pub(crate) fn bars(&self, trend: Trend, bars: usize, seconds: f64) -> Vec<Option<f64>> {
        let mut heights = vec![None; bars];
        let end = self.0.back().map_or(0.0, |(at, _)| (at / seconds).floor());
        for (at, amounts) in &self.0 {
            let back = end - (at / seconds).floor();
            let place = bars.checked_sub(1 + back as usize).and_then(|place| heights.get_mut(place));
            let amount = Trend::ALL.iter().zip(amounts).find(|(one, _)| **one == trend).and_then(|(_, amount)| *amount);
            if let (Some(height), Some(amount)) = (place, amount) {
                *height = Some(amount.max(height.unwrap_or(0.0)));
            }
        }
        heights
    }
}

/// Blocks of these heights; a space where nothing is known.
pub(crate) fn blocks(heights: &[Option<f64>]) -> String {
    let most = heights.iter().flatten().copied().fold(0.0, f64::max);
    let block = |height: &Option<f64>| match height {
        None => ' ',
        Some(height) if *height <= 0.0 || most <= 0.0 => BLOCKS[0],
        Some(height) => BLOCKS[((height / most * 7.0).round() as usize).min(7)],
    };
    heights.iter().map(block).collect()
}
