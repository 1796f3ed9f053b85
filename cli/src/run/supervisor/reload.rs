//! Starting workers, and replacing a generation by the next.

use super::{PendingReload, Supervisor};
use crate::run::control::{Answer, Client};
use crate::run::options::{self, Options, Via};
use crate::run::report::Report;
use crate::run::systemd::Manager;
use crate::run::worker::Worker;
use crate::run::worker::generation::{Generation, Plan};
use crate::status::{State, WorkerState};
use anyhow::Result;
use std::rc::Rc;

impl Supervisor {
    /// Starts the workers of the first generation.
    pub(crate) fn start(&mut self) {
        for listener in &self.plan().listeners {
            self.reporter.say(&Report::Listening { name: &listener.spec.name, address: &listener.address });
        }
        let plan = Rc::clone(self.plan());
        let number = self.serving.number;
        if let Err(error) = self.start_all(&plan, number) {
            self.give_up(&format!("{error:#}"));
        }
        self.accept();
        self.settle_generations();
    }

    fn start_all(&mut self, plan: &Rc<Plan>, generation: u32) -> Result<()> {
        (0..Generation::slots(plan)).try_for_each(|slot| self.start_worker(plan, generation, slot))
    }

    fn start_worker(&mut self, plan: &Rc<Plan>, generation: u32, slot: u32) -> Result<()> {
        self.counts.last_worker += 1;
        let worker = Worker::start(&self.context, plan, (self.counts.last_worker, generation, slot), None)?;
        self.reporter.say(&Report::WorkerStarted { pid: worker.record.pid, place: slot, generation });
        self.workers.push(worker);
        Ok(())
    }

    /// Starts a process for each connection that waits, as many as there may be at a time.
    pub(crate) fn serve_singly(&mut self) {
        let most = usize::from(self.options().workers);
        let plan = Rc::clone(self.plan());
        while self.workers.len() < most {
            let Some(waiting) = self.dispatcher.as_mut().and_then(super::dispatch::Dispatcher::next) else { return };
            self.counts.last_worker += 1;
            let number = self.counts.last_worker;
            let worker =
                Worker::start(&self.context, &plan, (number, self.serving.number, 0), Some(waiting.parcel.socket()));
            match worker {
                Ok(mut worker) => {
                    if self.state == State::Stopping {
                        // It has as long as the others to end.
                        worker.stop();
                    }
                    self.workers.push(worker);
                }
                // Those that run free what is short, descriptors or processes, when they end.
                Err(_) if !self.workers.is_empty() => {
                    if let Some(dispatcher) = &mut self.dispatcher {
                        dispatcher.wait_again(waiting);
                    }
                    return;
                }
                Err(error) => {
                    let why = format!("a connection is closed unserved: {error:#}");
                    self.reporter.trouble(&why);
                }
            }
        }
    }

    /// Starts again where it is time to.
    pub(crate) fn restart_due(&mut self) {
        let (plan, generation) = (Rc::clone(self.plan()), self.serving.number);
        for slot in self.serving.take_due() {
            if let Err(error) = self.start_worker(&plan, generation, slot) {
                self.reporter.trouble(&format!("{error:#}"));
                if self.serving.ended(slot, std::time::Duration::ZERO).is_none() {
                    self.give_up("that was once too often in a row: everything ends");
                }
            }
        }
    }

    /// Accepts for the workers, if that is asked for.
    pub(crate) fn accept(&mut self) {
        let plan = Rc::clone(self.plan());
        let Some(dispatcher) = &mut self.dispatcher else { return };
        if let Err(error) = dispatcher.accept_from(&plan.listeners, &self.context.events) {
            self.reporter.trouble(&format!("{error:#}"));
        }
    }

    /// Replaces all workers by new ones, started with what is said now.
    pub(crate) fn reload(&mut self, client: Option<Client>) {
        let reporter = self.reporter.clone();
        let refuse = |client: Option<Client>, why: &str| match client {
            Some(client) => client.end(Answer::Failed(why.to_owned())),
            None => reporter.trouble(why),
        };
        if let Some(pending) = &mut self.pending_reload {
            if client.is_none() {
                pending.again = true;
                return;
            }
            return refuse(client, "a reload is under way: ask again when it is over");
        }
        match self.state {
            State::Running => self.begin_reload(client.into_iter().collect()),
            // It waits until there is something to be replaced.
            State::Starting => self.early.get_or_insert_default().extend(client),
            _ => refuse(client, "the supervisor is stopping, or being upgraded: ask it for its status"),
        }
    }

