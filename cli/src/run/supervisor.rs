//! The supervisor: one loop, in which everything that happens is answered.

use super::clock::Moment;
use super::control::{self, Answer, Client, Request};
use super::ending::Remnant;
use super::generation::{Generation, Plan};
use super::giver::{Giver, Link, Waiting};
use super::listener::Listener;
use super::notify::Said;
use super::options::{Options, Ready, Via};
use super::report::{Report, Reporter};
use super::signals::{Ears, Heard};
use super::statistics::{Connections, Processes};
use super::status::{ListenerStatus, State, Status, WorkerState, WorkerStatus};
use super::systemd::Manager;
use super::worker::{Surroundings, Worker};
use anyhow::{Context, Result};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Between two looks, when something is to be looked for.
pub(crate) const LOOK: Duration = Duration::from_millis(20);
/// The same, while connections are on their way to workers.
const SHORT_LOOK: Duration = Duration::from_millis(1);
/// Between two looks when nothing is known to be due.
const LONG_LOOK: Duration = Duration::from_secs(60);

/// What comes from the workers.
#[derive(Debug)]
pub(crate) enum Event {
    Said(u64, Said),
    Ready(u64),
    /// These processes, or what they started, accepted a connection that was made to try it.
    Accepts(Vec<i32>),
    /// A worker has ended that is no child of this process.
    Gone(u64),
    Accepted(Waiting),
}

/// What it has done, since it was first started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) started: Moment,
    pub(crate) reloads: u64,
    pub(crate) upgrades: u64,
    pub(crate) restarts: u64,
    pub(crate) last_worker: u64,
    pub(crate) last_generation: u32,
    pub(crate) last_failure: Option<String>,
}

/// A generation that is starting, and those who wait for it.
#[derive(Debug)]
pub(crate) struct Coming {
    pub(crate) generation: Generation,
    pub(crate) clients: Vec<Client>,
    /// Another was asked for meanwhile.
    pub(crate) again: bool,
}

/// The supervisor.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) name: String,
    pub(crate) around: Surroundings,
    pub(crate) reporter: Reporter,
    pub(crate) state: State,
    pub(crate) counts: Counts,
    pub(crate) serving: Generation,
    pub(crate) coming: Option<Coming>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) remnants: Vec<Remnant>,
    pub(crate) giver: Option<Giver>,
    /// Who waits for the end.
    pub(crate) waiting: Vec<Client>,
    /// The service manager that started this.
    pub(crate) manager: Manager,
    /// The listeners that it keeps.
    pub(crate) stored: Vec<Rc<Listener>>,
    metrics: Option<JoinHandle<()>>,
    /// When the service manager must hear that this lives.
    watchdog: Option<Moment>,
    /// Who asked for the upgrade that is under way.
    pub(crate) upgrading: Option<Client>,
    /// Open once it was needed.
    pub(crate) endpoint: Option<sharesock::Endpoint>,
    pub(crate) failed: bool,
    /// Workers that have ended, and are no children of this process.
    pub(crate) gone: Vec<u64>,
    pub(crate) control: Rc<UnixListener>,
    pub(crate) hearing: JoinHandle<()>,
    pub(crate) heard_in: UnboundedSender<(Request, Client)>,
    pub(crate) heard: UnboundedReceiver<(Request, Client)>,
    pub(crate) events: UnboundedReceiver<Event>,
    pub(crate) ears: Ears,
    /// Heard while another program was tried, and answered when that has failed.
    pub(crate) heard_late: Vec<Heard>,
}

fn hear_requests(control: &Rc<UnixListener>, heard: &UnboundedSender<(Request, Client)>) -> JoinHandle<()> {
    tokio::task::spawn_local(control::hear(Rc::clone(control), heard.clone()))
}

impl Counts {
    pub(crate) fn new() -> Self {
        let started = Moment::now();
        Counts { started, reloads: 0, upgrades: 0, restarts: 0, last_worker: 0, last_generation: 1, last_failure: None }
    }
}

