//! Replacing the supervisor by another program without losing anything.
//!
//! The new program runs twice. As a *candidate*, a child, it takes the whole state and says whether it could go on with it;
//! nothing has changed until then, and if it could not, or is no such program at all, the old supervisor goes on. Then the
//! old supervisor becomes the new program in place: its id, its children, its descriptors, its place at the service manager
//! stay. As the *successor* it needs nothing of the candidate, and tells it to end. Should the successor die before, the
//! candidate is a supervisor that has everything, and goes on.

pub(super) mod candidate;
pub(super) mod handover;
pub(super) mod legacy;
pub(super) mod succession;

use super::background;
use super::signals;
use super::signals::SignalEvent;
use super::supervisor::dispatch::Dispatcher;
use super::supervisor::{POLL, Supervisor};
use super::worker::SETTLE_TIMEOUT;
use super::worker::link::Link;
use crate::system::explained;
use anyhow::{Context, Result, anyhow, bail, ensure};
use candidate::{Candidate, Program};
use command_fds::CommandFdExt;
use handover::{HANDOVER_TIMEOUT, reach};
use legacy::{Legacy, hold_pipes};
use sharesock::Endpoint;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

/// Longest time from a signal to its event.
const SIGNAL_DELAY: Duration = Duration::from_millis(2);

impl Supervisor {
    /// Becomes another program; returns only if that failed, and why.
    pub(super) async fn try_upgrade(&mut self) -> String {
        let Err(error) = self.try_program().await;
        self.upgrade.candidate = None;
        // Children that ended meanwhile were not waited for.
        self.reap();
        explained(&error)
    }

    /// Goes on with what cannot wait, until the new program receives, or has failed.
    async fn await_candidate(&mut self, endpoint: &Endpoint, candidate: &mut Candidate) -> Result<sharesock::Sender> {
        let process = candidate.process()?;
        let mut gone = || candidate.ended();
        let mut reached = std::pin::pin!(reach(endpoint, process, &mut gone));
        loop {
            tokio::select! {
                sender = &mut reached => return sender,
                () = self.note_next() => {}
                () = tokio::time::sleep(POLL) => {}
            }
            self.look();
            // Until it is frozen, what happens to workers is answered.
            self.reap_workers();
            self.goes_on().await?;
        }
    }

    /// Signals would be lost with this program: those to end and to reload are answered by it, instead of the upgrade.
    async fn goes_on(&mut self) -> Result<()> {
        while let Some(event) = self.signals.now().await {
            // Children are waited for afterwards; the candidate is one, too.
            if event != SignalEvent::Child {
                self.handle_signal(event);
            }
        }
        ensure!(self.machine.is_upgrading(), "the supervisor was asked to end, or to reload, meanwhile");
        Ok(())
    }

