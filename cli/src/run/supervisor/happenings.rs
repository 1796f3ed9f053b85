//! Things that happen: signals, requests, ends of processes, messages of workers.

use super::{Supervisor, accept};
use crate::run::control::{Answer, Client, Request};
use crate::run::machine::{AskerId, End, Event, Sign, WorkerId};
use crate::run::signals::{SignalEvent, end_of, with_signals_blocked};
use crate::run::worker::event::WorkerEvent;
use crate::run::worker::guard::Guard;
use crate::run::worker::link::Link;
use crate::run::worker::orphan::Orphan;
use crate::run::worker::{Worker, context::echo};
use rustix::process::{Pid, WaitOptions, wait, waitpid};
use sharesock::Error;

/// Number of its last lines that explain why a worker failed.
const EXPLAINING: usize = 10;

impl Supervisor {
    pub(in crate::run) fn handle_signal(&mut self, event: SignalEvent) {
        match event {
            SignalEvent::Child => self.reap(),
            SignalEvent::End => self.handle(Event::Stop { asker: None }),
            SignalEvent::Reload => self.handle(Event::Reload { asker: None }),
            SignalEvent::Forward(signal) => {
                let is_ready = |id: &WorkerId| self.machine.workers().get(id).is_some_and(|worker| worker.is_ready());
                self.workers.iter().filter(|(id, _)| is_ready(id)).for_each(|(_, worker)| worker.signal(signal));
            }
        }
    }

    /// Takes note of the next thing that comes; nothing is lost if this is not awaited to its end.
    pub(in crate::run) async fn note_next(&mut self) {
        tokio::select! {
            () = accept(self.dispatcher.as_mut()) => {}
            Some(event) = self.events.recv() => self.note_all(event),
            Some((request, client)) = self.requests.recv() => self.answer(request, client),
        }
    }

    /// Takes note of everything that has come: one at a time, a worker that says much would fill the memory.
    pub(in crate::run) fn note_all(&mut self, first: WorkerEvent) {
        self.note(first);
        self.note_what_came();
    }

    pub(in crate::run) fn answer_what_came(&mut self) {
        while let Ok((request, client)) = self.requests.try_recv() {
            self.answer(request, client);
        }
    }