impl Supervisor {
    pub(crate) fn new(
        name: String,
        (around, events): (Surroundings, UnboundedReceiver<Event>),
        reporter: Reporter,
        counts: Counts,
        serving: Generation,
        control: std::os::unix::net::UnixListener,
    ) -> Result<Self> {
        control.set_nonblocking(true).context("listening in the domain")?;
        let control = Rc::new(UnixListener::from_std(control).context("listening in the domain")?);
        let (heard_in, heard) = unbounded_channel();
        let hearing = hear_requests(&control, &heard_in);
        let manager = Manager::from_env()?;
        Ok(Supervisor {
            watchdog: manager.watchdog_period().map(|_| Moment::now()),
            manager,
            name,
            around,
            reporter,
            state: State::Starting,
            counts,
            serving,
            coming: None,
            workers: Vec::new(),
            remnants: Vec::new(),
            giver: None,
            waiting: Vec::new(),
            stored: Vec::new(),
            metrics: None,
            upgrading: None,
            endpoint: None,
            failed: false,
            gone: Vec::new(),
            control,
            hearing,
            heard_in,
            heard,
            events,
            ears: Ears::open()?,
            heard_late: Vec::new(),
        })
    }

    /// Hears requests again.
    pub(crate) fn hear_requests(&mut self) {
        self.hearing = hear_requests(&self.control, &self.heard_in);
    }

