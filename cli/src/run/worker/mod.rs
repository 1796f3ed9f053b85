//! One worker: a process, what it says, and what it prints.

pub(super) mod context;
pub(super) mod event;
pub(super) mod guard;
pub(super) mod launch;
pub(super) mod lines;
pub(super) mod link;
pub(super) mod notify;
pub(super) mod orphan;
pub(super) mod output;
pub(super) mod plan;
pub(super) mod record;

use super::machine::WorkerId;
use super::options::{Pass, Via};
use crate::system::polled;
use anyhow::{Context, Result};
use context::{WorkerContext, echo};
use event::WorkerEvent;
use launch::Launch;
use lines::Kept;
use link::Link;
use notify::NotifyMessage;
use output::Output;
use plan::Plan;
use record::Record;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};
use sharesock::{Process, Socket};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram as StdDatagram;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::UnixDatagram;
use tokio::task::JoinHandle;

/// Time in which a worker should take what it was given before it is asked to end.
pub(crate) const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) record: Record,
    pub(crate) plan: Rc<Plan>,
    pub(crate) output: Output,
    pub(crate) link: Link,
    pub(crate) notify: Rc<UnixDatagram>,
    /// It drains, and may not have taken what it was given.
    pub(crate) is_settling: bool,
    /// It was stopped, and is given nothing until it goes on.
    pub(crate) is_stopped: bool,
    tasks: Vec<JoinHandle<()>>,
}

impl Worker {
    /// Starts one; `connection` is what it serves, if it serves a single one.
    pub(crate) fn start(
        context: &WorkerContext,
        plan: &Rc<Plan>,
        which: (u64, u32, u32),
        connection: Option<&Socket>,
    ) -> Result<Self> {
        // One that fails to start leaves no names.
        Worker::try_start(context, plan, which, connection).inspect_err(|_| context.folder.forget(which.0))
    }

    fn try_start(
        context: &WorkerContext,
        plan: &Rc<Plan>,
        (number, generation, slot): (u64, u32, u32),
        connection: Option<&Socket>,
    ) -> Result<Self> {
        let options = &plan.options;
        let notify = bind_notify(context, number)?;
        let paths = [false, true].map(|error| context.folder.output(number, error));
        let identity = options.settings.rights.identity.as_ref();
        let owner = identity.map(|identity| (identity.user, identity.group));
        let (mut output, [out, err]) = Output::open(paths, owner)?;
        let mut link = Link::None;
        let (stdin, stdout) = match (connection, options.giving()) {
            (Some(connection), _) => (end_of(connection)?, end_of(connection)?),
            (None, Some(Via::Info)) => {
                let (ours, theirs) = UnixStream::pair().context("a stream for protocol infos")?;
                link = Link::info(ours)?;
                (Stdio::from(OwnedFd::from(theirs)), Stdio::from(out))
            }
            (None, _) => (Stdio::null(), Stdio::from(out)),
        };
        if options.giving() == Some(Via::HandOff) {
            link = Link::Awaited;
        }
        let passed = options.pass == Pass::Listener;
        let launch = Launch {
            command: &options.command,
            listeners: plan
                .listeners
                .iter()
                .filter(|_| passed)
                .map(|listener| (listener.spec.name.as_str(), listener.socket()))
                .collect(),
            environment: vec![
                ("NOTIFY_SOCKET", context.folder.notify(number).into()),
                ("SHARESOCK_DOMAIN", context.domain.path().into()),
                ("SHARESOCK_SUPERVISOR", Process::current()?.to_string().into()),
                ("SHARESOCK_WORKER", slot.to_string().into()),
                ("SHARESOCK_GENERATION", generation.to_string().into()),
            ],
            settings: &options.settings,
            stdin,
            stdout,
            stderr: Stdio::from(err),
            death_signal: options.stop_signal,
        };
        let (pid, mut go) = launch.start()?;
        context.guard.group(pid, true);
        // If it has ended meanwhile, that is seen soon enough.
        let _ = go.write_all(b"!");
        let record = Record {
            number,
            pid: pid.as_raw_pid(),
            slot,
            says: None,
            handed_off: 0,
            open: None,
            received: None,
            adopted: false,
        };
        output.resume(&echo(context, plan, &record))?;
        Ok(Worker::with(context, plan, record, output, link, notify))
    }

