//! The supervisor: one loop, in which everything that happens is answered.

use super::clock::Moment;
use super::control::{self, Client, Request};
use super::giver::Giver;
use super::listener::Listener;
use super::options::{Options, Ready, Via};
use super::report::{Report, Reporter};
use super::signals::{Ears, Heard, unheard};
use super::systemd::Manager;
use super::worker::context::Surroundings;
use super::worker::event::Event;
use super::worker::generation::{Generation, Plan};
use super::worker::link::Link;
use super::worker::probe::{find_ready, tried_at};
use super::worker::remnant::Remnant;
use super::worker::{ALIVE_IS_READY, Worker};
use crate::status::{State, WorkerState};
use anyhow::{Context, Result};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
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
    pub(crate) metrics: Option<JoinHandle<()>>,
    /// When the service manager must hear that this lives.
    watchdog: Option<Moment>,
    /// Who asked for a reload before the first workers were ready, if anybody did.
    pub(crate) early: Option<Vec<Client>>,
    /// Who asked for the upgrade that is under way.
    pub(crate) upgrading: Option<Client>,
    /// Open once it was needed.
    pub(crate) endpoint: Option<sharesock::Endpoint>,
    pub(crate) failed: bool,
    /// Who is ready of which generation is tried, and by what.
    probing: Option<(u32, JoinHandle<()>)>,
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

/// Why a worker that took too long is ended, and what to do.
fn not_ready(plan: &Plan) -> String {
    let time = plan.options.ready_timeout.as_secs_f64();
    match (&plan.options.ready, tried_at(plan)) {
        (_, Some(address)) => format!(
            "within {time} s it accepted no connection made to {address} to try it: does it take the listener that it is \
             passed? Else choose by --ready how to tell that it is ready"
        ),
        (Ready::Notify, _) => format!("it did not say READY=1 within {time} s"),
        (Ready::Connect(address), _) => format!("within {time} s it did not listen on {address}"),
        _ => format!("it was not ready within {time} s"),
    }
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
        (control, ears): (std::os::unix::net::UnixListener, Ears),
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
            early: None,
            upgrading: None,
            endpoint: None,
            failed: false,
            probing: None,
            gone: Vec::new(),
            control,
            hearing,
            heard_in,
            heard,
            events,
            ears,
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
                let accepts = |worker: &&Worker| {
                    tried_at(&worker.plan).is_some()
                        && match &pids {
                            Some(pids) => pids.contains(&worker.record.pid),
                            None => worker.record.since.elapsed() >= ALIVE_IS_READY,
                        }
                };
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
                let counts = match worker.plan.options.ready {
                    Ready::Notify => true,
                    Ready::Auto => tried_at(&worker.plan).is_none(),
                    _ => false,
                };
                if said.ready && counts {
                    self.ready(number);
                }
            }
        }
    }

    async fn answer(&mut self, request: Request, client: Client) {
        match request {
            Request::Status { lines } => self.tell_status(lines, client),
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
        self.tell_progress();
        self.settle_generations();
    }

    /// Does what is due.
    pub(crate) async fn look(&mut self) {
        self.look_at_gone().await;
        if self.watchdog.is_some_and(|due| due <= Moment::now()) {
            self.tell_manager(Manager::watchdog);
            self.watchdog = self.manager.watchdog_period().map(|period| Moment::now().after(period));
        }
        self.find_ready();
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
                true => not_ready(&worker.plan),
                false => format!("it did not end within {} s", worker.plan.options.stop_timeout.as_secs_f64()),
            };
            self.reporter.say(&Report::Killed { pid: worker.record.pid, why: &why });
            worker.record.failure = starting.then_some(why);
            worker.kill();
        }
        self.restart_due();
        self.look_at_remnants().await;
    }

    /// Tries by connections who is ready, as long as somebody is to be tried.
    fn find_ready(&mut self) {
        let starting = |worker: &&Worker| worker.is(WorkerState::Starting) && tried_at(&worker.plan).is_some();
        let tried: Vec<_> = self.workers.iter().filter(starting).collect();
        let newest = tried.iter().max_by_key(|worker| worker.record.generation);
        let Some((generation, address)) = newest.and_then(|it| Some((it.record.generation, tried_at(&it.plan)?)))
        else {
            self.probing.take().into_iter().for_each(|(_, probe)| probe.abort());
            return;
        };
        if self.probing.as_ref().is_none_or(|(of, _)| *of != generation) {
            let probe = find_ready(address, tried.len(), self.around.events.clone());
            let former = self.probing.replace((generation, tokio::task::spawn_local(probe)));
            former.into_iter().for_each(|(_, probe)| probe.abort());
        }
    }

    /// Tries to find the receivers of workers that connections are to be handed off to.
    fn link(&mut self) {
        let Some(giver) = &self.giver else { return };
        let mut linked = Vec::new();
        for worker in &mut self.workers {
            if matches!(worker.link, Link::Awaited) && !worker.is(WorkerState::Draining) {
                if let Ok(sender) = unheard(|| giver.endpoint.sender(worker.record.pid.unsigned_abs())) {
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
            let Some(until) = worker.record.settled_by else { continue };
            let settled = worker.link.outstanding() == 0;
            if settled || until <= Moment::now() {
                worker.ask_to_end();
                if !settled {
                    worker.link.reclaim().into_iter().for_each(|parcel| giver.put_back(parcel));
                }
            }
        }
        // What came back is not to wait for something to happen.
        giver.give(&mut self.workers, self.serving.number);
    }

    /// How long nothing is due.
    fn pause(&self) -> Duration {
        let dues = |worker: &Worker| [worker.record.ready_at, worker.record.settled_by, worker.record.due];
        let due = self.workers.iter().flat_map(dues).flatten();
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
