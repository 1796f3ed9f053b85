//! Generations of workers: what they were started with, and how often each slot failed.

use crate::backoff::Backoff;
use crate::run::clock::Moment;
use crate::run::listener::Listener;
use crate::run::options::{Options, Via};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use std::time::Duration;

/// What workers are started with.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) options: Options,
    pub(crate) listeners: Vec<Rc<Listener>>,
}

impl Plan {
    /// What is asked for, with the listeners that there are already, and new ones for the rest.
    pub(crate) fn make(options: Options, there: &[Rc<Listener>]) -> Result<Self> {
        let listener = |spec: &crate::run::spec::Spec| match there.iter().find(|listener| listener.spec == *spec) {
            Some(listener) => Ok(Rc::clone(listener)),
            None => match there.iter().find(|listener| listener.spec.is_same_socket(spec)) {
                Some(listener) => listener.again(spec).map(Rc::new),
                None => Listener::bind(spec).map(Rc::new),
            },
        };
        let mut listeners: Vec<Rc<Listener>> = Vec::new();
        for spec in &options.listen {
            match listener(spec) {
                Ok(made) => listeners.push(made),
                Err(error) => {
                    // What was bound for nothing leaves no path.
                    let new = |made: &&Rc<Listener>| !there.iter().any(|old| old.address == made.address);
                    listeners
                        .iter()
                        .filter(new)
                        .filter_map(|made| made.path())
                        .for_each(|path| _ = std::fs::remove_file(path));
                    return Err(error);
                }
            }
        }
        Ok(Plan { options, listeners })
    }

    pub(crate) fn listens_at(&self, listener: &Listener) -> bool {
        self.listeners.iter().any(|ours| ours.address == listener.address)
    }
}

/// One slot for a worker.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Slot {
    pub(crate) backoff: Backoff,
    pub(crate) restarts: u64,
    /// When a worker is to be started in it again.
    pub(crate) restart_at: Option<Moment>,
}

/// A generation.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) number: u32,
    pub(crate) plan: Rc<Plan>,
    pub(crate) slots: Vec<Slot>,
}

impl Generation {
    pub(crate) fn new(number: u32, plan: Rc<Plan>) -> Self {
        let slots = vec![Slot::default(); usize::try_from(Generation::slots(&plan)).unwrap_or_default()];
        Generation { number, plan, slots }
    }

    /// How many workers it has: none, if one is started for each connection.
    pub(crate) fn slots(plan: &Plan) -> u32 {
        if plan.options.giving() == Some(Via::Stdio) { 0 } else { plan.options.workers.into() }
    }

    /// A worker that lived so long has ended unasked: the pause before the next, unless that was once too often.
    pub(crate) fn ended(&mut self, slot: u32, lived: Duration) -> Option<Duration> {
        let limit = self.plan.options.restart_limit;
        let slot = self.slot(slot)?;
        let pause = slot.backoff.ended(lived);
        if slot.backoff.failures() > limit {
            return None;
        }
        slot.restarts += 1;
        slot.restart_at = Some(Moment::now().after(pause));
        Some(pause)
    }

    pub(crate) fn slot(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(slot).ok()?)
    }

    pub(crate) fn next_restart(&self) -> Option<Moment> {
        self.slots.iter().filter_map(|slot| slot.restart_at).min()
    }

    /// Places in which it is time to start again.
    pub(crate) fn take_due(&mut self) -> Vec<u32> {
        let now = Moment::now();
        let due = |(number, slot): (u32, &mut Slot)| slot.restart_at.take_if(|at| *at <= now).map(|_| number);
        (0..).zip(&mut self.slots).filter_map(due).collect()
    }
}