    /// One that a predecessor started.
    pub(crate) fn take_over(
        context: &WorkerContext,
        plan: &Rc<Plan>,
        (record, kept): (Record, Kept),
        link: Link,
        notify: StdDatagram,
    ) -> Result<Self> {
        let paths = [false, true].map(|error| context.folder.output(record.number, error));
        let output = Output::take_over(paths, kept, &echo(context, plan, &record))?;
        notify.set_nonblocking(true)?;
        let notify = Rc::new(UnixDatagram::from_std(notify)?);
        Ok(Worker::with(context, plan, record, output, link, notify))
    }

    fn with(
        context: &WorkerContext,
        plan: &Rc<Plan>,
        record: Record,
        output: Output,
        link: Link,
        notify: Rc<UnixDatagram>,
    ) -> Self {
        let (plan, [is_settling, is_stopped], tasks) = (Rc::clone(plan), [false; 2], Vec::new());
        let mut worker = Worker { record, plan, output, link, notify, is_settling, is_stopped, tasks };
        worker.attend(context);
        worker
    }

    /// Hears what it says, and tries whether it is ready.
    pub(crate) fn attend(&mut self, context: &WorkerContext) {
        let (number, events, socket) = (self.record.number, context.events.clone(), Rc::clone(&self.notify));
        self.tasks.push(tokio::task::spawn_local(async move {
            let mut message = vec![0; 4096];
            while let Ok(length) = socket.recv(&mut message).await {
                let _ =
                    events.send(WorkerEvent::Notify(number, notify::read(message.get(..length).unwrap_or_default())));
            }
        }));
        if self.record.adopted {
            self.watch(context);
        }
    }

    /// Notices its end, though it is no child of this process.
    fn watch(&mut self, context: &WorkerContext) {
        let Some(pid) = self.pid() else { return };
        let (number, events) = (self.record.number, context.events.clone());
        self.tasks.push(tokio::task::spawn_local(async move {
            if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::NONBLOCK) {
                readable(pidfd).await;
            }
            let _ = events.send(WorkerEvent::Gone(number));
        }));
    }

    /// Hears it at the path that it knows again, after that was removed.
    pub(crate) fn restore_notify(&mut self, context: &WorkerContext) -> Result<()> {
        if !context.folder.notify(self.record.number).exists() {
            self.notify = bind_notify(context, self.record.number)?;
            self.ignore();
            self.attend(context);
        }
        Ok(())
    }

    /// Hears nothing any more, until it is attended again.
    pub(crate) fn ignore(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
    }

    pub(crate) fn pause_output(&mut self) {
        self.output.pause();
    }

    pub(crate) fn resume_output(&mut self, context: &WorkerContext) -> Result<()> {
        self.output.resume(&echo(context, &self.plan, &self.record))
    }

    pub(crate) fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.record.pid)
    }

    /// Whether it serves one connection and ends.
    pub(crate) fn is_single(&self) -> bool {
        self.plan.options.giving() == Some(Via::Stdio)
    }

    /// Takes note of its own counts.
    pub(crate) fn note_counts(&mut self, message: &NotifyMessage) {
        self.record.open = message.open.or(self.record.open);
        self.record.received = message.received.or(self.record.received);
        if let Some(count) = self.record.unreceived() {
            self.link.received_all_but(count);
        }
    }

    /// Everything that it was given was taken, or will not be.
    pub(crate) fn ask_to_end(&mut self) {
        // A worker that the end of its input asks to end must first read its input.
        if !self.link.end_input() && !self.is_single() {
            self.signal(self.plan.options.stop_signal);
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, signal);
        }
    }

    /// Ends it and all that it started.
    pub(crate) fn kill(&self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.ignore();
    }
}

/// Waits until a descriptor can be read from, or has ended.
pub(super) async fn readable(descriptor: OwnedFd) {
    if let Ok(descriptor) = polled(descriptor) {
        let _ = descriptor.readable().await;
    }
}

fn bind_notify(context: &WorkerContext, number: WorkerId) -> Result<Rc<UnixDatagram>> {
    let notify = StdDatagram::bind(context.folder.notify(number)).context("a socket for what a worker says")?;
    notify.set_nonblocking(true)?;
    Ok(Rc::new(UnixDatagram::from_std(notify)?))
}

fn end_of(connection: &Socket) -> Result<Stdio> {
    Ok(Stdio::from(connection.as_fd().try_clone_to_owned().context("passing a connection")?))
}
