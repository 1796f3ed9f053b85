//! Taking over from another supervisor: as the candidate that is tried, or as the successor.

use super::candidate::own_path;
use super::handover::{Handover, HandoverState, Label};
use super::legacy::{Legacy, hold_pipes};
use crate::domain::open_domain;
use crate::run::background;
use crate::run::control::Client;
use crate::run::control::folder::Folder;
use crate::run::listener::Listener;
use crate::run::machine::{Machine, Reply};
use crate::run::options::{Options, Via};
use crate::run::report::{Report, Reporter, replaced};
use crate::run::signals::{SignalStream, with_signals_blocked};
use crate::run::supervisor::dispatch::Dispatcher;
use crate::run::supervisor::{Parts, Supervisor};
use crate::run::takeover::become_subreaper;
use crate::run::worker::Worker;
use crate::run::worker::context::WorkerContext;
use crate::run::worker::guard::Guard;
use crate::run::worker::link::Link;
use crate::run::worker::orphan::Orphan;
use crate::run::worker::plan::Plan;
use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::{Pid, Signal, kill_process};
use sharesock::{Endpoint, Process};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::unbounded_channel;

/// Poll interval of whether the successor lives.
const SUCCESSOR_POLL: Duration = Duration::from_millis(10);
/// Time that a candidate gives the successor to go on.
const SUCCESSION_TIMEOUT: Duration = Duration::from_secs(30);

/// Goes on with everything, in the place of the old supervisor.
pub(crate) fn succeed(
    options: Options,
    reporter: Reporter,
    signals: SignalStream,
    legacy: Legacy,
) -> Result<Supervisor> {
    let Legacy { handover, pipes: _held, mut candidate } = legacy;
    let domain = open_domain(options.domain.as_ref())?;
    let endpoint = with_signals_blocked(|| Endpoint::open(&domain))?;
    let supervisor = build(handover, options, (reporter, signals), endpoint, false)?;
    // It may have been killed, and was needed only if this had failed.
    let _ = candidate.write_all(b"!");
    Ok(supervisor)
}