    pub(in crate::run) fn note_what_came(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.note(event);
        }
    }

    fn note(&mut self, event: WorkerEvent) {
        match event {
            WorkerEvent::Sign(worker, sign) => self.handle(Event::Sign { worker, sign }),
            WorkerEvent::Failing(worker, why) => self.handle(Event::Failing { worker, why }),
            WorkerEvent::Gone(number) => self.gone.push(number),
            WorkerEvent::GuardGone(pid) if pid == self.context.guard.pid => self.guard_ended(),
            WorkerEvent::GuardGone(_) => {}
            WorkerEvent::Notify(number, message) => {
                let Some(worker) = self.workers.get_mut(&number) else { return };
                worker.note_counts(&message);
                if message.status.is_some() {
                    worker.record.says = message.status;
                }
                if message.ready {
                    self.handle(Event::Sign { worker: number, sign: Sign::Said });
                }
            }
            WorkerEvent::Counted(number, why, connections) => {
                // It may have ended by itself.
                let Some(worker) = self.workers.get(&number) else { return };
                worker.kill();
                self.handle(Event::Cut { pid: worker.record.pid, why, connections });
            }
            WorkerEvent::Planned(generation, options) => self.planned(generation, *options),
        }
    }

    pub(in crate::run) fn answer(&mut self, request: Request, client: Client) {
        if !client.waits() {
            return;
        }
        match request {
            Request::Status { lines, brief: true } => client.end(Answer::Status(Box::new(self.status(lines)))),
            Request::Status { lines, brief: false } => self.tell_status(lines, client),
            Request::Reload {} => {
                let asker = Some(self.admit(client));
                self.handle(Event::Reload { asker });
            }
            Request::Cancel {} => {
                let asker = self.admit(client);
                self.handle(Event::CancelReload { asker });
            }
            Request::Upgrade { to } => {
                let asker = self.admit(client);
                // One that is refused must not change what another asked for.
                if !self.machine.is_upgrading() {
                    (self.upgrade.to, self.upgrade.asker) = (to, Some(asker));
                }
                self.handle(Event::Upgrade { asker });
            }
            Request::Stop {} => {
                let asker = Some(self.admit(client));
                self.handle(Event::Stop { asker });
            }
        }
    }

    pub(in crate::run) fn admit(&mut self, client: Client) -> AskerId {
        self.last_asker += 1;
        self.clients.insert(self.last_asker, client);
        self.last_asker
    }

    /// Takes note of all children that have ended, those among them that workers left.
    pub(in crate::run) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if let Some(id) = self.worker_with(pid) {
                self.ended(id, end_of(status));
            }
        }
    }

    /// The same for workers alone: another child is waited for by whoever started it.
    pub(in crate::run) fn reap_workers(&mut self) {
        let pids: Vec<_> = self.workers.iter().filter_map(|(id, worker)| Some((*id, worker.pid()?))).collect();
        for (id, pid) in pids {
            if let Ok(Some((_, status))) = waitpid(Some(pid), WaitOptions::NOHANG) {
                self.ended(id, end_of(status));
            }
        }
    }

    fn worker_with(&self, pid: Pid) -> Option<WorkerId> {
        self.workers.iter().find(|(_, worker)| worker.pid() == Some(pid)).map(|(id, _)| *id)
    }

    fn ended(&mut self, id: WorkerId, how: End) {
        let Some(mut worker) = self.workers.remove(&id) else { return };
        if let Some(dispatcher) = &mut self.dispatcher {
            dispatcher.take_back(id, &mut worker, true);
            dispatcher.reclaim(&mut self.workers);
        }
        worker.output.drain();
        let printed = worker.output.kept.borrow().last(EXPLAINING);
        worker.ignore();
        let leaves_orphans = self.keep_orphans(id, &mut worker);
        self.handle(Event::Ended { worker: id, how, printed, leaves_orphans });
        self.mend_listeners(true);
    }

    /// Keeps what is left of a worker. Whether anything is, and outside of its group, is seen later.
    fn keep_orphans(&mut self, id: WorkerId, worker: &mut Worker) -> bool {
        let Some(group) = worker.pid() else { return false };
        let echo = echo(&self.context, &worker.plan, &worker.record);
        let output = std::mem::take(&mut worker.output);
        let (stop_signal, is_foreign) = (worker.plan.options.stop_signal, worker.record.adopted);
        let orphan = Orphan {
            group,
            group_gone: false,
            strays: Vec::new(),
            number: id,
            output,
            echo,
            stop_signal,
            sent: None,
            is_foreign,
        };
        self.orphans.insert(id, orphan);
        true
    }

    /// Notices workers that have ended and are no children of this process.
    pub(super) fn look_at_foreign(&mut self) {
        for id in std::mem::take(&mut self.gone) {
            self.ended(id, End::Untold);
        }
    }

    /// Tries to find the receivers of workers that connections are to be handed off to.
    pub(super) fn link(&mut self) {
        let Some(dispatcher) = &self.dispatcher else { return };
        self.links_refused = false;
        let mut linked = Vec::new();
        for (id, worker) in &mut self.workers {
            let is_wanted = self.machine.workers().get(id).is_some_and(|worker| worker.is_wanted());
            if matches!(worker.link, Link::Awaited) && is_wanted && !worker.is_stopped {
                let sender = with_signals_blocked(|| dispatcher.endpoint.sender(worker.record.pid.unsigned_abs()));
                match sender {
                    Ok(sender) => {
                        worker.link = Link::hand_off(sender);
                        linked.push(*id);
                    }
                    Err(Error::NoEndpoint { .. } | Error::NoSuchProcess { .. }) => {}
                    Err(_) => self.links_refused = true,
                }
            }
        }
        linked.into_iter().for_each(|worker| self.handle(Event::Sign { worker, sign: Sign::Linked }));
    }

    /// The guard should never end; another takes its place, and is told everything.
    fn guard_ended(&mut self) {
        if self.machine.is_stopping() {
            return;
        }
        let options = self.options();
        let (signal, patience) = (options.stop_signal, options.stop_timeout);
        let guard = Guard::start(signal, patience, self.context.folder.path());
        match guard.and_then(|guard| guard.watch(&self.context.events).map(|()| guard)) {
            Ok(guard) => {
                self.context.guard = guard;
                let guard = &self.context.guard;
                self.workers.values().filter_map(Worker::pid).for_each(|pid| guard.group(pid, true));
                self.orphans.values().flat_map(Orphan::groups).for_each(|group| guard.group(group, true));
                let listeners = self.plan().listeners.iter();
                listeners.filter_map(|listener| listener.path()).for_each(|path| guard.path(path, true));
            }
            Err(error) => self.reporter.trouble(&format!(
                "the guard ended, and there is no other: {error:#}; what workers start may outlive this process"
            )),
        }
    }
}
