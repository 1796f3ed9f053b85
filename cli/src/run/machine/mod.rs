//! Decisions of a supervisor: from events, and the time, to actions.
//!
//! Nothing here reads a clock, touches a process or waits. Whoever owns a [`Machine`] tells it of everything that happens,
//! does what it answers, in order, and tells it that time has passed when [`Machine::due`] has come.

mod ends;
mod event;
mod reload;
mod slots;
mod stop;
mod worker;

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod world;

pub(crate) use event::{Action, AskerId, End, Event, Notice, ReadyRule, Reply, Rules, Sign, WorkerId, Workers};
pub(crate) use slots::{Generation, Slot};
pub(crate) use worker::{Phase as WorkerPhase, Worker};

use super::clock::Moment;
use super::report::Report;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The supervisor's state.
#[derive(Debug)]
pub(crate) struct Machine {
    phase: Phase,
    serving: Generation,
    workers: BTreeMap<WorkerId, Worker>,
    orphans: BTreeMap<WorkerId, Orphans>,
    counts: Counts,
    /// Actions that are to be done, in order.
    actions: Vec<Action>,
}

/// Phase of the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// The first workers are not ready yet; `reload` says who asked for a reload meanwhile.
    Starting {
        reload: Option<Vec<AskerId>>,
    },
    Serving,
    Reloading(reload::Reload),
    /// Another program is being tried.
    Upgrading {
        asker: AskerId,
    },
    Stopping(stop::Stop),
    Over,
}

/// The process group of a worker that has ended, and left something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orphans {
    /// When it is killed.
    pub(crate) due: Moment,
    /// Number of times that it was killed.
    pub(crate) kills: u32,
}

/// Counts since the supervisor was first started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) started: Moment,
    pub(crate) reloads: u64,
    pub(crate) upgrades: u64,
    pub(crate) restarts: u64,
    pub(crate) last_worker: WorkerId,
    pub(crate) last_generation: u32,
    pub(crate) last_failure: Option<LastFailure>,
    pub(crate) failed_reloads: u64,
    pub(crate) failed_upgrades: u64,
    /// Connections of workers that were killed at their stop deadline.
    pub(crate) cut: u64,
    /// When the last reload was over, and how long it took.
    pub(crate) last_reload: Option<(Moment, Duration)>,
    /// The last process for a single connection could not be started.
    pub(crate) is_short: bool,
}

/// A failure, with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastFailure {
    pub(crate) why: String,
    pub(crate) at: Moment,
}

/// A failure, and what the worker that failed printed last.
#[derive(Debug, Clone, Copy)]
struct Failure<'a> {
    why: &'a str,
    printed: &'a [String],
}

impl<'a> From<&'a str> for Failure<'a> {
    fn from(why: &'a str) -> Self {
        Failure { why, printed: &[] }
    }
}

impl Failure<'_> {
    /// On one line: programs say last why they end.
    fn brief(&self) -> String {
        let last = self.printed.iter().rev().find(|line| !line.trim().is_empty());
        last.map_or_else(|| self.why.to_owned(), |line| format!("{}, after printing: {line}", self.why))
    }

    /// All of it, for those who do not see the output.
    fn whole(&self) -> String {
        let lines = self.printed.iter().map(|line| format!("\n  {line}"));
        let behind = if self.printed.is_empty() { "" } else { ", after printing:" };
        format!("{}{behind}{}", self.why, lines.collect::<String>())
    }
}

/// State that a successor goes on with. Made by taking a [`Machine`] apart, so that nothing is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Carried {
    pub(crate) generation: u32,
    pub(crate) slots: Vec<Slot>,
    pub(crate) workers: BTreeMap<WorkerId, Worker>,
    pub(crate) orphans: BTreeMap<WorkerId, Orphans>,
    pub(crate) counts: Counts,
}

impl Counts {
    fn new(now: Moment) -> Self {
        Counts {
            started: now,
            reloads: 0,
            upgrades: 0,
            restarts: 0,
            last_worker: 0,
            last_generation: 1,
            last_failure: None,
            failed_reloads: 0,
            failed_upgrades: 0,
            cut: 0,
            last_reload: None,
            is_short: false,
        }
    }
}