/// Takes everything, and keeps it until the successor goes on with it; goes on as the supervisor if there is none.
pub(crate) async fn stand_by(
    options: Options,
    reporter: Reporter,
    signals: SignalStream,
    old: Process,
) -> Result<Option<Supervisor>> {
    let domain = open_domain(options.domain.as_ref())?;
    let endpoint = with_signals_blocked(|| Endpoint::open(&domain))?;
    let receiver = with_signals_blocked(|| endpoint.receiver())?;
    let (handover, answer) = Handover::receive(&receiver, old)?;
    drop(receiver);
    if let Err(error) = fits(&handover, &options, &domain) {
        answer.refused(&error);
        return Err(error);
    }
    let folder = Folder::take_over(&domain, &handover.state.name)?;
    let _held = hold_pipes(&folder, &handover.state);
    let mut stream = answer.taken()?;
    stream.set_read_timeout(Some(SUCCESSION_TIMEOUT))?;
    let has_successor = background::start(move || {
        // Its end: the old program is no more, in one way or the other.
        let _ = std::io::stdin().read(&mut [0]);
        stream.read(&mut [0]).is_ok_and(|length| length > 0)
    });
    if has_successor.context("waiting for the successor")?.await? {
        return Ok(None);
    }
    let (begun, gone) = (Instant::now(), || Process::from_pid(old.pid()) != Ok(old));
    // Two may not go on. (As the first process of its namespace it cannot be killed, and takes everything with it.)
    while !gone() && begun.elapsed() < SUCCESSION_TIMEOUT {
        if let Some(pid) = i32::try_from(old.pid()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        tokio::time::sleep(SUCCESSOR_POLL).await;
    }
    ensure!(gone(), "the successor neither takes over nor ends");
    build(handover, options, (reporter, signals), endpoint, true).map(Some)
}

/// Whether this program could go on with it.
fn fits(handover: &Handover, options: &Options, domain: &sharesock::Domain) -> Result<()> {
    ensure!(handover.state.name == options.name(), "the name has changed: stop the supervisor, and start it again");
    ensure!(
        handover.state.giving == options.giving(),
        "what workers get has changed: stop the supervisor, and start it again"
    );
    // Existing listeners are taken over as they are; workers that are started again must fit to them.
    ensure!(
        handover.state.listen == options.listen,
        "other listeners are asked for than there are: reload first, or take the change back"
    );
    Folder::take_over(domain, &handover.state.name)?;
    let count = |label: fn(&Label) -> bool| handover.sockets.iter().filter(|(there, _)| label(there)).count();
    ensure!(count(|label| *label == Label::Control) == 1, "the control socket is missing");
    ensure!(count(|label| *label == Label::Guard) == 1, "the line to the guard is missing");
    let notify = count(|label| matches!(label, Label::Notify(_)));
    ensure!(notify == handover.state.workers.len(), "sockets of workers are missing");
    Ok(())
}

/// A supervisor from what another has left; `adopts` says that its workers are no children of this process.
fn build(
    mut handover: Handover,
    mut options: Options,
    (reporter, signals): (Reporter, SignalStream),
    endpoint: Endpoint,
    adopts: bool,
) -> Result<Supervisor> {
    become_subreaper()?;
    let domain = open_domain(options.domain.as_ref())?;
    fits(&handover, &options, &domain)?;
    let folder = Folder::take_over(&domain, &handover.state.name)?;
    let missing = |what: &'static str| anyhow!("{what} is missing");
    let control =
        UnixListener::from(OwnedFd::from(handover.take(&Label::Control).ok_or_else(|| missing("the control socket"))?));
    let line = handover.take(&Label::Guard).ok_or_else(|| missing("the line to the guard"))?;
    let guard_pid = Pid::from_raw(handover.state.guard).ok_or_else(|| missing("the guard"))?;
    let guard = Guard::take_over(guard_pid, UnixStream::from(line));
    guard.supervisor()?;
    let (mut births, mut said) = (handover.state.births.clone().into_iter(), handover.state.said.clone().into_iter());
    let mut listeners = Vec::new();
    for spec in &handover.state.listen.clone() {
        // Several may have been passed under one name.
        while let Some(socket) = handover.take(&Label::Listener(spec.name.clone())) {
            let (passed, born) =
                (handover.state.passed.contains(&spec.name), (births.next(), said.next().unwrap_or_default()));
            listeners.push(Rc::new(Listener::inherit(spec, socket, passed, born)?));
        }
    }
    // They change at a reload alone.
    options.settings = Arc::new(handover.state.settings.clone());
    let plan = Rc::new(Plan { options, listeners });
    let (events, events_out) = unbounded_channel();
    let context = WorkerContext { domain, folder, guard, reporter: reporter.clone(), events };
    let HandoverState {
        name,
        program,
        machine,
        giving,
        settings: _,
        listen: _,
        births: _,
        said: _,
        passed: _,
        ignored,
        workers,
        orphans,
        guard: _,
        given,
        sockets: _,
    } = handover.state.clone();
    let mut supervisor = Supervisor::new(Parts {
        name,
        context,
        events: events_out,
        reporter,
        machine: Machine::resume(machine, plan.rules()),
        plan: Rc::clone(&plan),
        control,
        signals,
        endpoint: Some(endpoint.clone()),
        dispatcher: giving.map(|_| Dispatcher::new(endpoint, given)),
    })?;
    supervisor.upgrade.from = program;
    let is_ignored = |listener: &&Rc<Listener>| ignored.contains(&listener.spec.name);
    supervisor.ignored.extend(plan.listeners.iter().filter(is_ignored).filter_map(|listener| listener.inode()));
    for (mut record, kept) in workers {
        record.adopted |= adopts;
        let number = record.number;
        let notify = handover.take(&Label::Notify(number)).ok_or_else(|| missing("a worker's socket"))?;
        let link = match handover.take(&Label::Input(number)) {
            Some(input) => Link::info(UnixStream::from(input))?,
            // Only this kind is ever found; to look for another would never end.
            None if giving == Some(Via::HandOff) => Link::Awaited,
            None => Link::None,
        };
        let notify = UnixDatagram::from(OwnedFd::from(notify));
        let worker = Worker::take_over(&supervisor.context, &plan, (record, kept), link, notify)?;
        supervisor.workers.insert(number, worker);
    }
    for record in orphans {
        supervisor.orphans.insert(record.number, Orphan::take_over(&supervisor.context, record, adopts)?);
    }
    while let Some(connection) = handover.take(&Label::Connection) {
        if let Some(dispatcher) = &mut supervisor.dispatcher {
            dispatcher.put_back([connection.into()]);
        }
    }
    if let Some(client) = handover.take(&Label::Client) {
        let stream = UnixStream::from(client);
        stream.set_nonblocking(true)?;
        let client = supervisor.admit(Client(tokio::net::UnixStream::from_std(stream)?));
        supervisor.upgrade.asker = Some(client);
    }
    Ok(supervisor)
}

impl Supervisor {
    /// Says that it has taken over, and lets everything go on.
    pub(crate) fn go_on(&mut self, how: &str) {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let path = own_path().unwrap_or_default();
        let (from_version, from_path) = self.upgrade.from.take().unwrap_or_default();
        let what = replaced(&version, &path, &from_version, &from_path);
        let done = format!("{how}: {what}, process {}", std::process::id());
        self.reporter.say(&Report::Upgraded { version, path, from_version, from_path });
        self.accept();
        let metrics = self.options().metrics.as_deref().map(crate::run::control::metrics::bind).transpose();
        let served = metrics.and_then(|listener| listener.map(|listener| self.serve_metrics(listener)).transpose());
        if let Err(error) = served {
            self.reporter.trouble(&format!("{error:#}"));
        }
        self.tell_manager(|manager| manager.main_pid(std::process::id()));
        if let Some(asker) = self.upgrade.asker.take() {
            self.reply(asker, Reply::Done(done));
        }
        self.say_ready();
    }
}