    async fn try_program(&mut self) -> Result<std::convert::Infallible> {
        let program = self.upgrade.to.take().map(Program::at).map_or_else(Program::again, Ok)?;
        let endpoint = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => signals::with_signals_blocked(|| Endpoint::open(&self.context.domain))?,
        };
        self.endpoint = Some(endpoint.clone());
        let mut candidate = Candidate::start(&program, &self.context.domain)?;
        self.upgrade.candidate = Some(candidate.pid);
        let sender = self.await_candidate(&endpoint, &mut candidate).await;
        let sender = sender.with_context(|| format!("{} cannot take over", program.path.display()))?;
        self.has_pipes()?;
        let done = match self.freeze().await {
            Ok(()) => self.become_it(&program, &sender, &mut candidate).await,
            Err(error) => Err(error),
        };
        self.thaw();
        done
    }

    async fn become_it(
        &mut self,
        program: &Program,
        sender: &sharesock::Sender,
        candidate: &mut Candidate,
    ) -> Result<std::convert::Infallible> {
        let handover = self.handover()?;
        let given = tokio::time::timeout(HANDOVER_TIMEOUT, handover.give(sender));
        // The stream does not end with a candidate that had not received its end yet: that is here as well.
        let ended = async {
            while candidate.ended().is_none() {
                tokio::time::sleep(POLL).await;
            }
        };
        let given = tokio::select! {
            biased;
            given = given => given.unwrap_or_else(|_| {
                bail!("it did not take everything within {} s", HANDOVER_TIMEOUT.as_secs())
            }),
            () = ended => Err(anyhow!("it ended before it had taken everything")),
        };
        let stream = given.map_err(|error| candidate.ended().map_or(error, |why| anyhow!(why)))?;
        stream.set_nonblocking(false)?;
        self.reporter.printer.flush();
        self.goes_on().await?;
        let pipes = hold_pipes(&self.context.folder, &handover.state);
        let (kept, number) = Legacy { handover, pipes, candidate: stream }.leave()?;
        let mut successor = program.command(&format!("successor {number}"));
        successor.preserved_fds(kept);
        // Signals from here on are for the successor to receive; earlier ones are not, and this is told of them when it
        // waits next.
        signals::block();
        tokio::time::sleep(SIGNAL_DELAY).await;
        let error = match self.goes_on().await {
            // A process that another thread starts meanwhile would inherit all of it.
            Ok(()) => {
                anyhow!(background::alone(|| successor.exec())).context(format!("becoming {}", program.path.display()))
            }
            Err(error) => error,
        };
        signals::unblock();
        Err(error)
    }

    /// Keeps everything as it is that the state tells of.
    async fn freeze(&mut self) -> Result<()> {
        self.stop_requests();
        // All askers are answered here: a successor does not know of them.
        self.answer_what_came();
        self.settle_links().await;
        for worker in self.workers.values_mut() {
            worker.ignore();
            worker.pause_output();
        }
        self.orphans.values_mut().for_each(|orphan| orphan.output.pause());
        self.note_what_came();
        let Some(dispatcher) = &mut self.dispatcher else { return Ok(()) };
        for (id, worker) in self.workers.iter_mut().filter(|(_, worker)| worker.link.outstanding() > 0) {
            dispatcher.take_back(*id, worker, false);
        }
        dispatcher.reclaim(&mut self.workers);
        ensure!(
            dispatcher.has_all(),
            "workers have not taken what they were given, and there is no room for it here: ask again when they have"
        );
        let unread = self
            .workers
            .values()
            .any(|worker| matches!(worker.link, Link::Info { .. } if worker.link.outstanding() > 0));
        ensure!(
            !unread && !held(dispatcher),
            "workers have not read what they were given, and it would be lost: ask again when they have"
        );
        Ok(())
    }

    /// Accepts nothing more, and waits until workers, which are still heard, have taken what they are given.
    async fn settle_links(&mut self) {
        self.dispatcher.iter_mut().for_each(Dispatcher::pause);
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        loop {
            self.note_what_came();
            let Some(dispatcher) = &mut self.dispatcher else { return };
            dispatcher.dispatch(&mut self.workers, &self.machine);
            if !(dispatcher.settle(&mut self.workers) || held(dispatcher)) || Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Goes on after a failure.
    fn thaw(&mut self) {
        for worker in self.workers.values_mut() {
            worker.attend(&self.context);
            if let Err(error) = worker.resume_output(&self.context) {
                let why = format!("what worker {} prints is lost: {error:#}", worker.record.pid);
                self.reporter.trouble(&why);
            }
        }
        for orphan in self.orphans.values_mut() {
            if let Err(error) = orphan.output.resume(&orphan.echo) {
                let why = format!("what a worker left prints is lost: {error:#}");
                self.reporter.trouble(&why);
            }
        }
        self.serve_requests();
        self.accept();
    }
}

/// Whether what a worker has not redeemed is held here, and would end with this program.
fn held(dispatcher: &Dispatcher) -> bool {
    dispatcher.endpoint.flush(Duration::ZERO).is_err()
}
