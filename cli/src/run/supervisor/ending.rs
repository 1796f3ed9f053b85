//! How workers end: asked to, unasked, and what they leave behind.

use super::Supervisor;
use crate::run::clock::Moment;
use crate::run::listener::Listener;
use crate::run::report::Report;
use crate::run::signals::describe;
use crate::run::worker::Worker;
use crate::run::worker::guard::remove_path;
use crate::run::worker::orphan::Orphan;
use crate::run::worker::output::Output;
use crate::status::{State, WorkerState};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, test_kill_process_group, wait};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::timeout;

/// What a worker printed last is waited for so long: others may have inherited where it went.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// What the service manager allows beyond the workers' own time to end.
const BEYOND_DRAINING: Duration = Duration::from_secs(10);
/// After so many signals a process group is not waited for.
const KILLS: u32 = 3;
/// As many lines of it explain why it failed.
const EXPLAINING: usize = 10;

/// What follows from the end of a worker.
#[derive(Debug, Clone, Copy)]
enum Then {
    Nothing,
    /// Another takes its place, after a pause.
    Another(Duration),
    /// The generation that is starting goes.
    Abort,
    GiveUp(&'static str),
}

impl Supervisor {
    /// Takes note of all children that have ended, those among them that workers left.
    pub(crate) async fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.context.guard.pid {
                self.guard_ended();
            } else if let Some(at) = self.workers.iter().position(|worker| worker.pid() == Some(pid)) {
                let worker = self.workers.remove(at);
                self.ended(worker, pid, &describe(status), starts_never(status)).await;
            }
        }
    }

    /// The same for those that a supervisor started whose child this process was.
    pub(crate) async fn look_at_gone(&mut self) {
        for number in std::mem::take(&mut self.gone) {
            if let Some(at) = self.workers.iter().position(|worker| worker.record.number == number) {
                let worker = self.workers.remove(at);
                let Some(pid) = worker.pid() else { continue };
                self.ended(worker, pid, "ended", false).await;
            }
        }
    }

    async fn ended(&mut self, mut worker: Worker, pid: Pid, how: &str, never: bool) {
        if let Some(dispatcher) = &mut self.dispatcher {
            worker.link.reclaim().into_iter().for_each(|parcel| dispatcher.put_back(parcel));
        }
        let record = worker.record.clone();
        let (stop_signal, stop_timeout) = (worker.plan.options.stop_signal, worker.plan.options.stop_timeout);
        let all_read = timeout(LAST_WORDS, worker.output.finish()).await.is_ok();
        let mut why = record.failure.clone().map_or_else(|| how.to_owned(), |failure| format!("was killed: {failure}"));
        if worker.is(WorkerState::Starting) {
            let last = worker.output.kept.borrow().last(EXPLAINING);
            if !last.is_empty() {
                why = format!("{why}, after printing: {}", last.join(" / "));
            }
        }
        let single = worker.is_single();
        let prefix = crate::run::worker::context::prefix(&self.context, &worker.plan, record.number, record.slot);
        worker.ignore();
        let output = std::mem::take(&mut worker.output);
        drop(worker);
        if test_kill_process_group(pid).is_ok() {
            let due = Moment::now().after(stop_timeout);
            let orphan = Orphan { group: pid, number: record.number, output, prefix, due, killed: 0 };
            orphan.signal(stop_signal);
            self.orphans.push(orphan);
        } else {
            self.bury(pid, record.number, output, all_read);
        }
        let asked = record.state == WorkerState::Draining || self.state == State::Stopping || single;
        let then = if asked { Then::Nothing } else { self.then(&record, never) };
        if !single {
            let another_in_ms = match then {
                Then::Another(pause) => Some(u64::try_from(pause.as_millis()).unwrap_or_default()),
                _ => None,
            };
            let (place, generation) = (record.slot, record.generation);
            self.reporter.say(&Report::WorkerEnded { pid: record.pid, place, generation, why: &why, another_in_ms });
        }
        if asked {
            self.tell_progress();
            return;
        }
        let why = format!("worker {} {why}", record.pid);
        match then {
            Then::Abort => return self.abort_reload(&why),
            Then::GiveUp(why) => self.give_up(why),
            Then::Another(_) => self.counts.restarts += 1,
            Then::Nothing => {}
        }
        self.counts.last_failure = Some(why);
    }

    /// What follows from the end of a worker that was not asked to.
    fn then(&mut self, record: &crate::run::worker::record::Record, never: bool) -> Then {
        if self.pending_reload.as_ref().is_some_and(|pending| pending.generation.number == record.generation) {
            return Then::Abort;
        }
        if never && self.state == State::Starting {
            return Then::GiveUp("the command cannot be run: everything ends");
        }
        // However long it took: one that was never ready has failed.
        let lived = if record.state == WorkerState::Starting { Duration::ZERO } else { record.since.elapsed() };
        match self.serving.ended(record.slot, lived) {
            Some(pause) => Then::Another(pause),
            None => Then::GiveUp("that was once too often in a row: everything ends"),
        }
    }

    /// Nothing of it is left: its names go.
    fn bury(&mut self, group: Pid, number: u64, output: Output, all_read: bool) {
        self.context.guard.group(group, false);
        if !all_read {
            // Somebody else holds the other end: whoever it is, it is none of the worker's.
            drop(output);
        }
        self.context.folder.forget(number);
    }

    pub(crate) async fn look_at_orphans(&mut self) {
        let now = Moment::now();
        for orphan in self.orphans.iter_mut().filter(|orphan| orphan.due <= now) {
            orphan.signal(Signal::KILL);
            orphan.killed += 1;
            orphan.due = now.after(Duration::from_secs(1));
        }
        // What cannot be killed has ended, and somebody who left the group does not wait for it.
        let over = |orphan: &Orphan| orphan.killed > KILLS || test_kill_process_group(orphan.group).is_err();
        let (over, left) = std::mem::take(&mut self.orphans).into_iter().partition::<Vec<_>, _>(over);
        self.orphans = left;
        for mut orphan in over {
            let all_read = timeout(LAST_WORDS, orphan.output.finish()).await.is_ok();
            self.bury(orphan.group, orphan.number, orphan.output, all_read);
        }
    }

    /// The guard should never end; another takes its place, and is told everything.
    fn guard_ended(&mut self) {
        if self.state == State::Stopping {
            return;
        }
        let started = crate::run::worker::guard::Guard::start(
            self.options().stop_signal,
            self.options().stop_timeout,
            self.context.folder.path(),
        );
        match started {
            Ok(guard) => {
                self.context.guard = guard;
                let guard = &self.context.guard;
                self.workers.iter().filter_map(Worker::pid).for_each(|pid| guard.group(pid, true));
                self.orphans.iter().for_each(|orphan| guard.group(orphan.group, true));
                self.plan()
                    .listeners
                    .iter()
                    .filter_map(|listener| listener.path())
                    .for_each(|path| guard.path(path, true));
            }
            Err(error) => {
                let why = format!(
                    "the guard ended, and there is no other: {error:#}; what workers start may outlive this process"
                );
                self.reporter.trouble(&why);
            }
        }
    }

    /// Asks all workers to finish what they have.
    pub(crate) fn stop(&mut self) {
        if self.state == State::Stopping {
            return;
        }
        self.state = State::Stopping;
        if !self.workers.is_empty() {
            self.reporter.say(&Report::Draining);
        }
        self.tell_manager(crate::run::systemd::Manager::stopping);
        let patience = self.options().stop_timeout.saturating_add(BEYOND_DRAINING);
        self.tell_manager(|manager| manager.extend(patience));
        for client in self.early.take().into_iter().flatten() {
            client.end(crate::run::control::Answer::Failed("the supervisor was asked to stop".to_owned()));
        }
        if let Some(pending) = self.pending_reload.take() {
            let serving = Rc::clone(self.plan());
            self.forget_listeners(&pending.generation.plan, &serving);
            let why = "the supervisor was asked to stop";
            pending
                .clients
                .into_iter()
                .for_each(|client| client.end(crate::run::control::Answer::Failed(why.to_owned())));
        }
        if let Some(dispatcher) = &mut self.dispatcher {
            dispatcher.pause();
            dispatcher.dispatch(&mut self.workers, self.serving.number);
        }
        self.serving.slots.iter_mut().for_each(|slot| slot.restart_at = None);
        self.workers.iter_mut().for_each(Worker::stop);
        self.tell_progress();
    }

    /// Ends everything, as a failure.
    pub(crate) fn give_up(&mut self, why: &str) {
        self.failed = true;
        self.counts.last_failure = Some(why.to_owned());
        self.reporter.trouble(why);
        self.stop();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Stopping && self.workers.is_empty() && self.orphans.is_empty()
    }

    /// Leaves nothing behind.
    pub(crate) async fn finish(mut self) -> ExitCode {
        self.request_task.abort();
        // It has the control socket until it is gone.
        let _ = (&mut self.request_task).await;
        self.context.guard.dismiss();
        // What a service manager keeps can be reached for as long as its path is there.
        let left = |listener: &&Rc<Listener>| !self.stored.iter().any(|kept| Rc::ptr_eq(kept, listener));
        let listeners = self.plan().listeners.iter().filter(left);
        let paths: Vec<_> = listeners.filter_map(|listener| listener.path().map(Path::to_owned)).collect();
        let folder = self.context.folder.path().to_owned();
        let failure = self.counts.last_failure.clone().filter(|_| self.failed);
        for client in self.waiting {
            client.say(&match &failure {
                Some(why) => crate::run::control::Answer::Failed(why.clone()),
                None => crate::run::control::Answer::Done("everything has ended".to_owned()),
            });
        }
        drop((self.control, self.serving, self.dispatcher, self.stored));
        paths.iter().for_each(|path| remove_path(path));
        if let Err(error) = crate::run::control::folder::Folder::remove(&folder) {
            self.reporter.trouble(&format!("{error:#}"));
        }
        self.reporter.say(&Report::Ended);
        self.reporter.printer.flush();
        if self.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// Whether starting it again would do no better: there is no such program.
fn starts_never(status: WaitStatus) -> bool {
    matches!(status.exit_status(), Some(126 | 127))
}
