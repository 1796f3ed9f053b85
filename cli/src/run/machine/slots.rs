//! The slots of a generation: which worker is in each, how often it failed, and when the next starts.

use super::event::{Rules, Workers};
use crate::backoff::Backoff;
use crate::run::clock::Moment;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A planned end sooner than this is followed by a pause, or a program that has nothing to do would be started for ever.
const BRIEF: Duration = Duration::from_secs(1);
const PAUSE_AFTER_BRIEF: Duration = Duration::from_millis(100);

/// A generation of workers: one program, with one set of options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) number: u32,
    pub(crate) rules: Rules,
    pub(crate) slots: Vec<Slot>,
}

/// One slot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    pub(crate) backoff: Backoff,
    /// Workers that ended unasked and were replaced.
    pub(crate) restarts: u64,
    /// When the next worker starts.
    pub(crate) restart_at: Option<Moment>,
}

impl Generation {
    pub(crate) fn new(number: u32, rules: Rules) -> Self {
        let count = match rules.workers {
            Workers::Slots(count) => count,
            Workers::Single(_) => 0,
        };
        Generation { number, rules, slots: (0..count).map(|_| Slot::default()).collect() }
    }

    pub(crate) fn slot(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(slot).ok()?)
    }

    /// A worker ended as it meant to: the pause before the next.
    pub(crate) fn ended_as_planned(&mut self, slot: u32, lived: Duration, now: Moment) -> Duration {
        let pause = if lived < BRIEF { PAUSE_AFTER_BRIEF } else { Duration::ZERO };
        if let Some(slot) = self.slot(slot) {
            slot.backoff = Backoff::default();
            slot.restarts += 1;
            slot.restart_at = Some(now.after(pause));
        }
        pause
    }

    /// A worker failed after it lived this long: the pause before the next, and how often that was in a row.
    pub(crate) fn failed(&mut self, slot: u32, lived: Duration, now: Moment) -> (Duration, u32) {
        let Some(slot) = self.slot(slot) else { return (Duration::ZERO, 0) };
        let pause = slot.backoff.ended(lived);
        slot.restarts += 1;
        slot.restart_at = Some(now.after(pause));
        (pause, slot.backoff.failures())
    }

    pub(crate) fn next_restart(&self) -> Option<Moment> {
        self.slots.iter().filter_map(|slot| slot.restart_at).min()
    }

    /// Slots in which a worker is to start now.
    pub(crate) fn take_due(&mut self, now: Moment) -> Vec<u32> {
        let due = |(number, slot): (u32, &mut Slot)| slot.restart_at.take_if(|at| *at <= now).map(|_| number);
        (0..).zip(&mut self.slots).filter_map(due).collect()
    }
}
