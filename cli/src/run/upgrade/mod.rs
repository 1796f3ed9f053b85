//! How a supervisor replaces itself by another program without losing anything.
//!
//! The new program runs twice. As a *candidate*, a child, it takes the whole state and says whether it could go on with it;
//! nothing has changed until then, and if it could not, or is no such program at all, the old supervisor goes on. Then the
//! old supervisor becomes the new program in place: its id, its children, its place at the service manager stay. As the
//! *successor* it takes the state from the candidate, which ends. Should the successor die before, the candidate is a
//! supervisor that has everything, and goes on.

mod candidate;
mod handover;
pub(super) mod succession;

use super::control::{Answer, Client, Request};
use super::report::Report;
use super::signals;
use super::signals::SignalEvent;
use super::supervisor::Supervisor;
use super::supervisor::dispatch::Dispatcher;
use super::supervisor::due::LOOK;
use super::worker::SETTLING;
use super::worker::link::Link;
use super::worker::orphan::Orphan;
use crate::status::State;
use anyhow::{Context, Result, anyhow, bail, ensure};
use candidate::{Candidate, command, own_path};
use handover::{Handover, HandoverState, Label, reach};
use sharesock::{Endpoint, Socket};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest time from a signal to its event.
const SIGNAL_DELAY: Duration = Duration::from_millis(2);

impl Supervisor {
    /// Becomes another program; returns only if that failed.
    pub(crate) async fn upgrade(&mut self, to: Option<PathBuf>, client: Client) {
        if self.state != State::Running {
            let why = "a reload is under way, or the supervisor is not running: ask again when that is over";
            return client.end(Answer::Failed(why.to_owned()));
        }
        self.state = State::Upgrading;
        self.reporter.say(&Report::Upgrading);
        self.upgrading = Some(client);
        let Err(error) = self.try_upgrade(to).await;
        if self.state == State::Upgrading {
            self.state = State::Running;
        }
        let why = format!("{error:#}");
        self.counts.last_failure = Some(format!("upgrade: {why}"));
        self.reporter.say(&Report::UpgradeFailed { why: &why });
        self.tell_manager(|manager| manager.status(&format!("the last upgrade failed: {why}")));
        if let Some(client) = self.upgrading.take() {
            client.end(Answer::Failed(why));
        }
        self.reap().await;
        for event in std::mem::take(&mut self.late_signals) {
            self.handle_signal(event).await;
        }
    }

    /// Goes on with what cannot wait, until the new program receives, or has failed.
    async fn await_candidate(&mut self, endpoint: &Endpoint, candidate: &mut Candidate) -> Result<sharesock::Sender> {
        let process = candidate.process()?;
        let mut gone = || candidate.ended();
        let mut reached = std::pin::pin!(reach(endpoint, process, &mut gone));
        loop {
            tokio::select! {
                sender = &mut reached => return sender,
                Some(event) = self.events.recv() => {
                    self.note(event);
                    self.note_all();
                }
                Some((request, client)) = self.requests.recv() => self.answer_meanwhile(request, client),
                () = tokio::time::sleep(LOOK) => {}
            }
            self.look().await;
            self.handle_signals().await?;
        }
    }

    fn answer_meanwhile(&mut self, request: Request, client: Client) {
        match request {
            Request::Status { lines } => self.tell_status(lines, client),
            Request::Stop {} => {
                self.waiting.push(client);
                self.stop();
            }
            Request::Reload {} | Request::Upgrade { .. } => {
                client.end(Answer::Failed("an upgrade is under way: ask again when that is over".to_owned()));
            }
        }
    }

    /// Signals would be lost with this program: those to end and to reload are answered by it, instead of the upgrade.
    async fn handle_signals(&mut self) -> Result<()> {
        while let Some(event) = self.signals.now().await {
            match event {
                // Children are waited for afterwards; the candidate is one, too.
                SignalEvent::Child => {}
                SignalEvent::Forward(_) => self.handle_signal(event).await,
                SignalEvent::End | SignalEvent::Reload => self.late_signals.push(event),
            }
        }
        let goes_on = self.late_signals.is_empty() && self.state == State::Upgrading;
        ensure!(goes_on, "the supervisor was asked to end, or to reload, meanwhile");
        Ok(())
    }

