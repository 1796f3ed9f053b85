//! Starting a generation of workers, replacing it by the next, and replacing the program.

use super::event::{Action, AskerId, Notice, Reply, Rules, Workers};
use super::slots::Generation;
use super::worker::{Phase as WorkerPhase, Worker};
use super::{Failure, Machine, Phase, WorkerId};
use crate::run::clock::Moment;
use crate::run::report::Report;
use crate::views::units::of;
use std::collections::BTreeSet;
use std::time::Duration;

/// Generations that may drain at a time, each as long as its own limit says.
pub(super) const MOST_DRAINING: usize = 8;
/// Time in which the options must be read.
const PLAN_TIMEOUT: Duration = Duration::from_secs(30);

/// A reload that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reload {
    next: Next,
    begun: Moment,
    pub(super) askers: Vec<AskerId>,
    /// Another was asked for meanwhile.
    again: bool,
    /// Workers of the new generation that have ended as they meant to.
    planned_ends: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Next {
    /// The options are being read.
    Planning {
        generation: u32,
        due: Moment,
    },
    Starting(Generation),
}

impl Reload {
    pub(super) fn number(&self) -> u32 {
        match &self.next {
            Next::Planning { generation, .. } => *generation,
            Next::Starting(generation) => generation.number,
        }
    }

    pub(super) fn generation(&self) -> Option<&Generation> {
        match &self.next {
            Next::Planning { .. } => None,
            Next::Starting(generation) => Some(generation),
        }
    }

    pub(super) fn generation_mut(&mut self) -> Option<&mut Generation> {
        match &mut self.next {
            Next::Planning { .. } => None,
            Next::Starting(generation) => Some(generation),
        }
    }

    /// When the options must have been read.
    pub(super) fn planned_by(&self) -> Option<Moment> {
        match &self.next {
            Next::Planning { due, .. } => Some(*due),
            Next::Starting(_) => None,
        }
    }

    pub(super) fn take_due(&mut self, now: Moment) -> Option<(u32, Vec<u32>)> {
        let generation = self.generation_mut()?;
        Some((generation.number, generation.take_due(now)))
    }

    /// Whether a worker of the new generation may end as it meant to once more.
    pub(super) fn may_end_as_planned(&mut self) -> bool {
        self.planned_ends += 1;
        self.generation().is_some_and(|generation| self.planned_ends <= generation.rules.restart_limit)
    }
}

impl Machine {
    pub(super) fn start_all(&mut self, generation: u32, now: Moment) {
        let count = self.generation_mut(generation).map_or(0, |generation| generation.slots.len());
        (0..).take(count).for_each(|slot| self.start(generation, slot, now));
    }

    pub(super) fn start(&mut self, generation: u32, slot: u32, now: Moment) {
        let Some(rules) = self.rules_of(generation) else { return };
        let new = Worker::new(slot, generation, rules, false, now);
        let worker = self.number_worker(new);
        self.act(Action::Start { worker, generation, slot });
    }

    fn number_worker(&mut self, new: Worker) -> WorkerId {
        self.counts.last_worker += 1;
        self.workers.insert(self.counts.last_worker, new);
        self.counts.last_worker
    }

    /// Starts a worker for each connection that waits, as many as there may be.
    pub(super) fn serve_singly(&mut self, connections: usize, now: Moment) {
        let Workers::Single(most) = self.serving.rules.workers else { return };
        let room = usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(self.workers.len());
        for _ in 0..room.min(connections) {
            let mut new = Worker::new(0, self.serving.number, &self.serving.rules, true, now);
            let stops = self.is_stopping();
            if stops {
                // It has as long as the others to end.
                new.drain(now);
            }
            let (worker, generation) = (self.number_worker(new), self.serving.number);
            self.act(Action::StartForConnection { worker, generation });
            if stops {
                self.act(Action::Settle { worker });
            }
        }
    }

    pub(super) fn started(&mut self, id: WorkerId, result: Result<i32, String>, now: Moment) {
        let rules = self.workers.get(&id).and_then(|worker| self.rules_of(worker.generation)).cloned();
        let Some(worker) = self.workers.get_mut(&id) else { return };
        match result {
            Ok(pid) => {
                // Its time begins now.
                worker.has_started(pid, rules.as_ref(), now);
                let (slot, generation, single) = (worker.slot, worker.generation, worker.single);
                if single {
                    self.counts.is_short = false;
                } else {
                    self.say(Report::WorkerStarted { pid, place: slot, generation });
                }
            }
            Err(why) => self.not_started(id, &why, now),
        }
    }

