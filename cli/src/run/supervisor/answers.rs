//! Messages to others: the status, metrics, the service manager, the ready file.

use super::Supervisor;
use super::dispatch::Dispatcher;
use crate::procfs::connections::Connections;
use crate::procfs::processes::Processes;
use crate::run::background;
use crate::run::control::{Answer, Client};
use crate::run::listener::Listener;
use crate::run::machine::{WorkerId, WorkerPhase};
use crate::run::report::Report;
use crate::run::systemd::Manager;
use crate::run::worker::Worker;
use crate::status::{ListenerStatus, Status, WorkerState, WorkerStatus};
use crate::views::units::of;
use anyhow::{Result, anyhow};
use rustix::process::Pid;
use serde_json::json;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::Path;
use std::rc::Rc;

impl Supervisor {
    /// Answers when the system has told the rest, which takes a while on a busy machine, and holds up nothing else.
    pub(in crate::run) fn tell_status(&self, lines: usize, client: Client) {
        let mut status = self.status(lines);
        let inodes: Vec<_> = self.plan().listeners.iter().map(|listener| listener.inode()).collect();
        status.events = self.reporter.past.events();
        let known = status.clone();
        let look = background::start(move || {
            complete(&mut status, &inodes);
            status
        });
        tokio::task::spawn_local(async move {
            // Without a thread for the rest, the known part must do.
            let status = match look {
                Ok(look) => look.await.unwrap_or(known),
                Err(_) => known,
            };
            client.end(Answer::Status(Box::new(status)));
        });
    }

