//! Performing the machine's actions.

use super::Supervisor;
use crate::procfs::connections::Connections;
use crate::procfs::processes::Processes;
use crate::run::background;
use crate::run::clock::Moment;
use crate::run::control::Answer;
use crate::run::listener::Resolved;
use crate::run::machine::{Action, Event, Notice, Reply, Rules, WorkerId};
use crate::run::options::{self, Options, Via};
use crate::run::report::Report;
use crate::run::systemd::Manager;
use crate::run::worker::Worker;
use crate::run::worker::event::WorkerEvent;
use crate::run::worker::orphan::Orphan;
use crate::run::worker::plan::Plan;
use crate::system::explained;
use anyhow::Result;
use rustix::process::Signal;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::timeout;

/// Time for a look at what is cut off by a kill.
const LONGEST_LOOK: Duration = Duration::from_secs(1);

impl Supervisor {
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Start { worker, generation, slot } => {
                let result = self.start_worker(worker, generation, slot);
                self.queue.push_back(Event::Started { worker, result: result.map_err(|error| explained(&error)) });
            }
            Action::StartForConnection { worker, generation } => self.start_for_connection(worker, generation),
            Action::Unserved { worker, drop } => {
                let kept = self.dispatcher.as_mut().and_then(|dispatcher| dispatcher.unserved.remove(&worker));
                if let (Some(dispatcher), Some(waiting), false) = (&mut self.dispatcher, kept, drop) {
                    dispatcher.wait_again(waiting);
                }
            }
            Action::Settle { worker } => {
                if let Some(process) = self.workers.get_mut(&worker) {
                    process.is_settling = true;
                }
                if self.has_settled(worker) {
                    self.queue.push_back(Event::Settled { worker });
                }
            }
            Action::AskToEnd { worker } => self.ask_to_end(worker),
            Action::Kill { worker } => self.workers.get(&worker).into_iter().for_each(Worker::kill),
            Action::Cut { worker, why } => self.cut(worker, why),
            Action::EndOrphans { worker } => self.orphans.get_mut(&worker).into_iter().for_each(Orphan::ask_to_end),
            Action::KillOrphans { worker } => {
                self.orphans.get_mut(&worker).into_iter().for_each(|orphan| orphan.signal(Signal::KILL));
            }
            Action::Bury { worker } => self.bury(worker),
            Action::Plan { generation } => self.read_options(generation),
            Action::Adopt { generation } => self.adopt(generation),
            Action::Discard { generation } => {
                if let Some(plan) = self.plans.remove(&generation) {
                    let serving = Rc::clone(self.plan());
                    self.forget_listeners(&plan, &serving);
                }
            }
            Action::Serving { generation, is_first } => self.say_serving(generation, is_first),
            Action::Upgrade => self.upgrade.is_due = true,
            // The attempt itself looks at the machine's state.
            Action::CancelUpgrade => self.upgrade.is_due = false,
            Action::CloseDoor => self.close_door(),
            Action::DropWaiting => self.dispatcher.iter_mut().for_each(|dispatcher| dispatcher.clear()),
            Action::Answer { asker, reply } => self.reply(asker, reply),
            Action::Say(report) => self.reporter.say(&report),
            Action::Tell(notice) => self.tell_notice(&notice),
            Action::Finish { failure } => self.finished = Some(failure),
        }
    }

    fn start_worker(&mut self, worker: WorkerId, generation: u32, slot: u32) -> Result<i32> {
        self.mend_listeners(true);
        let plan = self.plans.get(&generation).map_or_else(|| Rc::clone(self.plan()), Rc::clone);
        let new = Worker::start(&self.context, &plan, (worker, generation, slot), None);
        // The kernel does not tell of a folder that something was mounted over.
        self.look_at_names = self.look_at_names.or(new.is_err().then(Moment::now));
        let new = new?;
        let pid = new.record.pid;
        self.workers.insert(worker, new);
        Ok(pid)
    }

    fn start_for_connection(&mut self, worker: WorkerId, generation: u32) {
        let plan = Rc::clone(self.plan());
        let Some(waiting) = self.dispatcher.as_mut().and_then(super::Dispatcher::next) else {
            let result = Err("the connection is gone".to_owned());
            return self.queue.push_back(Event::Started { worker, result });
        };
        let new = Worker::start(&self.context, &plan, (worker, generation, 0), Some(waiting.parcel.socket()));
        let result = match new {
            Ok(new) => {
                let pid = new.record.pid;
                self.workers.insert(worker, new);
                Ok(pid)
            }
            Err(error) => {
                self.dispatcher.as_mut().map(|dispatcher| dispatcher.unserved.insert(worker, waiting));
                Err(explained(&error))
            }
        };
        self.queue.push_back(Event::Started { worker, result });
    }

    /// Asks it to end; connections that it has not taken go to others.
    fn ask_to_end(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.is_settling = false;
        worker.ask_to_end();
        if worker.link.outstanding() > 0 {
            if let Some(dispatcher) = &mut self.dispatcher {
                dispatcher.take_back(id, worker, false);
                dispatcher.dispatch(&mut self.workers, &self.machine);
            }
        }
    }

    /// Kills a worker when it is known what is cut off by that, which the system tells another thread.
    fn cut(&self, id: WorkerId, why: String) {
        let Some((worker, pid)) = self.workers.get(&id).and_then(|worker| Some((worker, worker.pid()?))) else {
            return;
        };
        let addresses: Vec<_> = worker.plan.listeners.iter().map(|listener| listener.address.clone()).collect();
        let look =
            background::start(move || Processes::look().usage(pid, Connections::look(&addresses).inodes()).connections);
        let events = self.context.events.clone();
        tokio::task::spawn_local(async move {
            let connections = match look {
                // A look that hangs holds no kill up.
                Ok(look) => timeout(LONGEST_LOOK, look).await.ok().and_then(Result::ok),
                Err(_) => None,
            };
            let _ = events.send(WorkerEvent::Counted(id, why, connections));
        });
    }

    fn bury(&mut self, id: WorkerId) {
        let worker = self.workers.remove(&id).and_then(|worker| worker.pid());
        let orphan = self.orphans.remove(&id).inspect(|orphan| orphan.output.finish());
        let groups = orphan.iter().flat_map(Orphan::groups);
        worker.into_iter().chain(groups).for_each(|group| self.context.guard.group(group, false));
        self.context.folder.forget(id);
    }

    /// Reads the options where it holds nobody up: a file may be anything.
    fn read_options(&self, generation: u32) {
        let events = self.context.events.clone();
        let load = self.options().load;
        let reading = background::start(move || {
            let options = load(&options::command_line())?;
            let resolved = options.resolve();
            Ok((options, resolved))
        });
        tokio::task::spawn_local(async move {
            let read = match reading {
                Ok(reading) => reading.await.map_err(anyhow::Error::from).and_then(|read| read),
                Err(error) => Err(anyhow::Error::from(error).context("starting a thread that reads the options")),
            };
            let _ = events.send(WorkerEvent::Planned(generation, Box::new(read)));
        });
    }

    pub(super) fn planned(&mut self, generation: u32, read: Result<(Options, Resolved)>) {
        let result = read.and_then(|(options, resolved)| self.replan(generation, options, &resolved));
        self.handle(Event::Planned { generation, result: result.map_err(|error| explained(&error)) });
    }

    fn replan(&mut self, generation: u32, options: Options, resolved: &Resolved) -> Result<Rules> {
        let now = self.options();
        anyhow::ensure!(
            options.giving() == now.giving() && options.name() == self.name,
            "what workers get, and the name, cannot change at a reload: stop the supervisor, and start it again"
        );
        // The guard knows of a path before it is there.
        self.context.guard.paths(&options.listen);
        let plan = Plan::make(options, resolved, &self.plan().listeners)?;
        for listener in plan.listeners.iter().filter(|listener| !self.plan().listens_at(listener)) {
            self.say_listening(listener);
        }
        let rules = plan.rules();
        self.plans.insert(generation, Rc::new(plan));
        self.watch();
        Ok(rules)
    }

    fn adopt(&mut self, generation: u32) {
        let Some(serving) = self.plans.get(&generation).map(Rc::clone) else { return };
        for (_, old) in std::mem::take(&mut self.plans).into_iter().filter(|(number, _)| *number != generation) {
            self.forget_listeners(&old, &serving);
        }
        self.plans.insert(generation, serving);
        // Listeners that the new workers serve, all of them, are to be served from now on.
        let of_it = self.machine.workers().iter().filter(|(_, worker)| worker.generation == generation);
        let workers: Vec<_> = of_it.map(|(id, _)| *id).collect();
        for inode in self.observer.take_also_served(&workers) {
            self.ignored.remove(&inode);
        }
        self.watch();
        self.accept();
    }

    /// Accepts what has come, and nothing more, and gives it away.
    fn close_door(&mut self) {
        let plan = Rc::clone(self.plan());
        let Some(dispatcher) = &mut self.dispatcher else { return };
        dispatcher.pause();
        for listener in plan.listeners.iter().filter(|listener| listener.accepts()) {
            // With a process for each queued connection, the end could take arbitrarily long.
            if plan.options.via != Via::Stdio {
                dispatcher.accept_queued(listener);
            }
            // Later clients are refused at once, unless another process goes on to listen.
            if !listener.passed && !self.stored.iter().any(|kept| Rc::ptr_eq(kept, listener)) {
                let _ = listener.socket().as_socket().shutdown(std::net::Shutdown::Both);
            }
        }
        dispatcher.dispatch(&mut self.workers, &self.machine);
    }

    pub(in crate::run) fn reply(&mut self, asker: u64, reply: Reply) {
        let answer = match reply {
            Reply::Progress(text) => {
                return self
                    .clients
                    .get(&asker)
                    .into_iter()
                    .for_each(|client| client.say(&Answer::Progress(text.clone())));
            }
            Reply::Done(text) => Answer::Done(text),
            Reply::Failed(why) => Answer::Failed(why),
            Reply::Busy(why) => Answer::Busy(why),
        };
        if self.upgrade.asker == Some(asker) {
            self.upgrade.asker = None;
        }
        self.clients.remove(&asker).into_iter().for_each(|client| client.end(answer.clone()));
    }

    fn say_serving(&mut self, generation: u32, is_first: bool) {
        // Readers of the event find the file.
        self.say_ready();
        let workers = self.machine.pids(generation);
        let (name, pid) = (self.name.clone(), std::process::id());
        self.reporter.say(&match is_first {
            true => Report::Ready { name, pid, generation, workers },
            false => Report::Reloaded { generation, workers },
        });
    }

    fn tell_notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Reloading => self.tell_manager(Manager::reloading),
            Notice::ReloadFailed(why) => {
                self.tell_manager(|manager| manager.ready(&format!("the last reload failed: {why}")));
            }
            Notice::Stopping { within } => {
                self.tell_manager(Manager::stopping);
                self.tell_manager(|manager| manager.extend(*within));
            }
            Notice::Status(text) => self.tell_manager(|manager| manager.status(text)),
        }
    }
}
