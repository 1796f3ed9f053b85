//! Beginning of a supervisor: anew, or in the place of another.

use super::clock::Moment;
use super::control::folder::Folder;
use super::control::metrics;
use super::listener::Listener;
use super::machine::Machine;
use super::options::Options;
use super::report::printer::Printer;
use super::report::{Past, Reporter};
use super::signals;
use super::signals::SignalStream;
use super::supervisor::dispatch::Dispatcher;
use super::supervisor::{Parts, Supervisor};
use super::takeover::become_subreaper;
use super::upgrade::legacy::Legacy;
use super::upgrade::succession::{stand_by, succeed};
use super::worker::context::WorkerContext;
use super::worker::guard::Guard;
use super::worker::plan::Plan;
use crate::domain::open_domain;
use crate::system::inherited::take_announced;
use anyhow::Result;
use sharesock::{Endpoint, Process, Socket};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;
use tokio::sync::mpsc::unbounded_channel;

/// Way in which a supervisor begins.
pub(crate) enum Start {
    Anew,
    Candidate(Process),
    Successor(Box<Legacy>),
}

/// Begins anew, or where another has stopped.
pub(crate) async fn begin(options: Options, start: Start) -> Result<ExitCode> {
    // Until a signal is watched for, it ends this process. Held meanwhile: one that came after its handler was installed
    // and before that is told of us would be lost.
    signals::block();
    let stream = SignalStream::open()?;
    // A successor was started with them held.
    signals::unblock();
    let reporter = Reporter {
        format: options.format(),
        printer: signals::with_signals_blocked(Printer::start),
        past: Past::default(),
    };
    match start {
        Start::Anew => begin_anew(options, reporter, stream)?.go().await,
        Start::Successor(legacy) => {
            let mut supervisor = succeed(options, reporter, stream, *legacy)?;
            supervisor.go_on("upgraded");
            supervisor.go().await
        }
        Start::Candidate(old) => match stand_by(options, reporter, stream, old).await? {
            Some(mut supervisor) => {
                supervisor.go_on("this process has taken over");
                supervisor.go().await
            }
            None => Ok(ExitCode::SUCCESS),
        },
    }
}

fn begin_anew(options: Options, reporter: Reporter, stream: SignalStream) -> Result<Supervisor> {
    let name = options.name();
    let domain = open_domain(options.domain.as_ref())?;
    let path = Folder::path_of(&domain, &name);
    // Before there is any other process: none may hold what it was not meant to.
    let passed = passed(take_announced()?, &options, &reporter)?;
    // Before there is anything to clean up. (Where another supervisor of this name answers, it removes nothing.)
    let guard = Guard::start(options.stop_signal, options.stop_timeout, &path)?;
    let (folder, control) = Folder::claim(&domain, &name, None)?;
    let begun = || {
        become_subreaper()?;
        guard.paths(&options.listen);
        let resolved = options.resolve();
        let plan = Rc::new(Plan::make(options, &resolved, &passed)?);
        let metrics = plan.options.metrics.as_deref().map(metrics::bind).transpose()?;
        let dispatcher = match plan.options.giving() {
            Some(_) => Some(Dispatcher::new(signals::with_signals_blocked(|| Endpoint::open(&domain))?, 0)),
            None => None,
        };
        let (events, events_out) = unbounded_channel();
        let context = WorkerContext { domain, folder, guard, reporter: reporter.clone(), events };
        let endpoint = dispatcher.as_ref().map(|dispatcher| dispatcher.endpoint.clone());
        let machine = Machine::new(plan.rules(), Moment::now());
        let events = events_out;
        let mut supervisor = Supervisor::new(Parts {
            name,
            context,
            events,
            reporter,
            machine,
            plan,
            control,
            signals: stream,
            endpoint,
            dispatcher,
        })?;
        metrics.map(|listener| supervisor.serve_metrics(listener)).transpose()?;
        supervisor.start();
        Ok(supervisor)
    };
    begun().inspect_err(|_| _ = Folder::remove(&path))
}

/// Listeners that whoever started this has passed, under the names that are asked for.
fn passed(announced: Vec<(String, OwnedFd)>, options: &Options, reporter: &Reporter) -> Result<Vec<Rc<Listener>>> {
    let mut listeners = Vec::new();
    for (name, descriptor) in announced {
        match options.listen.iter().find(|spec| spec.name == name) {
            Some(spec) => listeners.push(Rc::new(Listener::adopt(spec, Socket::try_from(descriptor)?)?)),
            None => {
                // Nobody may hold it: nobody would accept from it.
                drop(descriptor);
                let why =
                    format!("a descriptor named {name} was passed, and is not used: give --listen {name}=inherited");
                reporter.trouble(&why);
            }
        }
    }
    Ok(listeners)
}