    /// The part that is known here.
    pub(super) fn status(&self, lines: usize) -> Status {
        let listeners = &self.plan().listeners;
        let (counts, serving) = (self.machine.counts(), self.machine.serving());
        let worker = |(id, worker): (&WorkerId, &Worker)| {
            let record = &worker.record;
            let known = self.machine.workers().get(id)?;
            let slot = usize::try_from(known.slot).ok().and_then(|slot| serving.slots.get(slot));
            let slot = slot.filter(|_| known.generation == serving.number);
            Some(WorkerStatus {
                pid: record.pid.unsigned_abs(),
                place: known.slot,
                generation: known.generation,
                state: match known.phase {
                    WorkerPhase::Starting(_) => WorkerState::Starting,
                    WorkerPhase::Ready => WorkerState::Ready,
                    WorkerPhase::Draining(_) | WorkerPhase::Killed(_) => WorkerState::Draining,
                },
                uptime_s: known.since.elapsed().as_secs_f64(),
                restarts: slot.map_or(0, |slot| slot.restarts),
                connections: None,
                memory_bytes: None,
                cpu_s: None,
                handed_off: record.handed_off,
                open: record.load(),
                says: record.says.clone(),
                output: worker.output.kept.borrow().last(lines),
            })
        };
        let listener = |listener: &Rc<Listener>| ListenerStatus {
            name: listener.spec.name.clone(),
            address: listener.address.clone(),
            queued: None,
            backlog: listener.accepts().then(|| listener.backlog()),
        };
        Status {
            name: self.name.clone(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: counts.started.elapsed().as_secs_f64(),
            state: self.machine.state(),
            generation: serving.number,
            reloads: counts.reloads,
            upgrades: counts.upgrades,
            restarts: counts.restarts,
            wanted: serving.slots.len(),
            ready: self.machine.ready(serving.number),
            last_failure: counts.last_failure.as_ref().map(|failure| failure.why.clone()),
            last_failure_age_s: counts.last_failure.as_ref().map(|failure| failure.at.elapsed().as_secs_f64()),
            failed_reloads: counts.failed_reloads,
            failed_upgrades: counts.failed_upgrades,
            connections_cut: counts.cut,
            last_reload_at_s: counts.last_reload.map(|(at, _)| at.since_1970().as_secs_f64()),
            last_reload_took_s: counts.last_reload.map(|(_, took)| took.as_secs_f64()),
            listeners: listeners.iter().map(listener).collect(),
            workers: self.workers.iter().filter_map(worker).collect(),
            hand_offs: self.dispatcher.as_ref().map(Dispatcher::figures),
            events: Vec::new(),
        }
    }

    /// Tells whoever waits for it that the workers are ready.
    pub(in crate::run) fn say_ready(&mut self) {
        let generation = self.machine.serving().number;
        let status = format!("generation {generation}, {}", of(self.machine.pids(generation).len() as u64, "worker"));
        self.tell_manager(|manager| manager.ready(&status));
        self.store_listeners();
        if let Err(error) = self.write_ready_file() {
            self.reporter.trouble(&format!("{error:#}"));
        }
    }

    /// Writes the file that says where this listens, at once and whole.
    pub(in crate::run) fn write_ready_file(&self) -> Result<()> {
        let Some(path) = &self.options().ready_file else { return Ok(()) };
        let listener = |listener: &Rc<Listener>| json!({"name": listener.spec.name, "address": listener.address});
        let pids = self.machine.pids(self.machine.serving().number);
        let listeners: Vec<_> = self.plan().listeners.iter().map(listener).collect();
        let text =
            json!({"pid": std::process::id(), "name": self.name, "listeners": listeners, "workers": pids}).to_string();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Its errors would name the file that this is written to first.
        let write = || -> std::io::Result<()> {
            let file = tempfile::NamedTempFile::new_in(folder)?;
            std::fs::write(file.path(), text)?;
            file.persist(path)?;
            Ok(())
        };
        write().map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow!("cannot write --ready-file {}: its folder does not exist", path.display()),
            kind => anyhow!("cannot write --ready-file {}: {kind}", path.display()),
        })
    }

    /// Tells the service manager. A failure is reported, and is no reason to end.
    pub(in crate::run) fn tell_manager(&self, tell: impl FnOnce(&Manager) -> Result<()>) {
        if !self.manager.is_there() {
            return;
        }
        if let Err(error) = tell(&self.manager) {
            self.reporter.trouble(&format!("{error:#}"));
        }
    }

    /// Lets the service manager keep the listeners, for the case that this process is started anew.
    pub(in crate::run) fn store_listeners(&mut self) {
        let room = usize::try_from(self.manager.room()).unwrap_or(usize::MAX);
        let wanted: Vec<_> = self.plan().listeners.iter().take(room).map(Rc::clone).collect();
        let among =
            |listeners: &[Rc<Listener>], one: &Rc<Listener>| listeners.iter().any(|listener| Rc::ptr_eq(listener, one));
        // First what goes: another may have its name now.
        for gone in self.stored.iter().filter(|stored| !among(&wanted, stored)) {
            self.tell_manager(|manager| manager.forget(&gone.spec.name));
        }
        for new in wanted.iter().filter(|wanted| !among(&self.stored, wanted)) {
            self.tell_manager(|manager| manager.store(&new.spec.name, new.socket().as_fd()));
        }
        self.stored = wanted;
    }

    /// Answers for metrics there.
    pub(in crate::run) fn serve_metrics(&mut self, listener: std::net::TcpListener) -> Result<()> {
        let (bound, task) = crate::run::control::metrics::serve(listener, self.requests_in.clone())?;
        self.reporter.say(&Report::Metrics { address: format!("http://{bound}/metrics") });
        self.metrics = Some(task);
        Ok(())
    }
}

/// Adds what the system tells.
fn complete(status: &mut Status, listeners: &[Option<u64>]) {
    let addresses: Vec<_> = status.listeners.iter().map(|listener| listener.address.clone()).collect();
    let (processes, connections) = (Processes::look(), Connections::look(&addresses));
    for (listener, inode) in status.listeners.iter_mut().zip(listeners) {
        listener.queued = inode.and_then(|inode| connections.queued(inode));
        // The values in force: any holder of the listener may have changed them.
        listener.backlog =
            listener.backlog.map(|asked| inode.and_then(|inode| connections.backlog(inode)).unwrap_or(asked));
    }
    for worker in &mut status.workers {
        let Some(pid) = i32::try_from(worker.pid).ok().and_then(Pid::from_raw) else { continue };
        let usage = processes.usage(pid, connections.inodes());
        worker.connections = Some(usage.connections);
        worker.memory_bytes = Some(usage.memory_bytes);
        worker.cpu_s = Some(usage.cpu_s);
    }
}