    fn begin_reload(&mut self, clients: Vec<Client>) {
        self.counts.last_generation += 1;
        let number = self.counts.last_generation;
        self.reporter.say(&Report::Reloading { generation: number });
        self.tell_manager(Manager::reloading);
        self.state = State::Reloading;
        let plan = Options::load(&options::command_line()).and_then(|options| self.replan(options));
        match plan {
            Ok(plan) => {
                let plan = Rc::new(plan);
                self.pending_reload = Some(PendingReload {
                    generation: Generation::new(number, Rc::clone(&plan)),
                    clients,
                    again: false,
                });
                match self.start_all(&plan, number) {
                    Ok(()) => {
                        self.tell_progress();
                        self.settle_generations();
                    }
                    Err(error) => self.abort_reload(&format!("{error:#}")),
                }
            }
            Err(error) => {
                let generation = Generation::new(number, Rc::clone(self.plan()));
                self.pending_reload = Some(PendingReload { generation, clients, again: false });
                self.abort_reload(&format!("{error:#}"));
            }
        }
    }

    fn replan(&self, options: Options) -> Result<Plan> {
        let now = self.options();
        anyhow::ensure!(
            options.giving() == now.giving() && options.name() == self.name,
            "what workers get, and the name, cannot change at a reload: stop the supervisor, and start it again"
        );
        // The guard knows of a path before it is there.
        self.context.guard.paths(&options.listen);
        let plan = Plan::make(options, &self.plan().listeners)?;
        for listener in plan.listeners.iter().filter(|listener| !self.plan().listens_at(listener)) {
            self.reporter.say(&Report::Listening { name: &listener.spec.name, address: &listener.address });
        }
        Ok(plan)
    }

    /// The new generation has failed: it goes, and the old stays.
    pub(crate) fn abort_reload(&mut self, why: &str) {
        let Some(pending) = self.pending_reload.take() else { return };
        self.state = State::Running;
        self.counts.last_failure = Some(format!("reload: {why}"));
        self.reporter.say(&Report::ReloadFailed { why });
        self.tell_manager(|manager| manager.ready(&format!("the last reload failed: {why}")));
        let failed = |worker: &&mut Worker| worker.record.generation == pending.generation.number;
        self.workers.iter_mut().filter(failed).for_each(Worker::stop);
        let serving = Rc::clone(self.plan());
        self.forget_listeners(&pending.generation.plan, &serving);
        for client in pending.clients {
            client.end(Answer::Failed(why.to_owned()));
        }
        if pending.again {
            self.reload(None);
        }
    }

    /// Paths at which nobody listens any more go.
    pub(crate) fn forget_listeners(&self, old: &Plan, new: &Plan) {
        for listener in old.listeners.iter().filter(|listener| !new.listens_at(listener)) {
            if let Some(path) = listener.path() {
                let _ = std::fs::remove_file(path);
                self.context.guard.path(path, false);
            }
        }
    }

    /// When all of a generation are ready, it takes over.
    pub(crate) fn settle_generations(&mut self) {
        let number = self.pending_reload.as_ref().map_or(self.serving.number, |pending| pending.generation.number);
        let plan = self.pending_reload.as_ref().map_or(&self.serving.plan, |pending| &pending.generation.plan);
        let of_it = self.workers.iter().filter(|worker| worker.record.generation == number);
        let ready = of_it.filter(|worker| worker.is(WorkerState::Ready)).count();
        if ready < Generation::slots(plan) as usize && self.options().giving() != Some(Via::Stdio) {
            return;
        }
        match self.pending_reload.take() {
            Some(pending) => self.take_over(pending),
            None if self.state == State::Starting => {
                self.state = State::Running;
                let workers: Vec<_> = self.workers_of(number).collect();
                let pid = std::process::id();
                self.reporter.say(&Report::Ready { name: &self.name, pid, generation: number, workers: &workers });
                self.say_ready();
                if let Some(clients) = self.early.take() {
                    self.begin_reload(clients);
                }
            }
            None => {}
        }
    }

    fn take_over(&mut self, pending: PendingReload) {
        let old = std::mem::replace(&mut self.serving, pending.generation);
        let number = self.serving.number;
        self.accept();
        let single = self.options().giving() == Some(Via::Stdio);
        let old_ones = |worker: &&mut Worker| worker.record.generation != number && !single;
        self.workers.iter_mut().filter(old_ones).for_each(Worker::stop);
        let serving = Rc::clone(self.plan());
        self.forget_listeners(&old.plan, &serving);
        self.state = State::Running;
        self.counts.reloads += 1;
        let workers: Vec<_> = self.workers_of(number).collect();
        self.reporter.say(&Report::Reloaded { generation: number, workers: &workers });
        self.say_ready();
        for client in pending.clients {
            client.end(Answer::Done(format!("generation {number} has taken over")));
        }
        if pending.again {
            self.reload(None);
        }
    }

    /// Tells whoever waits for it that the workers are ready.
    pub(crate) fn say_ready(&mut self) {
        let count = self.workers_of(self.serving.number).count();
        let status = format!("generation {}, {count} workers", self.serving.number);
        self.tell_manager(|manager| manager.ready(&status));
        self.store_listeners();
        if let Err(error) = self.write_ready_file() {
            self.reporter.trouble(&format!("{error:#}"));
        }
    }
}
