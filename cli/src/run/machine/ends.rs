//! Ends of workers, asked for and unasked, and the processes that they leave.

use super::event::{Action, End};
use super::worker::{KILL_AGAIN, KILLS, Phase as WorkerPhase, Worker};
use super::{Failure, Machine, Orphans, Phase, WorkerId};
use crate::run::clock::Moment;
use crate::run::report::Report;
use crate::views::units::of;
use std::time::Duration;

/// Consequence of a worker's end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Then {
    /// It was asked to end.
    Nothing,
    /// Another takes its slot, after a pause.
    Another(Duration),
    AbortReload,
    /// Nothing serves, and to go on would change nothing.
    GiveUp(String),
}

const NO_PROGRAM: &str = "the command cannot be run; shutting down";

impl Machine {
    pub(super) fn ended(&mut self, id: WorkerId, how: &End, printed: &[String], leaves_orphans: bool, now: Moment) {
        let Some(worker) = self.workers.remove(&id) else { return };
        if leaves_orphans {
            // Processes that a killed worker had started are killed with it.
            let is_killed = matches!(worker.phase, WorkerPhase::Killed(_));
            let due = if is_killed { now } else { now.after(worker.stop_timeout) };
            self.orphans.insert(id, Orphans { due, kills: 0 });
            match is_killed {
                true => self.tick_orphans(now),
                false => self.act(Action::EndOrphans { worker: id }),
            }
        } else {
            self.act(Action::Bury { worker: id });
        }
        let then = self.then(&worker, how, now);
        let (why, was_starting) = why(&worker, how);
        // What one has printed that served long ago says nothing of its end.
        let printed = if was_starting { printed } else { &[] };
        if let (Some(pid), false) = (worker.pid, worker.single) {
            let another_in_ms = match &then {
                Then::Another(pause) => Some(u64::try_from(pause.as_millis()).unwrap_or_default()),
                _ => None,
            };
            let (place, generation, why) = (worker.slot, worker.generation, Failure { why: &why, printed }.brief());
            self.say(Report::WorkerEnded { pid, place, generation, why, another_in_ms });
        }
        let why = worker.pid.map_or_else(|| why.clone(), |pid| format!("worker {pid} {why}"));
        self.follow(then, Failure { why: &why, printed }, how.is_planned() && worker.is_ready(), now);
    }

    /// A worker could not be started.
    pub(super) fn not_started(&mut self, id: WorkerId, why: &str, now: Moment) {
        let Some(worker) = self.workers.remove(&id) else { return };
        if worker.single {
            // Running workers free descriptors and processes when they end.
            let drop = self.workers.is_empty();
            self.act(Action::Unserved { worker: id, drop });
            self.counts.is_short = true;
            self.note_failure(why.to_owned(), now);
            if drop {
                self.trouble(format!("a connection is closed unserved: {why}"));
            }
            return;
        }
        let then = match &self.phase {
            Phase::Starting { .. } if !self.serves() => return self.give_up(why, now),
            _ if self.is_stopping() => Then::Nothing,
            _ => self.then_after_failure(&worker, Duration::ZERO, now),
        };
        if matches!(then, Then::Another(_)) {
            self.trouble(why);
        }
        self.follow(then, why.into(), false, now);
    }

    fn follow(&mut self, then: Then, failure: Failure<'_>, planned: bool, now: Moment) {
        match then {
            Then::Nothing => return self.tell_progress(),
            Then::AbortReload => return self.abort_reload(&failure, now),
            Then::GiveUp(told) => self.give_up(&told, now),
            Then::Another(_) => self.counts.restarts += 1,
        }
        if !planned {
            self.note_failure(failure.brief(), now);
        }
    }

    fn then(&mut self, worker: &Worker, how: &End, now: Moment) -> Then {
        if worker.single || self.is_stopping() {
            return Then::Nothing;
        }
        let lived = now.since(worker.since);
        if worker.is_ready() && how.is_planned() {
            let goes_on = match &mut self.phase {
                Phase::Reloading(reload) if reload.number() == worker.generation => reload.may_end_as_planned(),
                _ => true,
            };
            return match self.generation_mut(worker.generation) {
                Some(generation) if goes_on => Then::Another(generation.ended_as_planned(worker.slot, lived, now)),
                Some(_) => Then::AbortReload,
                None => Then::Nothing,
            };
        }
        if how.is_no_program() && matches!(self.phase, Phase::Starting { .. }) && !self.serves() {
            return Then::GiveUp(NO_PROGRAM.to_owned());
        }
        // However long it took: one that was never ready has failed.
        let was_ready = match &worker.phase {
            WorkerPhase::Killed(kill) => kill.was_ready,
            phase => !matches!(phase, WorkerPhase::Starting(_)),
        };
        self.then_after_failure(worker, if was_ready { lived } else { Duration::ZERO }, now)
    }

    fn then_after_failure(&mut self, worker: &Worker, lived: Duration, now: Moment) -> Then {
        if matches!(&self.phase, Phase::Reloading(reload) if reload.number() == worker.generation) {
            return Then::AbortReload;
        }
        if worker.generation != self.serving.number {
            return Then::Nothing;
        }
        let (pause, failures) = self.serving.failed(worker.slot, lived, now);
        let (slot, limit) = (worker.slot, self.serving.rules.restart_limit);
        // A worker that serves, or is about to, is never ended because another fails.
        if failures > limit && !self.serves() && !matches!(self.phase, Phase::Reloading(_)) {
            return Then::GiveUp(format!(
                "the worker in slot {slot} failed {} in a row (--restart-limit {limit}); shutting down",
                of(failures.into(), "time")
            ));
        }
        Then::Another(pause)
    }

    /// Whether any worker of the generation that serves is ready.
    fn serves(&self) -> bool {
        self.ready(self.serving.number) > 0
    }

    pub(super) fn tick_orphans(&mut self, now: Moment) {
        let due: Vec<_> = self.orphans.iter().filter(|(_, left)| left.due <= now).map(|(id, _)| *id).collect();
        for worker in due {
            let Some(left) = self.orphans.get_mut(&worker) else { continue };
            // A group that cannot be killed has ended, and a parent outside of it does not wait for its processes.
            if left.kills >= KILLS {
                self.orphans.remove(&worker);
                self.act(Action::Bury { worker });
                continue;
            }
            (left.kills, left.due) = (left.kills + 1, now.after(KILL_AGAIN));
            self.act(Action::KillOrphans { worker });
        }
    }
}

/// Why it has ended, in words that follow "worker 123", and whether it was starting.
fn why(worker: &Worker, how: &End) -> (String, bool) {
    match &worker.phase {
        WorkerPhase::Killed(kill) => match &kill.failure {
            Some(failure) => (format!("was killed: {failure}"), true),
            None => (how.to_string(), false),
        },
        phase => (how.to_string(), matches!(phase, WorkerPhase::Starting(_))),
    }
}