    /// Takes note of everything that has come.
    pub(crate) fn note_all(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.note(event);
        }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.serving.plan.options
    }

    /// Goes on until everything has ended.
    pub(crate) async fn go(mut self) -> Result<ExitCode> {
        self.reap().await;
        loop {
            self.look().await;
            if self.is_over() {
                return Ok(self.finish().await);
            }
            let pause = self.pause();
            tokio::select! {
                heard = self.ears.next() => self.hear(heard).await,
                Some(event) = self.events.recv() => {
                    self.note(event);
                    // One at a time, a worker that says much would fill the memory.
                    self.note_all();
                }
                Some((request, client)) = self.heard.recv() => self.answer(request, client).await,
                () = sleep(pause) => {}
            }
        }
    }

    pub(crate) async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Child => self.reap().await,
            Heard::End if self.state == State::Stopping => self.kill_all("a second signal came"),
            Heard::End => self.stop(),
            Heard::Reload => self.reload(None),
            Heard::Forward(signal) => {
                self.workers
                    .iter()
                    .filter(|worker| worker.is(WorkerState::Ready))
                    .for_each(|worker| worker.signal(signal));
            }
        }
    }

    pub(crate) fn note(&mut self, event: Event) {
        match event {
            Event::Accepted(waiting) => {
                if let Some(giver) = &mut self.giver {
                    giver.waiting.push_back(waiting);
                }
            }
            Event::Ready(number) => self.ready(number),
            Event::Accepts(pids) => {
                let accepts =
                    |worker: &&Worker| worker.plan.options.ready == Ready::Accept && pids.contains(&worker.record.pid);
                let numbers: Vec<_> = self.workers.iter().filter(accepts).map(|worker| worker.record.number).collect();
                numbers.into_iter().for_each(|number| self.ready(number));
            }
            Event::Gone(number) => self.gone.push(number),
            Event::Said(number, said) => {
                let Some(worker) = self.workers.iter_mut().find(|worker| worker.record.number == number) else {
                    return;
                };
                if said.status.is_some() {
                    worker.record.says = said.status;
                }
                if said.ready && matches!(worker.plan.options.ready, Ready::Auto | Ready::Notify) {
                    self.ready(number);
                }
            }
        }
    }

    async fn answer(&mut self, request: Request, client: Client) {
        match request {
            Request::Status { lines } => client.end(Answer::Status(Box::new(self.status(lines)))),
            Request::Reload {} => self.reload(Some(client)),
            Request::Upgrade { to } => self.upgrade(to, client).await,
            Request::Stop {} => {
                self.waiting.push(client);
                self.stop();
            }
        }
    }

    /// A worker is as ready as its readiness was asked to be tried.
    fn ready(&mut self, number: u64) {
        let Some(worker) = self.workers.iter_mut().find(|worker| worker.record.number == number) else { return };
        if !worker.is(WorkerState::Starting) {
            return;
        }
        worker.end_probe();
        worker.record.ready_at = None;
        worker.record.said_ready = true;
        if matches!(worker.link, Link::Awaited) {
            return;
        }
        worker.record.state = WorkerState::Ready;
        worker.record.due = None;
        let (pid, place, generation) = (worker.record.pid, worker.record.place, worker.record.generation);
        self.reporter.say(&Report::WorkerReady { pid, place, generation });
        self.settle_generations();
    }

    /// Does what is due.
    pub(crate) async fn look(&mut self) {
        self.look_at_gone().await;
        if self.watchdog.is_some_and(|due| due <= Moment::now()) {
            self.tell_manager(Manager::watchdog);
            self.watchdog = self.manager.watchdog_period().map(|period| Moment::now().after(period));
        }
        self.link();
        let now = Moment::now();
        let past = |at: Option<Moment>| at.is_some_and(|at| at <= now);
        let alive: Vec<_> = self
            .workers
            .iter()
            .filter(|worker| past(worker.record.ready_at))
            .map(|worker| worker.record.number)
            .collect();
        for number in alive {
            self.ready(number);
        }
        self.give();
        let late: Vec<_> = self.workers.iter_mut().filter(|worker| past(worker.record.due)).collect();
        for worker in late {
            let starting = worker.is(WorkerState::Starting);
            let why = match starting {
                true => format!("it was not ready within {} s", worker.plan.options.ready_timeout.as_secs_f64()),
                false => format!("it did not end within {} s", worker.plan.options.stop_timeout.as_secs_f64()),
            };
            self.reporter.say(&Report::Killed { pid: worker.record.pid, why: &why });
            worker.record.failure = starting.then_some(why);
            worker.kill();
        }
        self.restart_due();
        self.look_at_remnants().await;
    }

    /// Tries to find the receivers of workers that connections are to be handed off to.
    fn link(&mut self) {
        let Some(giver) = &self.giver else { return };
        let mut linked = Vec::new();
        for worker in &mut self.workers {
            if matches!(worker.link, Link::Awaited) && !worker.is(WorkerState::Draining) {
                if let Ok(sender) = giver.endpoint.sender(worker.record.pid.unsigned_abs()) {
                    worker.link = Link::hand_off(sender);
                    if worker.record.said_ready || worker.plan.options.ready == Ready::Auto {
                        linked.push(worker.record.number);
                    }
                }
            }
        }
        linked.into_iter().for_each(|number| self.ready(number));
    }

    /// Gives connections away, and asks workers to end that have taken what they got.
    fn give(&mut self) {
        if self.serving.plan.options.giving() == Some(Via::Stdio) {
            self.serve_singly();
        }
        let Some(giver) = &mut self.giver else { return };
        // In this order: what is written makes room.
        giver.settle(&mut self.workers);
        giver.give(&mut self.workers, self.serving.number);
        for worker in self.workers.iter_mut().filter(|worker| worker.is(WorkerState::Draining)) {
            let Some(until) = worker.record.ready_at else { continue };
            let settled = worker.link.outstanding() == 0;
            if settled || until <= Moment::now() {
                worker.ask_to_end();
                if !settled {
                    worker.link.reclaim().into_iter().for_each(|parcel| giver.put_back(parcel));
                }
            }
        }
    }

    /// How long nothing is due.
    fn pause(&self) -> Duration {
        let due = self.workers.iter().flat_map(|worker| [worker.record.ready_at, worker.record.due]).flatten();
        let due = due
            .chain(self.serving.next_restart())
            .chain(self.remnants.iter().map(|remnant| remnant.due))
            .chain(self.watchdog)
            .min();
        let mut pause = due.map_or(LONG_LOOK, Moment::remaining);
        let awaited = |worker: &Worker| matches!(worker.link, Link::Awaited) && !worker.is(WorkerState::Draining);
        if !self.remnants.is_empty() || self.workers.iter().any(awaited) {
            pause = pause.min(LOOK);
        }
        // Nothing tells that a worker has room again.
        if self.giver.as_ref().is_some_and(|giver| !giver.waiting.is_empty()) {
            pause = pause.min(LOOK);
        }
        if self.giver.is_some() && self.workers.iter().any(|worker| worker.link.outstanding() > 0) {
            pause = pause.min(SHORT_LOOK);
        }
        pause
    }

    pub(crate) fn status(&self, lines: usize) -> Status {
        let listeners = &self.serving.plan.listeners;
        let (processes, connections) = (Processes::look(), Connections::look(listeners));
        let counts = &self.counts;
        let worker = |worker: &Worker| {
            let usage = worker.pid().map(|pid| processes.usage(pid, &connections));
            let record = &worker.record;
            let place = usize::try_from(record.place).ok().and_then(|place| self.serving.places.get(place));
            let place = place.filter(|_| record.generation == self.serving.number);
            WorkerStatus {
                pid: record.pid.unsigned_abs(),
                place: record.place,
                generation: record.generation,
                state: record.state,
                uptime_s: record.since.elapsed().as_secs_f64(),
                restarts: place.map_or(0, |place| place.restarts),
                connections: usage.map(|usage| usage.connections),
                memory_bytes: usage.map(|usage| usage.memory_bytes),
                cpu_s: usage.map(|usage| usage.cpu_s),
                handed_off: record.handed_off,
                says: record.says.clone(),
                output: worker.output.kept.borrow().last(lines),
            }
        };
        let listener = |listener: &Rc<Listener>| ListenerStatus {
            name: listener.spec.name.clone(),
            address: listener.address.clone(),
            queued: connections.queued(listener),
            backlog: listener.accepts().then(|| listener.backlog()),
        };
        Status {
            name: self.name.clone(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: counts.started.elapsed().as_secs_f64(),
            state: self.state,
            generation: self.serving.number,
            reloads: counts.reloads,
            upgrades: counts.upgrades,
            restarts: counts.restarts,
            last_failure: counts.last_failure.clone(),
            listeners: listeners.iter().map(listener).collect(),
            workers: self.workers.iter().map(worker).collect(),
            hand_offs: self.giver.as_ref().map(Giver::figures),
        }
    }

    /// Writes the file that says where this listens, at once and whole.
    pub(crate) fn write_ready_file(&self) -> Result<()> {
        let Some(path) = &self.options().ready_file else { return Ok(()) };
        let listener = |listener: &Rc<Listener>| json!({"name": listener.spec.name, "address": listener.address});
        let pids: Vec<_> = self.workers_of(self.serving.number).collect();
        let listeners: Vec<_> = self.serving.plan.listeners.iter().map(listener).collect();
        let text =
            json!({"pid": std::process::id(), "name": self.name, "listeners": listeners, "workers": pids}).to_string();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
        let file = tempfile::NamedTempFile::new_in(folder).context("writing the ready file")?;
        std::fs::write(file.path(), text).context("writing the ready file")?;
        file.persist(path).context("writing the ready file")?;
        Ok(())
    }

    /// What a service manager is told is no reason to fail: it will notice.
    pub(crate) fn tell_manager(&self, tell: impl FnOnce(&Manager) -> Result<()>) {
        if !self.manager.is_there() {
            return;
        }
        if let Err(error) = tell(&self.manager) {
            let why = format!("{error:#}");
            self.reporter.say(&Report::Trouble { why: &why });
        }
    }

    /// Lets the service manager keep the listeners, for the case that this process is started anew.
    pub(crate) fn store_listeners(&mut self) {
        let room = usize::try_from(self.manager.room()).unwrap_or(usize::MAX);
        let wanted: Vec<_> = self.plan().listeners.iter().take(room).map(Rc::clone).collect();
        let among =
            |listeners: &[Rc<Listener>], one: &Rc<Listener>| listeners.iter().any(|listener| Rc::ptr_eq(listener, one));
        // First what goes: another may have its name now.
        for gone in self.stored.iter().filter(|stored| !among(&wanted, stored)) {
            self.tell_manager(|manager| manager.forget(&gone.spec.name));
        }
        for new in wanted.iter().filter(|wanted| !among(&self.stored, wanted)) {
            self.tell_manager(|manager| manager.store(&new.spec.name, new.socket.as_fd()));
        }
        self.stored = wanted;
    }

    /// Answers for metrics, if that is asked for.
    pub(crate) fn serve_metrics(&mut self) -> Result<()> {
        if let (Some(address), None) = (self.options().metrics, &self.metrics) {
            let (bound, task) = super::metrics::serve(address, self.heard_in.clone())?;
            self.reporter.say(&Report::Metrics { address: &format!("http://{bound}/metrics") });
            self.metrics = Some(task);
        }
        Ok(())
    }

    pub(crate) fn workers_of(&self, generation: u32) -> impl Iterator<Item = i32> {
        self.workers.iter().filter(move |worker| worker.record.generation == generation).map(|worker| worker.record.pid)
    }

    fn kill_all(&mut self, why: &str) {
        // No process is started any more for those that wait.
        self.giver.iter_mut().for_each(|giver| giver.waiting.clear());
        for worker in &mut self.workers {
            self.reporter.say(&Report::Killed { pid: worker.record.pid, why });
            worker.kill();
        }
        self.remnants.iter().for_each(|remnant| remnant.signal(Signal::KILL));
    }

    pub(crate) fn plan(&self) -> &Rc<Plan> {
        &self.serving.plan
    }
}