impl Machine {
    /// One that starts its first workers; what to do for that is the answer to its first event.
    pub(crate) fn new(rules: Rules, now: Moment) -> Self {
        let counts = Counts::new(now);
        let serving = Generation::new(counts.last_generation, rules);
        let (workers, orphans) = (BTreeMap::new(), BTreeMap::new());
        let phase = Phase::Starting { reload: None };
        let mut machine = Machine { phase, serving, workers, orphans, counts, actions: Vec::new() };
        machine.start_all(machine.serving.number, now);
        machine
    }

    /// One that goes on where another has stopped.
    pub(crate) fn resume(carried: Carried, rules: Rules) -> Self {
        let Carried { generation: number, slots, workers, orphans, mut counts } = carried;
        counts.upgrades += 1;
        let serving = Generation { number, rules, slots };
        Machine { phase: Phase::Serving, serving, workers, orphans, counts, actions: Vec::new() }
    }

    /// The state that a successor goes on with.
    pub(crate) fn carry(&self) -> Carried {
        let Machine { phase: _, serving, workers, orphans, counts, actions: _ } = self;
        let Generation { number, rules: _, slots } = serving;
        Carried {
            generation: *number,
            slots: slots.clone(),
            workers: workers.clone(),
            orphans: orphans.clone(),
            counts: counts.clone(),
        }
    }

    /// Answers an event with the actions that follow from it.
    pub(crate) fn handle(&mut self, event: Event, now: Moment) -> Vec<Action> {
        match event {
            Event::Tick => self.tick(now),
            Event::Started { worker, result } => self.started(worker, result, now),
            Event::Sign { worker, sign: Sign::Hung } => self.is_hung(worker, now),
            Event::Sign { worker, sign } => {
                if let Some(Worker { phase: WorkerPhase::Starting(start), .. }) = self.workers.get_mut(&worker) {
                    start.note(sign);
                }
            }
            Event::Failing { worker, why } => {
                self.workers.get_mut(&worker).into_iter().for_each(|worker| worker.failing = Some(why.clone()));
            }
            Event::Settled { worker } => self.ask_to_end(worker),
            Event::Ended { worker, how, printed, leaves_orphans } => {
                self.ended(worker, &how, &printed, leaves_orphans, now);
            }
            Event::OrphansGone { worker } => {
                if self.orphans.remove(&worker).is_some() {
                    self.act(Action::Bury { worker });
                }
            }
            Event::Waiting { connections } => self.serve_singly(connections, now),
            Event::Reload { asker } => self.reload(asker, now),
            Event::CancelReload { asker } => self.cancel_reload(asker, now),
            Event::Planned { generation, result } => self.planned(generation, result, now),
            Event::Upgrade { asker } => self.upgrade(asker),
            Event::UpgradeFailed { why } => self.upgrade_failed(&why, now),
            Event::Cut { pid, why, connections } => {
                self.counts.cut += connections.unwrap_or_default();
                self.say(Report::Killed { pid, why, connections });
            }
            Event::Stop { asker } => self.stop_asked(asker, now),
        }
        self.settle(now);
        std::mem::take(&mut self.actions)
    }

    /// When something is due next.
    pub(crate) fn due(&self) -> Option<Moment> {
        let workers = self.workers.values().filter_map(Worker::due);
        let restart = self.serving.next_restart();
        let planned = match &self.phase {
            Phase::Reloading(reload) => reload.planned_by(),
            _ => None,
        };
        let pending = self.pending().and_then(Generation::next_restart).or(planned);
        workers.chain(restart).chain(pending).chain(self.orphans.values().map(|orphans| orphans.due)).min()
    }

    pub(crate) fn workers(&self) -> &BTreeMap<WorkerId, Worker> {
        &self.workers
    }

    pub(crate) fn serving(&self) -> &Generation {
        &self.serving
    }