    /// Replaces all workers by new ones, started with what the options say now.
    pub(super) fn reload(&mut self, asker: Option<AskerId>, now: Moment) {
        const BUSY: &str = "a reload is under way: ask again when it is over";
        const STOPPING: &str = "the supervisor is stopping, or being upgraded: ask it for its status";
        let busy = match &mut self.phase {
            Phase::Serving => return self.begin_reload(asker.into_iter().collect(), now),
            Phase::Starting { reload } => return reload.get_or_insert_default().extend(asker),
            Phase::Reloading(reload) if asker.is_none() => {
                reload.again = true;
                return;
            }
            Phase::Reloading(_) => BUSY,
            Phase::Upgrading { .. } if asker.is_none() => {
                // A signal cannot be refused; the upgrade can be asked for again.
                self.act(Action::CancelUpgrade);
                self.upgrade_failed("a signal asked for a reload meanwhile", now);
                return self.begin_reload(Vec::new(), now);
            }
            Phase::Upgrading { .. } | Phase::Stopping(_) | Phase::Over => STOPPING,
        };
        match asker {
            Some(asker) => self.answer(&[asker], &Reply::Busy(busy.to_owned())),
            None => self.trouble(busy),
        }
    }

    fn begin_reload(&mut self, askers: Vec<AskerId>, now: Moment) {
        self.counts.last_generation += 1;
        let generation = self.counts.last_generation;
        let next = Next::Planning { generation, due: now.after(PLAN_TIMEOUT) };
        self.phase = Phase::Reloading(Reload { next, begun: now, askers, again: false, planned_ends: 0 });
        self.say(Report::Reloading { generation });
        self.act(Action::Tell(Notice::Reloading));
        self.act(Action::Plan { generation });
    }

    pub(super) fn planned(&mut self, number: u32, result: Result<Rules, String>, now: Moment) {
        let Phase::Reloading(reload) = &mut self.phase else { return self.act(Action::Discard { generation: number }) };
        match result {
            Ok(rules) if reload.number() == number => {
                reload.next = Next::Starting(Generation::new(number, rules));
                self.start_all(number, now);
                self.tell_progress();
            }
            Ok(_) => self.act(Action::Discard { generation: number }),
            Err(why) if reload.number() == number => self.abort_reload(&why.as_str().into(), now),
            Err(_) => {}
        }
    }

    /// Gives up the reload that is under way, and those that were to follow.
    pub(super) fn cancel_reload(&mut self, asker: AskerId, now: Moment) {
        const CANCELLED: &str = "it was cancelled";
        match &mut self.phase {
            Phase::Reloading(reload) => {
                reload.again = false;
                self.abort_reload(&CANCELLED.into(), now);
            }
            Phase::Starting { reload } if reload.is_some() => {
                let askers = reload.take().unwrap_or_default();
                self.answer(&askers, &Reply::Failed(format!("the reload failed: {CANCELLED}")));
            }
            _ => return self.answer(&[asker], &Reply::Failed("no reload is under way".to_owned())),
        }
        let done = format!("the reload was cancelled: generation {} goes on", self.serving.number);
        self.answer(&[asker], &Reply::Done(done));
    }

    /// The new generation has failed: it goes, and the old one stays.
    pub(super) fn abort_reload(&mut self, failure: &Failure, now: Moment) {
        let Phase::Reloading(reload) = std::mem::replace(&mut self.phase, Phase::Serving) else { return };
        let generation = reload.number();
        self.counts.failed_reloads += 1;
        let why = failure.brief();
        self.note_failure(format!("reload: {why}"), now);
        self.say(Report::ReloadFailed { why: why.clone() });
        self.act(Action::Tell(Notice::ReloadFailed(why)));
        self.drain_where(now, |worker| worker.generation == generation);
        self.act(Action::Discard { generation });
        let told = format!("the reload failed, the old workers go on: {}", failure.whole());
        self.answer(&reload.askers, &Reply::Failed(told));
        if reload.again {
            self.begin_reload(Vec::new(), now);
        }
    }

