//! The supervisor: tells its state machine of everything that happens, and does what that answers.

mod answers;
mod carry;
pub(super) mod dispatch;
mod happenings;
mod listening;
mod perform;
mod policy;
mod reclaim;
mod restore;
mod room;
mod strays;
mod watch;

use super::clock::Moment;
use super::control::{self, Client, Request};
use super::listener::Listener;
use super::machine::{self, AskerId, Event, Machine, ReadyRule, WorkerId};
use super::options::{Options, Ready, Via};
use super::readiness::{At, Command, Observer, Pace, Served, Serves, Target, running_checks};
use super::report::{Report, Reporter};
use super::signals::SignalStream;
use super::systemd::Manager;
use super::worker::Worker;
use super::worker::context::WorkerContext;
use super::worker::event::WorkerEvent;
use super::worker::link::Link;
use super::worker::orphan::Orphan;
use super::worker::plan::Plan;
use crate::system::explained;
use anyhow::{Context, Result};
use dispatch::{Dispatcher, SHORTEST_POLL};
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use watch::{Changes, Watch};

/// Poll interval, when something is to be looked for that nothing tells.
pub(super) const POLL: Duration = Duration::from_millis(20);
/// Poll interval of names that could not be made again, and of all names and listeners where the kernel tells of no changes.
const NAMES_POLL: Duration = Duration::from_secs(2);

/// The supervisor.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) name: String,
    pub(super) context: WorkerContext,
    pub(super) reporter: Reporter,
    pub(super) machine: Machine,
    /// Events that the machine is still to be told of.
    queue: VecDeque<Event>,
    /// Plans of the generation that serves, and of the one that is to.
    plans: BTreeMap<u32, Rc<Plan>>,
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    pub(super) orphans: BTreeMap<WorkerId, Orphan>,
    /// Clients that wait for an answer.
    clients: BTreeMap<AskerId, Client>,
    last_asker: AskerId,
    observer: Observer,
    /// Listeners, by inode, that workers do not serve, and need not.
    pub(super) ignored: HashSet<u64>,
    pub(super) dispatcher: Option<Dispatcher>,
    /// The service manager that started this, when it must hear that this lives, and the listeners that it keeps.
    manager: Manager,
    watchdog: Option<Moment>,
    stored: Vec<Rc<Listener>>,
    metrics: Option<JoinHandle<()>>,
    /// Open once it was needed.
    pub(super) endpoint: Option<sharesock::Endpoint>,
    pub(super) upgrade: Upgrade,
    pub(super) control: Rc<UnixListener>,
    request_task: JoinHandle<()>,
    requests_in: UnboundedSender<(Request, Client)>,
    requests: UnboundedReceiver<(Request, Client)>,
    events: UnboundedReceiver<WorkerEvent>,
    pub(super) signals: SignalStream,
    /// Workers that have ended, and are no children of this process.
    gone: Vec<WorkerId>,
    /// Descriptor by which the kernel tells of changes.
    watch: Option<Watch>,
    /// When the names in the domain are looked at next.
    look_at_names: Option<Moment>,
    /// When it is looked for what workers left that have ended.
    look_for_strays: Option<Moment>,
    /// Receivers of workers that are there, but could not be reached: for lack of descriptors, or of room.
    links_refused: bool,
    /// Message about the folder, when it was removed last.
    lost: Option<String>,
    finished: Option<Option<String>>,
}

/// An upgrade, from the request for it until it is tried.
#[derive(Debug, Default)]
pub(super) struct Upgrade {
    /// The program that was asked for.
    pub(super) to: Option<PathBuf>,
    pub(super) asker: Option<AskerId>,
    /// Version and file of the program that this one has replaced.
    pub(super) from: Option<(String, PathBuf)>,
    is_due: bool,
    /// The program that is being tried.
    pub(super) candidate: Option<Pid>,
}

/// Parts of a supervisor.
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) context: WorkerContext,
    pub(super) events: UnboundedReceiver<WorkerEvent>,
    pub(super) reporter: Reporter,
    pub(super) machine: Machine,
    pub(super) plan: Rc<Plan>,
    pub(super) control: std::os::unix::net::UnixListener,
    pub(super) signals: SignalStream,
    pub(super) endpoint: Option<sharesock::Endpoint>,
    pub(super) dispatcher: Option<Dispatcher>,
}

