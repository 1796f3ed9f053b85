//! State that a successor of the supervisor goes on with.

use super::Supervisor;
use crate::run::listener::Listener;
use crate::run::upgrade::candidate::own_path;
use crate::run::upgrade::handover::{Handover, HandoverState, Label};
use crate::run::worker::link::Link;
use crate::run::worker::orphan::Orphan;
use anyhow::{Context, Result};
use sharesock::Socket;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

impl Supervisor {
    /// Takes everything apart, so that nothing is forgotten.
    pub(in crate::run) fn handover(&self) -> Result<Handover> {
        let plan = self.plan();
        let Supervisor {
            name,
            context,
            machine,
            workers,
            orphans,
            clients: _,
            dispatcher,
            ignored,
            control,
            // Nothing is under way that these would have to do with.
            queue: _,
            plans: _,
            last_asker: _,
            upgrade: _,
            gone: _,
            look_for_strays: _,
            links_refused: _,
            lost: _,
            finished: _,
            // The successor makes its own.
            reporter: _,
            observer: _,
            watch: _,
            look_at_names: _,
            manager: _,
            watchdog: _,
            metrics: _,
            endpoint: _,
            request_task: _,
            requests_in: _,
            requests: _,
            events: _,
            signals: _,
            // It tells the manager again.
            stored: _,
        } = self;
        let mut sockets =
            vec![(Label::Control, same(control.as_fd())?), (Label::Guard, same(context.guard.line().as_fd())?)];
        for listener in &plan.listeners {
            sockets.push((Label::Listener(listener.spec.name.clone()), listener.socket().try_clone()?));
        }
        for (id, worker) in workers {
            sockets.push((Label::Notify(*id), same(worker.notify.as_fd())?));
            if let Link::Info { stream: Some(stream), .. } = &worker.link {
                sockets.push((Label::Input(*id), same(stream.as_fd())?));
            }
        }
        for waiting in dispatcher.iter().flat_map(|dispatcher| &dispatcher.waiting) {
            sockets.push((Label::Connection, waiting.parcel.socket().try_clone()?));
        }
        if let Some(client) = self.upgrade_client() {
            sockets.push((Label::Client, same(client.0.as_fd())?));
        }
        let names = |which: &dyn Fn(&Rc<Listener>) -> bool| {
            plan.listeners
                .iter()
                .filter(|listener| which(listener))
                .map(|listener| listener.spec.name.clone())
                .collect()
        };
        let state = HandoverState {
            name: name.clone(),
            program: Some((env!("CARGO_PKG_VERSION").to_owned(), own_path()?)),
            machine: machine.carry(),
            giving: plan.options.giving(),
            settings: plan.options.settings.as_ref().clone(),
            listen: plan.options.listen.clone(),
            births: plan.listeners.iter().map(|listener| listener.born()).collect(),
            said: plan.listeners.iter().map(|listener| listener.said()).collect(),
            passed: names(&|listener| listener.passed),
            ignored: names(&|listener| listener.inode().is_some_and(|inode| ignored.contains(&inode))),
            workers: workers
                .values()
                .map(|worker| (worker.record.clone(), worker.output.kept.borrow().clone()))
                .collect(),
            orphans: orphans.values().map(Orphan::record).collect(),
            guard: context.guard.pid.as_raw_pid(),
            given: dispatcher.as_ref().map_or(0, |dispatcher| dispatcher.total),
            sockets: Vec::new(),
        };
        Handover::new(state, sockets)
    }
}

fn same(descriptor: BorrowedFd<'_>) -> Result<Socket> {
    Ok(Socket::try_from(descriptor.try_clone_to_owned().context("duplicating a descriptor")?)?)
}
