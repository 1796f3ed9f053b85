//! How fast things go, told from what a supervisor said one time after the other.
//!
//! Time is the supervisor's: what its answers took to arrive does not matter, nor does the clock of whoever looks.

use crate::status::{Status, WorkerStatus};
use std::collections::{HashMap, VecDeque};

/// How far back history goes, in seconds.
pub(crate) const HISTORY: usize = 60;

/// More moments than this are not kept, however close together they are.
const MOST_MOMENTS: usize = 1024;

/// A worker: ids are used again, so the id alone is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WorkerKey {
    pub(crate) place: u32,
    pub(crate) generation: u32,
    pub(crate) pid: u32,
}

impl From<&WorkerStatus> for WorkerKey {
    fn from(worker: &WorkerStatus) -> Self {
        WorkerKey { place: worker.place, generation: worker.generation, pid: worker.pid }
    }
}

/// How fast one worker goes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct WorkerRates {
    /// Of one processor: 2.0 is two of them, busy.
    pub(crate) processor: Option<f64>,
    /// A second.
    pub(crate) hand_offs: Option<f64>,
}

/// The last status, how fast things go, and how fast connections were handed off before.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    status: Option<Status>,
    hand_offs: Option<f64>,
    workers: HashMap<WorkerKey, WorkerRates>,
    moments: VecDeque<Moment>,
}

/// How many had been handed off at a time.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: f64,
    total: f64,
}

impl Rates {
    /// Goes on from one status to the next.
    pub(crate) fn take(&mut self, status: Status) {
        match self.status.take().filter(|before| continues(before, &status)) {
            None => *self = Self::default(),
            Some(before) if status.uptime_s > before.uptime_s => self.compare(&before, &status),
            // The same moment again tells nothing of how fast things go.
            Some(_) => {}
        }
        if let Some(hand_offs) = status.hand_offs {
            self.remember(Moment { at: status.uptime_s, total: hand_offs.total as f64 });
        }
        self.status = Some(status);
    }

    pub(crate) fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    /// Connections handed off a second; unknown after the first status.
    pub(crate) fn hand_offs(&self) -> Option<f64> {
        self.hand_offs
    }

    pub(crate) fn worker(&self, worker: &WorkerStatus) -> WorkerRates {
        self.workers.get(&worker.into()).copied().unwrap_or_default()
    }

    /// Connections handed off a second in each of the last bars, which take so many seconds each.
    ///
    /// Bars begin at whole multiples of their length, so that they wander to the left but keep their heights.
    pub(crate) fn history(&self, bars: usize, seconds: usize) -> Vec<Option<f64>> {
        let length = seconds.max(1) as f64;
        let end = self.moments.back().map_or(0.0, |moment| (moment.at / length).floor());
        let edge = |bar: usize| self.total_at((end - (bars - bar) as f64) * length);
        (0..bars).map(|bar| Some((edge(bar + 1)? - edge(bar)?).max(0.0) / length)).collect()
    }

    fn compare(&mut self, before: &Status, now: &Status) {
        let elapsed = now.uptime_s - before.uptime_s;
        let total = |status: &Status| status.hand_offs.map(|hand_offs| hand_offs.total as f64);
        self.hand_offs = per_second(total(before), total(now), elapsed);
        let earlier: HashMap<WorkerKey, &WorkerStatus> =
            before.workers.iter().map(|worker| (worker.into(), worker)).collect();
        let rates = |worker: &WorkerStatus| {
            let taken = Some(worker.handed_off as f64);
            match earlier.get(&worker.into()).filter(|before| before.uptime_s <= worker.uptime_s) {
                Some(before) => WorkerRates {
                    processor: per_second(before.cpu_s, worker.cpu_s, elapsed),
                    hand_offs: per_second(Some(before.handed_off as f64), taken, elapsed),
                },
                // It started since: all that it did, it did since then.
                None => WorkerRates {
                    processor: per_second(Some(0.0), worker.cpu_s, worker.uptime_s),
                    hand_offs: per_second(Some(0.0), taken, worker.uptime_s),
                },
            }
        };
        self.workers = now.workers.iter().map(|worker| (worker.into(), rates(worker))).collect();
    }

    fn remember(&mut self, moment: Moment) {
        if !moment.at.is_finite() || self.moments.back().is_some_and(|last| last.at >= moment.at) {
            return;
        }
        self.moments.push_back(moment);
        // One moment from before the oldest bar begins has to stay.
        let oldest = moment.at - 2.0 * HISTORY as f64;
        while self.moments.len() > MOST_MOMENTS || self.moments.get(1).is_some_and(|second| second.at < oldest) {
            self.moments.pop_front();
        }
    }

    /// How many had been handed off at that time, as if they came evenly between two moments.
    fn total_at(&self, at: f64) -> Option<f64> {
        let after = self.moments.partition_point(|moment| moment.at < at);
        let right = self.moments.get(after)?;
        if right.at <= at {
            return Some(right.total);
        }
        let left = self.moments.get(after.checked_sub(1)?)?;
        Some(left.total + (right.total - left.total) * (at - left.at) / (right.at - left.at))
    }
}

/// Whether it is the same supervisor, later or at the same moment; an upgrade keeps its id.
fn continues(before: &Status, now: &Status) -> bool {
    before.pid == now.pid && before.name == now.name && before.uptime_s <= now.uptime_s
}

/// A child that ended takes its time with it: less than before counts as nothing.
fn per_second(before: Option<f64>, now: Option<f64>, elapsed: f64) -> Option<f64> {
    let rate = (now? - before?).max(0.0) / elapsed;
    (elapsed > 0.0 && rate.is_finite()).then_some(rate)
}