fn serve_requests(control: &Rc<UnixListener>, requests: &UnboundedSender<(Request, Client)>) -> JoinHandle<()> {
    tokio::task::spawn_local(control::serve(Rc::clone(control), requests.clone()))
}

impl Supervisor {
    pub(super) fn new(parts: Parts) -> Result<Self> {
        let Parts { name, context, events, reporter, machine, plan, control, signals, endpoint, dispatcher } = parts;
        control.set_nonblocking(true).context("listening in the domain")?;
        let control = Rc::new(UnixListener::from_std(control).context("listening in the domain")?);
        let (requests_in, requests) = unbounded_channel();
        let manager = Manager::from_env()?;
        context.guard.watch(&context.events)?;
        Ok(Supervisor {
            name,
            observer: Observer::start(&context.events),
            context,
            reporter,
            plans: BTreeMap::from([(machine.serving().number, plan)]),
            machine,
            queue: VecDeque::from([Event::Tick]),
            workers: BTreeMap::new(),
            orphans: BTreeMap::new(),
            clients: BTreeMap::new(),
            last_asker: 0,
            ignored: HashSet::new(),
            dispatcher,
            watchdog: manager.watchdog_period().map(|_| Moment::now()),
            manager,
            stored: Vec::new(),
            metrics: None,
            endpoint,
            upgrade: Upgrade::default(),
            request_task: serve_requests(&control, &requests_in),
            control,
            requests_in,
            requests,
            events,
            signals,
            gone: Vec::new(),
            watch: None,
            look_at_names: None,
            look_for_strays: None,
            links_refused: false,
            lost: None,
            finished: None,
        })
    }

    /// Begins to listen, and starts the first workers.
    pub(super) fn start(&mut self) {
        self.plan().listeners.iter().for_each(|listener| self.say_listening(listener));
        if self.plan().listeners.is_empty() {
            self.reporter.trouble("there is no --listen: workers run without a listener");
        }
        self.accept();
    }

    /// Goes on until everything has ended.
    pub(super) async fn go(mut self) -> Result<ExitCode> {
        self.watch();
        self.reap();
        loop {
            self.look();
            if let Some(failure) = self.finished.take() {
                return Ok(self.finish(failure).await);
            }
            if std::mem::take(&mut self.upgrade.is_due) {
                let why = self.try_upgrade().await;
                self.handle(Event::UpgradeFailed { why });
                continue;
            }
            self.next().await;
        }
    }

    /// Takes note of the next thing that happens. Connections are given away meanwhile: to look at everything for each would
    /// take longer than that.
    async fn next(&mut self) {
        let mut due = self.pause().map(|pause| Instant::now() + pause);
        loop {
            tokio::select! {
                () = accept(self.dispatcher.as_mut()) => {
                    let now = Instant::now();
                    let is_given = self.dispatcher.as_mut().is_some_and(|dispatcher| {
                        dispatcher.give_accepted(&mut self.workers, &self.machine)
                    });
                    if is_given && due.is_none_or(|due| due > now) {
                        // It is on its way.
                        due = due.into_iter().chain([now + SHORTEST_POLL]).min();
                        continue;
                    }
                }
                event = self.signals.next() => self.handle_signal(event),
                Some(event) = self.events.recv() => self.note_all(event),
                Some((request, client)) = self.requests.recv() => self.answer(request, client),
                changes = changed(self.watch.as_ref()) => self.note_changes(changes),
                () = pass(due) => {}
            }
            return;
        }
    }

    /// Tells the machine, and does what it answers, until there is nothing more to tell.
    pub(super) fn handle(&mut self, event: Event) {
        self.queue.push_back(event);
        while let Some(event) = self.queue.pop_front() {
            for action in self.machine.handle(event, Moment::now()) {
                self.perform(action);
            }
        }
    }