    /// When all workers of the newest generation are ready, it serves.
    pub(super) fn settle_generations(&mut self, now: Moment) {
        let generation = match &self.phase {
            Phase::Starting { .. } => &self.serving,
            Phase::Reloading(reload) => match reload.generation() {
                Some(generation) => generation,
                None => return,
            },
            _ => return,
        };
        let (number, wanted) = (generation.number, generation.slots.len());
        // A reload may mend what keeps the first workers from becoming ready.
        let has_failed = generation.slots.iter().any(|slot| slot.backoff.failures() > 0);
        if let (Phase::Starting { reload: Some(askers) }, true) = (&self.phase, has_failed) {
            let askers = askers.clone();
            return self.begin_reload(askers, now);
        }
        if self.ready(number) < wanted {
            return;
        }
        match std::mem::replace(&mut self.phase, Phase::Serving) {
            Phase::Starting { reload } => {
                self.act(Action::Serving { generation: number, is_first: true });
                if let Some(askers) = reload {
                    self.begin_reload(askers, now);
                }
            }
            Phase::Reloading(reload) => self.take_over(reload, now),
            other => self.phase = other,
        }
    }

    /// Bounds how many generations drain at a time: the time of the oldest is that of the stop timeout from now on.
    fn bound_generations(&mut self, now: Moment) {
        let drains = |worker: &&Worker| matches!(worker.phase, WorkerPhase::Draining(_));
        let draining: BTreeSet<_> = self.workers.values().filter(drains).map(|worker| worker.generation).collect();
        for generation in draining.iter().rev().skip(MOST_DRAINING) {
            let is_of_it = |worker: &&mut Worker| worker.generation == *generation;
            let hurried =
                self.workers.values_mut().filter(is_of_it).filter_map(|worker| worker.hurry(now).then_some(worker));
            let hurried: Vec<_> = hurried.map(|worker| worker.stop_timeout.as_secs_f64()).collect();
            if let [seconds, ..] = hurried[..] {
                let workers = of(hurried.len() as u64, "worker");
                self.trouble(format!(
                    "generation {generation} still drains in {workers}, and so do {MOST_DRAINING} later ones: what is left of \
                     it is killed in {seconds} s"
                ));
            }
        }
    }

    fn take_over(&mut self, reload: Reload, now: Moment) {
        let Next::Starting(generation) = reload.next else { return };
        let number = generation.number;
        let drain_timeout = self.serving.rules.drain_timeout;
        self.serving = generation;
        self.act(Action::Adopt { generation: number });
        // A worker with a single connection ends when that does.
        self.drain_within(Some(drain_timeout), now, |worker| worker.generation != number && !worker.single);
        self.bound_generations(now);
        self.counts.reloads += 1;
        self.counts.last_reload = Some((now, now.since(reload.begun)));
        // Earlier failures were with other options.
        self.counts.last_failure = None;
        self.act(Action::Serving { generation: number, is_first: false });
        self.answer(&reload.askers, &Reply::Done(format!("generation {number} has taken over")));
        if reload.again {
            self.begin_reload(Vec::new(), now);
        }
    }

    pub(super) fn upgrade(&mut self, asker: AskerId) {
        if self.phase != Phase::Serving {
            let why = "a reload is under way, or the supervisor is not running: ask again when that is over";
            return self.answer(&[asker], &Reply::Busy(why.to_owned()));
        }
        self.phase = Phase::Upgrading { asker };
        self.say(Report::Upgrading);
        self.act(Action::Upgrade);
    }

    /// The program that was tried cannot take over, or must not.
    pub(super) fn upgrade_failed(&mut self, why: &str, now: Moment) {
        let Phase::Upgrading { asker } = self.phase else { return };
        self.phase = Phase::Serving;
        self.counts.failed_upgrades += 1;
        self.note_failure(format!("upgrade: {why}"), now);
        self.say(Report::UpgradeFailed { why: why.to_owned() });
        self.act(Action::Tell(Notice::Status(format!("the last upgrade failed: {why}"))));
        self.answer(&[asker], &Reply::Failed(format!("the upgrade failed, this supervisor goes on: {why}")));
    }

    /// Tells those who wait for a reload, or for the end, how it goes.
    pub(super) fn tell_progress(&mut self) {
        let (askers, text) = match &self.phase {
            Phase::Reloading(reload) => {
                let Some(generation) = reload.generation() else { return };
                let (number, all) = (generation.number, generation.slots.len());
                let ready = self.ready(number);
                let text = format!("generation {number} is starting: {ready} of {} ready", of(all as u64, "worker"));
                (reload.askers.clone(), text)
            }
            Phase::Stopping(stop) => {
                let workers = of(self.workers.len() as u64, "worker");
                (stop.askers.clone(), format!("waiting for {workers} to finish"))
            }
            _ => return,
        };
        self.answer(&askers, &Reply::Progress(text));
    }
}