    async fn try_upgrade(&mut self, to: Option<PathBuf>) -> Result<std::convert::Infallible> {
        let program = to.map_or_else(own_path, Ok)?;
        let endpoint = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => signals::with_signals_blocked(|| Endpoint::open(&self.context.domain))?,
        };
        self.endpoint = Some(endpoint.clone());
        let mut candidate = Candidate::start(&program, &self.context.domain)?;
        let sender = self.await_candidate(&endpoint, &mut candidate).await;
        let sender = sender.with_context(|| format!("{} cannot take over", program.display()))?;
        let done = match self.freeze().await {
            Ok(()) => self.become_it(&program, &sender, &mut candidate).await,
            Err(error) => Err(error),
        };
        self.thaw();
        done
    }

    async fn become_it(
        &mut self,
        program: &Path,
        sender: &sharesock::Sender,
        candidate: &mut Candidate,
    ) -> Result<std::convert::Infallible> {
        let handover = self.handover()?;
        let given = tokio::time::timeout(handover::PATIENCE, handover.give(sender)).await;
        let given =
            given.unwrap_or_else(|_| bail!("it did not take everything within {} s", handover::PATIENCE.as_secs()));
        let _stream = given.map_err(|error| candidate.ended().map_or(error, |why| anyhow!(why)))?;
        self.reporter.printer.flush();
        self.handle_signals().await?;
        let mut successor = command(program, &format!("successor {}", candidate.process()?));
        // What comes from here on is for the successor to receive; what came before is not, and this is told of it when it
        // waits next.
        signals::block();
        tokio::time::sleep(SIGNAL_DELAY).await;
        let error = match self.handle_signals().await {
            Ok(()) => anyhow!(successor.exec()).context(format!("becoming {}", program.display())),
            Err(error) => error,
        };
        signals::unblock();
        Err(error)
    }

    /// From here on nothing changes that the state tells of.
    async fn freeze(&mut self) -> Result<()> {
        self.request_task.abort();
        for worker in &mut self.workers {
            worker.ignore();
            worker.pause_output();
        }
        self.orphans.iter_mut().for_each(|orphan| orphan.output.pause());
        if let Some(dispatcher) = &mut self.dispatcher {
            dispatcher.pause();
        }
        self.note_all();
        let Some(dispatcher) = &mut self.dispatcher else { return Ok(()) };
        let deadline = Instant::now() + SETTLING;
        dispatcher.dispatch(&mut self.workers, self.serving.number);
        // What a worker has not redeemed may be held here, and would end with this program.
        let held = |dispatcher: &Dispatcher| dispatcher.endpoint.flush(Duration::ZERO).is_err();
        while (dispatcher.settle(&mut self.workers) || held(dispatcher)) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for worker in self.workers.iter_mut().filter(|worker| worker.link.outstanding() > 0) {
            worker.link.reclaim().into_iter().for_each(|parcel| dispatcher.put_back(parcel));
        }
        let unread =
            self.workers.iter().any(|worker| matches!(worker.link, Link::Info { .. } if worker.link.outstanding() > 0));
        ensure!(
            !unread && !held(dispatcher),
            "workers have not read what they were given, and it would be lost: ask again when they have"
        );
        Ok(())
    }

    /// Goes on after a failure.
    fn thaw(&mut self) {
        for worker in &mut self.workers {
            worker.attend(&self.context);
            if let Err(error) = worker.resume_output(&self.context) {
                let why = format!("what worker {} prints is lost: {error:#}", worker.record.pid);
                self.reporter.trouble(&why);
            }
        }
        for orphan in &mut self.orphans {
            let prefix = orphan.prefix.clone();
            if let Err(error) = orphan.output.resume(&prefix) {
                let why = format!("what a worker left prints is lost: {error:#}");
                self.reporter.trouble(&why);
            }
        }
        self.serve_requests();
        self.accept();
    }

    fn handover(&self) -> Result<Handover> {
        let mut state =
            HandoverState::new(&self.name, &self.counts, self.serving.number, self.context.guard.pid.as_raw_pid());
        state.slots.clone_from(&self.serving.slots);
        state.giving = self.options().giving();
        let listeners = &self.plan().listeners;
        state.listen = listeners.iter().map(|listener| listener.spec.clone()).collect();
        let passed = listeners.iter().filter(|listener| listener.passed);
        state.passed = passed.map(|listener| listener.spec.name.clone()).collect();
        let same = |fd: std::os::fd::BorrowedFd<'_>| -> Result<Socket> {
            Ok(Socket::try_from(fd.try_clone_to_owned().context("duplicating a descriptor")?)?)
        };
        let mut sockets = vec![
            (Label::Control, same(self.control.as_fd())?),
            (Label::Guard, same(self.context.guard.line().as_fd())?),
        ];
        for listener in &self.plan().listeners {
            sockets.push((Label::Listener(listener.spec.name.clone()), listener.socket.try_clone()?));
        }
        for worker in &self.workers {
            sockets.push((Label::Notify(worker.record.number), same(worker.notify.as_fd())?));
            if let Link::Info { stream: Some(stream), .. } = &worker.link {
                sockets.push((Label::Input(worker.record.number), same(stream.as_fd())?));
            }
            state.workers.push((worker.record.clone(), worker.output.kept.borrow().clone()));
        }
        state.orphans = self.orphans.iter().map(Orphan::record).collect();
        if let Some(dispatcher) = &self.dispatcher {
            state.given = dispatcher.total;
            for waiting in &dispatcher.waiting {
                sockets.push((Label::Connection, waiting.parcel.socket().try_clone()?));
            }
        }
        if let Some(client) = &self.upgrading {
            sockets.push((Label::Client, same(client.0.as_fd())?));
        }
        Handover::new(state, sockets)
    }
}