    /// Does what is due.
    pub(super) fn look(&mut self) {
        if self.watchdog.is_some_and(|due| due <= Moment::now()) {
            self.tell_manager(Manager::watchdog);
            self.watchdog = self.manager.watchdog_period().map(|period| Moment::now().after(period));
        }
        if self.look_at_names.is_some_and(|due| due <= Moment::now()) {
            self.restore_folder();
            let is_told = self.watch.is_some() && self.context.folder.is_there();
            self.look_at_names = (!is_told).then(|| Moment::now().after(NAMES_POLL));
        }
        if self.watch.is_none() && self.may_be_closing_listeners() {
            self.mend_listeners(false);
        }
        self.link();
        self.dispatch();
        self.look_at_foreign();
        self.look_at_orphans();
        self.handle(Event::Tick);
        self.observe();
    }

    /// Time in which nothing is due, if anything is.
    fn pause(&self) -> Option<Duration> {
        let due = self.machine.due().into_iter().chain(self.watchdog).chain(self.look_at_names);
        let due = due.chain(self.look_for_strays).min();
        let closing = (self.watch.is_none() && self.may_be_closing_listeners()).then_some(NAMES_POLL);
        // Nothing tells of the end of a group whose processes are not adopted here.
        let foreign = self.orphans.values().any(|orphan| orphan.is_foreign);
        let awaited = |(id, worker): (&WorkerId, &Worker)| matches!(worker.link, Link::Awaited) && self.is_wanted(*id);
        let refused = (self.links_refused || self.watch.is_none()) && self.workers.iter().any(awaited);
        let looking = (foreign || refused).then_some(POLL);
        let dispatching = self.dispatcher.as_ref().and_then(|dispatcher| dispatcher.next_look(&self.workers));
        due.map(Moment::remaining).into_iter().chain(closing).chain(looking).chain(dispatching).min()
    }

    pub(super) fn is_wanted(&self, id: WorkerId) -> bool {
        self.machine.workers().get(&id).is_some_and(super::machine::Worker::is_wanted)
    }

    /// Receives requests again.
    pub(super) fn serve_requests(&mut self) {
        self.request_task = serve_requests(&self.control, &self.requests_in);
    }

    pub(super) fn stop_requests(&mut self) {
        self.request_task.abort();
    }

    pub(super) fn options(&self) -> &Options {
        &self.plan().options
    }

    /// The plan that is served now.
    pub(super) fn plan(&self) -> &Rc<Plan> {
        let serving = self.machine.serving().number;
        self.plans.get(&serving).or_else(|| self.plans.values().next()).expect("the plan that is served is kept")
    }

    /// The client that asked for the upgrade.
    pub(super) fn upgrade_client(&self) -> Option<&Client> {
        self.clients.get(&self.upgrade.asker?)
    }

    /// Accepts for the workers, if that is asked for.
    pub(super) fn accept(&mut self) {
        if self.machine.is_stopping() {
            return;
        }
        let plan = Rc::clone(self.plan());
        let Some(dispatcher) = &mut self.dispatcher else { return };
        if let Err(error) = dispatcher.accept_from(&plan) {
            self.reporter.trouble(&explained(&error));
        }
    }

    /// Has those looked at that start, and are ready when they serve.
    fn observe(&mut self) {
        let is_ready = |id: &WorkerId| self.machine.workers().get(id).is_some_and(machine::Worker::is_ready);
        self.ignored.extend(self.observer.take_unserved(is_ready));
        let (mut starting, mut serving) = (Vec::new(), Vec::new());
        for (id, known) in self.machine.workers() {
            let (Some(plan), Some(pid)) = (self.plans.get(&known.generation), known.pid) else { continue };
            let rules = self.machine.rules_of(known.generation);
            let (check, targets) = match &plan.options.live {
                _ if known.is_starting() => (&plan.options.ready, &mut starting),
                Some(live) if known.is_ready() => (live, &mut serving),
                _ => continue,
            };
            if known.is_starting() && rules.is_none_or(|rules| rules.ready != ReadyRule::Serves) {
                continue;
            }
            let listeners = || plan.observed().filter_map(|listener| self.wanted(listener)).collect();
            let serves = match check {
                Ready::Connect(address) => Serves::Address(address.clone()),
                Ready::Http(check) => Serves::Http(listeners(), check.clone()),
                Ready::Exec(command) => Serves::Exec(listeners(), Command::new(command, &plan.options.settings)),
                _ => Serves::Listeners(listeners()),
            };
            let generation = known.generation;
            let is_rival = |other: &&machine::Worker| other.generation != generation || !other.is_starting();
            let rivals = self.machine.workers().values().filter(is_rival).count();
            let rivals = rivals + self.orphans.values().filter(|orphan| orphan.lives()).count();
            let rivals = u32::try_from(rivals).unwrap_or(u32::MAX >> 8);
            let ignored = || plan.observed().filter_map(|listener| listener.inode());
            let ignored = ignored().filter(|inode| self.ignored.contains(inode)).collect();
            targets.push(Target { worker: *id, pid, generation, serves, ignored, rivals });
        }
        let options = self.options();
        let pace = Pace { interval: options.live_interval, failures: options.live_failures };
        self.observer.set(starting);
        self.observer.keep(serving, options.live.as_ref().map(|_| pace));
    }

