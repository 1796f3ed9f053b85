//! The supervisor's names in its domain, made again when somebody has removed them.

use super::{Supervisor, serve_requests};
use crate::run::control::folder::Folder;
use crate::run::machine::{Event, WorkerId};
use crate::run::options::Via;
use crate::run::signals::with_signals_blocked;
use anyhow::{Context, Result, ensure};
use sharesock::{Domain, Endpoint};
use std::rc::Rc;
use tokio::net::UnixListener;

impl Supervisor {
    /// Makes the folder and what is in it again: the user's log-out, or a cleaner of files, removes it.
    pub(super) fn restore_folder(&mut self) {
        let notify = |worker: &WorkerId| self.context.folder.notify(*worker).exists();
        if self.context.folder.is_there() && self.workers.keys().all(notify) {
            return;
        }
        let path = self.context.folder.path().display().to_string();
        let said = match self.try_restore() {
            Ok(()) => format!("{path} was removed, and is made again: see the domain in `sharesock doctor`"),
            Err(error) => format!("{path} was removed, and cannot be made again: {error:#}"),
        };
        // Once for each reason: it is tried again and again.
        if self.context.folder.is_there() || self.lost.as_ref() != Some(&said) {
            self.reporter.trouble(&said);
        }
        self.lost = Some(said);
    }

    fn try_restore(&mut self) -> Result<()> {
        let domain = Domain::at(self.context.domain.path())?;
        let (folder, control) = Folder::claim(&domain, &self.name, Some(&self.context.folder))?;
        control.set_nonblocking(true).context("listening in the domain")?;
        let control = Rc::new(UnixListener::from_std(control).context("listening in the domain")?);
        if domain.digest() != self.context.domain.digest() {
            // Other processes look for this one in the new directory.
            self.endpoint = None;
            if let Some(dispatcher) = &mut self.dispatcher {
                dispatcher.endpoint = with_signals_blocked(|| Endpoint::open(&domain))?;
                self.endpoint = Some(dispatcher.endpoint.clone());
            }
            self.context.domain = domain;
            if self.options().giving() == Some(Via::Info) {
                // New infos name the new domain, in which the old workers do not look.
                self.queue.push_back(Event::Reload { asker: None });
            }
        }
        self.stop_requests();
        self.request_task = serve_requests(&control, &self.requests_in);
        (self.control, self.context.folder) = (control, folder);
        self.watch();
        self.workers.values_mut().try_for_each(|worker| worker.restore_notify(&self.context))
    }

    /// Refuses what needs the names of the pipes that workers print to, where these were removed.
    pub(in crate::run) fn has_pipes(&self) -> Result<()> {
        let orphans = self.orphans.values().map(|orphan| (&orphan.output, orphan.group.as_raw_pid()));
        let workers = self.workers.values().map(|worker| (&worker.output, worker.record.pid));
        let lost: Vec<_> =
            workers.chain(orphans).filter(|(output, _)| !output.has_names()).map(|(_, pid)| pid.to_string()).collect();
        ensure!(
            lost.is_empty(),
            "the names of the pipes that processes {} print to were removed: reload first, and ask again when they have ended",
            lost.join(" and ")
        );
        Ok(())
    }
}
