//! Ending everything: workers drain, and by a second signal they are killed.

use super::event::{Action, AskerId, Notice, Reply};
use super::worker::{Phase as WorkerPhase, Worker};
use super::{Machine, Phase, WorkerId};
use crate::run::clock::Moment;
use crate::run::report::Report;
use crate::views::units::of;
use std::time::Duration;

/// Time that the service manager allows beyond the workers' own to end.
const BEYOND_DRAINING: Duration = Duration::from_secs(10);
const ASKED_TO_STOP: &str = "the supervisor was asked to stop meanwhile";

/// The end, which is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) askers: Vec<AskerId>,
    /// Why it is one.
    failure: Option<String>,
    /// Number of connections that were cut off before it began.
    cut_before: u64,
}

impl Machine {
    pub(super) fn stop_asked(&mut self, asker: Option<AskerId>, now: Moment) {
        if let Phase::Stopping(stop) = &mut self.phase {
            stop.askers.extend(asker);
            match asker {
                Some(_) => self.tell_progress(),
                None => self.kill_all("a second signal came", now),
            }
            return;
        }
        self.stop(None, asker, now);
        self.tell_progress();
    }

    /// Ends everything, as a failure.
    pub(super) fn give_up(&mut self, why: &str, now: Moment) {
        self.note_failure(why.to_owned(), now);
        self.trouble(why);
        self.stop(Some(why.to_owned()), None, now);
    }

    fn stop(&mut self, failure: Option<String>, asker: Option<AskerId>, now: Moment) {
        if self.is_stopping() {
            return;
        }
        let stop = Stop { askers: asker.into_iter().collect(), failure, cut_before: self.counts.cut };
        let before = std::mem::replace(&mut self.phase, Phase::Stopping(stop));
        if !self.workers.is_empty() {
            self.say(Report::Draining);
        }
        let within = self.serving.rules.stop_timeout.saturating_add(BEYOND_DRAINING);
        self.act(Action::Tell(Notice::Stopping { within }));
        // Nothing has failed, and nothing goes on.
        let refused = Reply::Busy(ASKED_TO_STOP.to_owned());
        match before {
            Phase::Starting { reload } => self.answer(&reload.unwrap_or_default(), &refused),
            Phase::Reloading(reload) => {
                self.act(Action::Discard { generation: reload.number() });
                self.answer(&reload.askers, &refused);
            }
            Phase::Upgrading { asker } => {
                self.act(Action::CancelUpgrade);
                self.answer(&[asker], &refused);
            }
            Phase::Serving | Phase::Stopping(_) | Phase::Over => {}
        }
        self.act(Action::CloseDoor);
        self.serving.slots.iter_mut().for_each(|slot| slot.restart_at = None);
        self.workers.values_mut().for_each(|worker| _ = worker.hurry(now));
        self.drain_where(now, |_| true);
    }

    fn kill_all(&mut self, why: &str, now: Moment) {
        // No process is started any more for those that wait.
        self.act(Action::DropWaiting);
        let ids: Vec<_> = self.workers.keys().copied().collect();
        for worker in ids {
            match self.workers.get_mut(&worker) {
                // What that cuts off is counted first.
                Some(known) if !matches!(known.phase, WorkerPhase::Starting(_) | WorkerPhase::Killed(_)) => {
                    known.kill(None, now);
                    self.act(Action::Cut { worker, why: why.to_owned() });
                }
                _ => self.kill(worker, why, None, now),
            }
        }
        let orphans: Vec<_> = self.orphans.keys().copied().collect();
        orphans.into_iter().for_each(|worker| self.act(Action::KillOrphans { worker }));
    }

    /// Asks workers to end, as soon as they have taken what they were given.
    pub(super) fn drain_where(&mut self, now: Moment, which: impl Fn(&Worker) -> bool) {
        self.drain_within(None, now, which);
    }

    /// The same, with another time than the stop timeout.
    pub(super) fn drain_within(&mut self, within: Option<Duration>, now: Moment, which: impl Fn(&Worker) -> bool) {
        for (id, worker) in self.workers.iter_mut().filter(|(_, worker)| worker.is_wanted() && which(worker)) {
            worker.drain_within(within.unwrap_or(worker.stop_timeout), now);
            self.actions.push(Action::Settle { worker: *id });
        }
    }

    pub(super) fn ask_to_end(&mut self, id: WorkerId) {
        if let Some(Worker { phase: WorkerPhase::Draining(drain), .. }) = self.workers.get_mut(&id) {
            if drain.settle_by.take().is_some() {
                self.act(Action::AskToEnd { worker: id });
            }
        }
    }

    /// When nothing is left, it is over.
    pub(super) fn settle_stop(&mut self) {
        if !self.workers.is_empty() || !self.orphans.is_empty() {
            return;
        }
        let Phase::Stopping(_) = &self.phase else { return };
        let Phase::Stopping(stop) = std::mem::replace(&mut self.phase, Phase::Over) else { return };
        let reply = match &stop.failure {
            Some(why) => Reply::Failed(why.clone()),
            None => Reply::Done(match self.counts.cut - stop.cut_before {
                0 => "everything has ended".to_owned(),
                cut => format!("everything has ended; cut off: {}", of(cut, "connection")),
            }),
        };
        self.answer(&stop.askers, &reply);
        self.act(Action::Finish { failure: stop.failure });
    }
}