    /// A listener as it is looked at. One that was there before, and that nobody served, need not be served now.
    fn wanted(&self, listener: &Rc<Listener>) -> Option<Served> {
        let inode = listener.inode().filter(|inode| !self.ignored.contains(inode))?;
        let unix = || listener.address.strip_prefix("unix:").filter(|_| listener.accepts());
        let at = listener.reached_at().map(At::Ip).or_else(|| Some(At::Unix(unix()?.into())));
        Some(Served { inode, at })
    }

    /// Gives connections away, and tells of workers that have taken what they got.
    fn dispatch(&mut self) {
        if self.options().giving() == Some(Via::Stdio) {
            let connections = self.dispatcher.as_ref().map_or(0, |dispatcher| dispatcher.waiting.len());
            self.handle(Event::Waiting { connections });
        }
        let Some(dispatcher) = &mut self.dispatcher else { return };
        // In this order: what is written makes room.
        dispatcher.settle(&mut self.workers);
        for what in dispatcher.look_for_stopped(&mut self.workers, &self.machine) {
            self.reporter.trouble(&what);
        }
        dispatcher.dispatch(&mut self.workers, &self.machine);
        let settled: Vec<_> = self.workers.keys().copied().filter(|id| self.has_settled(*id)).collect();
        settled.into_iter().for_each(|worker| self.handle(Event::Settled { worker }));
    }

    /// Whether a worker that drains has taken everything that it was given, and is to be given nothing more.
    fn has_settled(&self, id: WorkerId) -> bool {
        let waiting = self.dispatcher.as_ref().is_some_and(|dispatcher| !dispatcher.is_idle());
        let may_be_given = self.machine.takes_connections(id) && waiting;
        let settled = |worker: &Worker| worker.is_settling && worker.link.outstanding() == 0;
        !may_be_given && self.workers.get(&id).is_some_and(settled)
    }

    /// Leaves nothing behind.
    async fn finish(mut self, failure: Option<String>) -> ExitCode {
        self.request_task.abort();
        // It has the control socket until it is gone.
        let _ = (&mut self.request_task).await;
        running_checks().into_iter().for_each(|group| _ = kill_process_group(group, Signal::KILL));
        self.context.guard.dismiss();
        // A listener that the service manager keeps can be reached as long as its path is there.
        let left = |listener: &&Rc<Listener>| !self.stored.iter().any(|kept| Rc::ptr_eq(kept, listener));
        let listeners = self.plan().listeners.iter().filter(left);
        let paths: Vec<_> = listeners.filter_map(|listener| listener.own_path().map(Path::to_owned)).collect();
        let folder = self.context.folder.path().to_owned();
        drop((self.control, self.plans, self.dispatcher, self.stored));
        paths.iter().for_each(|path| super::worker::guard::remove_path(path));
        if let Err(error) = super::control::folder::Folder::remove(&folder) {
            self.reporter.trouble(&explained(&error));
        }
        self.reporter.say(&Report::Ended);
        self.reporter.printer.flush();
        if failure.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// Waits for the next change that is told of.
async fn changed(watch: Option<&Watch>) -> Changes {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// Accepts connections, if that is done here.
async fn accept(dispatcher: Option<&mut Dispatcher>) {
    match dispatcher {
        Some(dispatcher) => dispatcher.accept().await,
        None => std::future::pending().await,
    }
}

/// Waits until this time, or for ever.
async fn pass(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