    /// The generation that is to be served next.
    pub(crate) fn pending(&self) -> Option<&Generation> {
        match &self.phase {
            Phase::Reloading(reload) => reload.generation(),
            _ => None,
        }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether a worker is to be given connections: one that serves, and when everything ends, one that was not asked to yet.
    pub(crate) fn takes_connections(&self, id: WorkerId) -> bool {
        let takes = |worker: &Worker| match &worker.phase {
            WorkerPhase::Ready => true,
            WorkerPhase::Draining(drain) => self.is_stopping() && drain.settle_by.is_some(),
            WorkerPhase::Starting(_) | WorkerPhase::Killed(_) => false,
        };
        self.workers.get(&id).is_some_and(|worker| worker.generation == self.serving.number && takes(worker))
    }

    pub(crate) fn is_upgrading(&self) -> bool {
        matches!(self.phase, Phase::Upgrading { .. })
    }

    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping(_) | Phase::Over)
    }

    pub(crate) fn state(&self) -> crate::status::SupervisorState {
        use crate::status::SupervisorState;
        match self.phase {
            Phase::Starting { .. } => SupervisorState::Starting,
            Phase::Serving if self.counts.is_short || self.ready(self.serving.number) < self.serving.slots.len() => {
                SupervisorState::Degraded
            }
            Phase::Serving => SupervisorState::Running,
            Phase::Reloading(_) => SupervisorState::Reloading,
            Phase::Upgrading { .. } => SupervisorState::Upgrading,
            Phase::Stopping(_) | Phase::Over => SupervisorState::Stopping,
        }
    }

    /// The processes of the workers of a generation.
    pub(crate) fn pids(&self, generation: u32) -> Vec<i32> {
        let of_it = self.workers.values().filter(|worker| worker.generation == generation);
        of_it.filter_map(|worker| worker.pid).collect()
    }

    /// The number of workers of a generation that are ready.
    pub(crate) fn ready(&self, generation: u32) -> usize {
        self.workers.values().filter(|worker| worker.generation == generation && worker.is_ready()).count()
    }

    fn note_failure(&mut self, why: String, now: Moment) {
        self.counts.last_failure = Some(LastFailure { why, at: now });
    }

    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn say(&mut self, report: Report) {
        self.act(Action::Say(report));
    }

    fn trouble(&mut self, why: impl Into<String>) {
        self.say(Report::Trouble { why: why.into() });
    }

    fn answer(&mut self, askers: &[AskerId], reply: &Reply) {
        askers.iter().for_each(|asker| self.actions.push(Action::Answer { asker: *asker, reply: reply.clone() }));
    }

    fn tick(&mut self, now: Moment) {
        let due = |worker: &Worker| worker.due().is_some_and(|due| due <= now);
        let due: Vec<_> = self.workers.iter().filter(|(_, worker)| due(worker)).map(|(id, _)| *id).collect();
        due.into_iter().for_each(|worker| self.is_due(worker, now));
        self.tick_orphans(now);
        if self.is_stopping() {
            return;
        }
        for slot in self.serving.take_due(now) {
            self.start(self.serving.number, slot, now);
        }
        if let Phase::Reloading(reload) = &mut self.phase {
            if reload.planned_by().is_some_and(|due| due <= now) {
                const SLOW: &str = "the options could not be read in time: is a file a pipe, or a name server slow?";
                return self.abort_reload(&SLOW.into(), now);
            }
            if let Some((number, due)) = reload.take_due(now) {
                due.into_iter().for_each(|slot| self.start(number, slot, now));
            }
        }
    }

    fn is_due(&mut self, id: WorkerId, now: Moment) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        match &mut worker.phase {
            WorkerPhase::Starting(start) => {
                start.tick(now);
                if start.due <= now {
                    self.is_late(id, now);
                }
            }
            WorkerPhase::Draining(drain) if drain.due <= now => {
                let why = format!("it did not end within {} s", drain.within.as_secs_f64());
                worker.kill(None, now);
                self.act(Action::Cut { worker: id, why });
            }
            WorkerPhase::Draining(_) => self.ask_to_end(id),
            WorkerPhase::Killed(kill) if kill.kills < worker::KILLS => {
                (kill.kills, kill.due) = (kill.kills + 1, now.after(worker::KILL_AGAIN));
                self.act(Action::Kill { worker: id });
            }
            // It cannot be killed, and nobody waits for it.
            WorkerPhase::Killed(_) => self.ended(id, &End::Untold, &[], false, now),
            WorkerPhase::Ready => {}
        }
    }

    /// A worker that is not ready in time has failed, unless all that was missing was time.
    fn is_late(&mut self, id: WorkerId, now: Moment) {
        let Some(worker) = self.workers.get(&id) else { return };
        let Some(rules) = self.rules_of(worker.generation) else { return };
        if let WorkerPhase::Starting(start) = &worker.phase {
            if start.is_enough(rules) {
                return;
            }
            let why = start.is_missing(rules, worker.failing.as_deref());
            // Whatever it is, there is nothing better that it would take the place of.
            if worker.generation == self.serving.number && start.may_serve(rules) {
                let pid = worker.pid.unwrap_or_default();
                self.become_ready(id);
                return self.trouble(format!("worker {pid} is taken for ready, though {why}"));
            }
            self.kill(id, &why.clone(), Some(why), now);
        }
    }

    /// A worker that was ready is not well any more: it is asked to end, and another takes its slot. One at a time, and the last
    /// that serves only if there is no other slot: what makes one unwell may make all so.
    fn is_hung(&mut self, id: WorkerId, now: Moment) {
        let serving = self.serving.number;
        let Some(worker) = self.workers.get(&id) else { return };
        if !worker.is_ready() || worker.generation != serving || self.is_stopping() {
            return;
        }
        let others = || self.workers.values().filter(|other| other.generation == serving && !other.is_ready());
        let has_other =
            self.workers.iter().any(|(other, known)| *other != id && known.generation == serving && known.is_ready());
        if others().next().is_some()
            || self.serving.next_restart().is_some()
            || !(has_other || self.serving.slots.len() == 1)
        {
            return;
        }
        let pid = worker.pid.unwrap_or_default();
        let failing = worker.failing.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let why = format!("{}{failing}", self.serving.rules.unwell);
        self.trouble(format!("worker {pid} is replaced: {why}"));
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.drain(now);
        }
        self.act(Action::Settle { worker: id });
    }

    fn kill(&mut self, id: WorkerId, why: &str, failure: Option<String>, now: Moment) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.kill(failure, now);
        if let Some(pid) = worker.pid {
            self.say(Report::Killed { pid, why: why.to_owned(), connections: None });
        }
        self.act(Action::Kill { worker: id });
    }

    /// Takes note of workers that have become ready, and of generations that are.
    fn settle(&mut self, now: Moment) {
        let enough = |worker: &Worker| match (&worker.phase, self.rules_of(worker.generation)) {
            (WorkerPhase::Starting(start), Some(rules)) => worker.pid.is_some() && start.is_enough(rules),
            _ => false,
        };
        let ready: Vec<_> = self.workers.iter().filter(|(_, worker)| enough(worker)).map(|(id, _)| *id).collect();
        ready.into_iter().for_each(|id| self.become_ready(id));
        self.settle_generations(now);
        self.settle_stop();
    }

    fn become_ready(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.phase = WorkerPhase::Ready;
        let (place, generation) = (worker.slot, worker.generation);
        if let Some(pid) = worker.pid {
            self.say(Report::WorkerReady { pid, place, generation });
        }
        self.tell_progress();
    }

    pub(crate) fn rules_of(&self, generation: u32) -> Option<&Rules> {
        if generation == self.serving.number {
            return Some(&self.serving.rules);
        }
        self.pending().filter(|pending| pending.number == generation).map(|pending| &pending.rules)
    }

    fn generation_mut(&mut self, number: u32) -> Option<&mut Generation> {
        if number == self.serving.number {
            return Some(&mut self.serving);
        }
        match &mut self.phase {
            Phase::Reloading(reload) => reload.generation_mut().filter(|generation| generation.number == number),
            _ => None,
        }
    }
}
