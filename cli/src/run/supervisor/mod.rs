//! The supervisor: one loop, in which everything that happens is answered.

mod answers;
pub(super) mod counts;
pub(super) mod dispatch;
pub(super) mod due;
mod ending;
mod reload;

use super::clock::Moment;
use super::control::{self, Client, Request};
use super::listener::Listener;
use super::options::{Options, Ready};
use super::report::{Report, Reporter};
use super::signals::{SignalEvent, SignalStream};
use super::systemd::Manager;
use super::worker::context::WorkerContext;
use super::worker::event::Event;
use super::worker::generation::{Generation, Plan};
use super::worker::link::Link;
use super::worker::orphan::Orphan;
use super::worker::probe::tried_at;
use super::worker::{ALIVE_IS_READY, Worker};
use crate::status::{State, WorkerState};
use anyhow::{Context, Result};
use counts::Counts;
use dispatch::Dispatcher;
use rustix::process::Signal;
use std::process::ExitCode;
use std::rc::Rc;
use tokio::net::UnixListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A generation that is starting, and those who wait for it.
#[derive(Debug)]
pub(crate) struct PendingReload {
    pub(crate) generation: Generation,
    pub(crate) clients: Vec<Client>,
    /// Another was asked for meanwhile.
    pub(crate) again: bool,
}

/// The supervisor.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) name: String,
    pub(crate) context: WorkerContext,
    pub(crate) reporter: Reporter,
    pub(crate) state: State,
    pub(crate) counts: Counts,
    pub(crate) serving: Generation,
    pub(crate) pending_reload: Option<PendingReload>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) orphans: Vec<Orphan>,
    pub(crate) dispatcher: Option<Dispatcher>,
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
    pub(crate) request_task: JoinHandle<()>,
    pub(crate) requests_in: UnboundedSender<(Request, Client)>,
    pub(crate) requests: UnboundedReceiver<(Request, Client)>,
    pub(crate) events: UnboundedReceiver<Event>,
    pub(crate) signals: SignalStream,
    /// Signals that came while another program was tried, and are handled when that has failed.
    pub(crate) late_signals: Vec<SignalEvent>,
}

fn serve_requests(control: &Rc<UnixListener>, requests: &UnboundedSender<(Request, Client)>) -> JoinHandle<()> {
    tokio::task::spawn_local(control::serve(Rc::clone(control), requests.clone()))
}

impl Supervisor {
    pub(crate) fn new(
        name: String,
        (context, events): (WorkerContext, UnboundedReceiver<Event>),
        reporter: Reporter,
        counts: Counts,
        serving: Generation,
        (control, signals): (std::os::unix::net::UnixListener, SignalStream),
    ) -> Result<Self> {
        control.set_nonblocking(true).context("listening in the domain")?;
        let control = Rc::new(UnixListener::from_std(control).context("listening in the domain")?);
        let (requests_in, requests) = unbounded_channel();
        let request_task = serve_requests(&control, &requests_in);
        let manager = Manager::from_env()?;
        Ok(Supervisor {
            watchdog: manager.watchdog_period().map(|_| Moment::now()),
            manager,
            name,
            context,
            reporter,
            state: State::Starting,
            counts,
            serving,
            pending_reload: None,
            workers: Vec::new(),
            orphans: Vec::new(),
            dispatcher: None,
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
            request_task,
            requests_in,
            requests,
            events,
            signals,
            late_signals: Vec::new(),
        })
    }

    /// Receives requests again.
    pub(crate) fn serve_requests(&mut self) {
        self.request_task = serve_requests(&self.control, &self.requests_in);
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
                event = self.signals.next() => self.handle_signal(event).await,
                Some(event) = self.events.recv() => {
                    self.note(event);
                    // One at a time, a worker that says much would fill the memory.
                    self.note_all();
                }
                Some((request, client)) = self.requests.recv() => self.answer(request, client).await,
                () = sleep(pause) => {}
            }
        }
    }

    pub(crate) async fn handle_signal(&mut self, event: SignalEvent) {
        match event {
            SignalEvent::Child => self.reap().await,
            SignalEvent::End if self.state == State::Stopping => self.kill_all("a second signal came"),
            SignalEvent::End => self.stop(),
            SignalEvent::Reload => self.reload(None),
            SignalEvent::Forward(signal) => {
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
                if let Some(dispatcher) = &mut self.dispatcher {
                    dispatcher.waiting.push_back(waiting);
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
            Event::Notify(number, message) => {
                let Some(worker) = self.workers.iter_mut().find(|worker| worker.record.number == number) else {
                    return;
                };
                if message.status.is_some() {
                    worker.record.says = message.status;
                }
                let counts = match worker.plan.options.ready {
                    Ready::Notify => true,
                    Ready::Auto => tried_at(&worker.plan).is_none(),
                    _ => false,
                };
                if message.ready && counts {
                    self.ready(number);
                }
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
        let (pid, place, generation) = (worker.record.pid, worker.record.slot, worker.record.generation);
        self.reporter.say(&Report::WorkerReady { pid, place, generation });
        self.tell_progress();
        self.settle_generations();
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

    pub(crate) fn workers_of(&self, generation: u32) -> impl Iterator<Item = i32> {
        self.workers.iter().filter(move |worker| worker.record.generation == generation).map(|worker| worker.record.pid)
    }

    fn kill_all(&mut self, why: &str) {
        // No process is started any more for those that wait.
        self.dispatcher.iter_mut().for_each(|dispatcher| dispatcher.waiting.clear());
        for worker in &mut self.workers {
            self.reporter.say(&Report::Killed { pid: worker.record.pid, why });
            worker.kill();
        }
        self.orphans.iter().for_each(|orphan| orphan.signal(Signal::KILL));
    }

    pub(crate) fn plan(&self) -> &Rc<Plan> {
        &self.serving.plan
    }
}
