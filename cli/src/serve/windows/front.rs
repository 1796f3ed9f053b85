//! The front: listens, accepts, gives connections to workers, replaces workers.

use super::Options;
use super::control::{FromWorker, ToWorker};
use super::listen::{Bound, Listener};
use super::pool::{Event, Generation, Starter, Worker};
use super::report::{Report, Reporter};
use crate::domain::open_domain;
use crate::serve::envelope::Envelope;
use crate::system::{Asked, Signals};
use anyhow::{Context, Result};
use sharesock::{Endpoint, Parcel, Socket};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// Most accepted connections that wait here for a worker; more wait in the kernel's backlog.
const MOST_PENDING: usize = 1024;
/// Pause between two attempts to give away what waits.
const RETRY: Duration = Duration::from_millis(10);
/// Pause after an accept that failed, such as for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Workers hear of each other's counts so often at the most.
const NEWS: Duration = Duration::from_millis(100);
/// What workers get beyond their own time to drain, before they are killed.
const GRACE: Duration = Duration::from_secs(2);

struct Front {
    starter: Starter,
    reporter: Reporter,
    current: Generation,
    /// The generation that is to take over when it is ready.
    next: Option<Generation>,
    retired: Vec<Worker>,
    pending: VecDeque<Parcel>,
    bound: Vec<Bound>,
    /// Another reload was asked for during one.
    again: bool,
    /// Set once the first generation was ready.
    announced: bool,
    /// When draining must be over.
    deadline: Option<Instant>,
    /// When the workers are told what each of them has, if that has changed.
    news: Option<Instant>,
}

pub(super) async fn run(options: &Options) -> Result<()> {
    let reporter = Reporter { json: options.json };
    let domain = open_domain(options.domain.as_ref())?;
    let endpoint = Endpoint::open(&domain)?;
    let mut listeners = Vec::new();
    for address in &options.listen {
        listeners.push(Rc::new(Listener::bind(address)?));
    }
    let bound: Vec<_> = listeners.iter().map(|listener| listener.bound.clone()).collect();
    bound.iter().for_each(|bound| reporter.say(&Report::Listening { bound }));
    let mut signals = Signals::watch()?;
    let (events_in, mut events) = mpsc::unbounded_channel();
    let mut starter = Starter { options: options.clone(), domain, endpoint, events: events_in, last: 0 };
    let current = Generation::start(0, &mut starter)?;
    let (accepted_in, mut accepted) = mpsc::channel(64);
    let mut accepting: Vec<_> =
        listeners.iter().map(|listener| accept(listener.clone(), accepted_in.clone(), reporter)).collect();
    drop(accepted_in);
    let (retired, pending) = (Vec::new(), VecDeque::new());
    let mut front = Front {
        starter,
        reporter,
        current,
        next: None,
        retired,
        pending,
        bound,
        again: false,
        announced: false,
        deadline: None,
        news: None,
    };
    loop {
        let retry = if front.pending.is_empty() { None } else { Some(Instant::now() + RETRY) };
        tokio::select! {
            Some(event) = events.recv() => front.handle(event).await?,
            Some(parcel) = accepted.recv(), if front.pending.len() < MOST_PENDING => front.give(parcel),
            asked = signals.next() => match asked {
                Asked::Reload => front.reload(),
                Asked::End => front.end(&mut listeners, &mut accepting, &mut accepted).await,
            },
            () = at(retry) => front.retry(),
            () = at(front.news) => front.tell_counts(),
            () = at(front.deadline) => break,
        }
        if front.deadline.is_some() && front.is_empty() {
            break;
        }
    }
    front.reporter.say(&Report::Ended);
    Ok(())
}

/// Accepts connections until it is aborted.
fn accept(listener: Rc<Listener>, into: mpsc::Sender<Parcel>, reporter: Reporter) -> JoinHandle<()> {
    tokio::task::spawn_local(async move {
        let mut told = false;
        loop {
            match listener.accept().await {
                Ok(socket) => {
                    told = false;
                    let _ = into.send(wrap(socket)).await;
                }
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        reporter.say(&Report::Trouble { why: format!("accepting failed ({error}); trying again") });
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

fn wrap(socket: Socket) -> Parcel {
    let envelope = Envelope::bare(std::process::id()).sent_now();
    Parcel::new(socket).with_bytes(envelope.to_bytes().to_vec())
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

impl Front {
    /// Gives one connection away, or keeps it until there is room.
    fn give(&mut self, parcel: Parcel) {
        if !self.pending.is_empty() {
            return self.pending.push_back(parcel);
        }
        if let Err(parcel) = self.current.give(parcel, &self.starter) {
            self.pending.push_back(*parcel);
        }
    }

    fn retry(&mut self) {
        while let Some(parcel) = self.pending.pop_front() {
            if let Err(parcel) = self.current.give(parcel, &self.starter) {
                return self.pending.push_front(*parcel);
            }
        }
    }

    async fn handle(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Said(number, said) => self.hear(number, said).await?,
            Event::Ended(number, why) => self.bury(number, why),
            Event::Restart(generation, place) if generation == self.current.number && self.deadline.is_none() => {
                match self.starter.start(generation) {
                    Ok(worker) => self.current.fill(place, worker),
                    Err(error) => {
                        self.reporter.say(&Report::Trouble { why: format!("{error:#}") });
                        self.restart(generation, place, ACCEPT_PAUSE * 20);
                    }
                }
            }
            Event::Restart(..) => {}
        }
        Ok(())
    }

    async fn hear(&mut self, number: u64, said: FromWorker) -> Result<()> {
        let endpoint = self.starter.endpoint.clone();
        let everyone = self.current.workers().chain(self.next.iter_mut().flat_map(Generation::workers));
        let Some(worker) = everyone.chain(&mut self.retired).find(|worker| worker.number == number) else {
            return Ok(());
        };
        match said {
            FromWorker::Ready => {
                if let Err(error) = worker.greet(&endpoint) {
                    let why = format!("worker {} cannot be reached ({error}); it is replaced", worker.pid);
                    worker.kill();
                    self.reporter.say(&Report::Trouble { why });
                }
                self.take_over();
                self.announce()?;
                self.retry();
            }
            FromWorker::Load { open, received } => {
                worker.note_load(open, received);
                self.news.get_or_insert(Instant::now() + NEWS);
            }
            FromWorker::Redeemed { id } => drop(worker.settle(id)),
            FromWorker::Failed { id, why } => {
                let back = worker.settle(id);
                let why = format!("worker {} could not redeem a connection ({why})", worker.pid);
                self.reporter.say(&Report::Trouble { why });
                back.into_iter().for_each(|parcel| self.give(parcel));
            }
        }
        Ok(())
    }

    fn tell_counts(&mut self) {
        self.news = None;
        let workers: Vec<_> = self.current.workers().map(|worker| worker.count()).collect();
        self.current.workers().for_each(|worker| worker.tell(&ToWorker::Counts { workers: workers.clone() }));
    }

    /// Says once that everything is ready.
    fn announce(&mut self) -> Result<()> {
        if self.announced || !self.current.is_ready() {
            return Ok(());
        }
        self.announced = true;
        let workers = self.current.pids();
        if let Some(path) = &self.starter.options.ready_file {
            let text = serde_json::json!({ "pid": std::process::id(), "listeners": self.bound, "workers": workers });
            let new = path.with_extension("new");
            std::fs::write(&new, format!("{text}\n"))
                .and_then(|()| std::fs::rename(&new, path))
                .with_context(|| format!("writing {}", path.display()))?;
        }
        let (pid, generation) = (std::process::id(), self.current.number);
        self.reporter.say(&Report::Ready { pid, generation, workers });
        Ok(())
    }

    /// A worker has ended: what it did not take goes to others.
    fn bury(&mut self, number: u64, why: String) {
        if let Some(index) = self.retired.iter().position(|worker| worker.number == number) {
            let reclaimed = self.retired.swap_remove(index).reclaim();
            return reclaimed.into_iter().for_each(|parcel| self.give(parcel));
        }
        if self.next.as_mut().is_some_and(|next| next.find(number).is_some()) {
            // Dropped workers are killed; their ends are heard of and mean nothing any more.
            self.next = None;
            return self.reporter.say(&Report::ReloadFailed { why: &why });
        }
        let Some((place, worker, pause)) = self.current.bury(number) else { return };
        let draining = self.deadline.is_some();
        let another_in_ms = (!draining).then(|| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        if !draining {
            self.reporter.say(&Report::WorkerEnded { pid: worker.pid, why, another_in_ms });
            self.restart(self.current.number, place, pause);
        }
        worker.reclaim().into_iter().for_each(|parcel| self.give(parcel));
        self.retry();
    }

    fn restart(&self, generation: u32, place: usize, pause: Duration) {
        let events = self.starter.events.clone();
        tokio::task::spawn_local(async move {
            sleep(pause).await;
            let _ = events.send(Event::Restart(generation, place));
        });
    }

    /// Starts the next generation.
    fn reload(&mut self) {
        if self.deadline.is_some() {
            return;
        }
        if self.next.is_some() {
            // What changed meanwhile may be too late for those that start now.
            self.again = true;
            return;
        }
        self.reporter.say(&Report::Reloading);
        match Generation::start(self.current.number + 1, &mut self.starter) {
            Ok(next) => self.next = Some(next),
            Err(error) => self.reporter.say(&Report::ReloadFailed { why: &format!("{error:#}") }),
        }
    }

    /// Lets the next generation take over when it is ready.
    fn take_over(&mut self) {
        let Some(mut next) = self.next.take_if(|next| next.is_ready()) else { return };
        let workers = next.pids();
        let former = std::mem::replace(&mut self.current, next);
        self.retired.extend(former.into_workers());
        // Those that retired earlier hand over to the new ones, too: their former successors retire now.
        self.retired.iter().for_each(|worker| worker.tell(&ToWorker::Retire { successors: workers.clone() }));
        self.reporter.say(&Report::Reloaded { generation: self.current.number, workers });
        if std::mem::take(&mut self.again) {
            self.reload();
        }
    }

    /// Stops accepting and lets the workers finish; at the second time, ends.
    async fn end(
        &mut self,
        listeners: &mut Vec<Rc<Listener>>,
        accepting: &mut Vec<JoinHandle<()>>,
        accepted: &mut mpsc::Receiver<Parcel>,
    ) {
        if self.deadline.is_some() {
            self.deadline = Some(Instant::now());
            return;
        }
        self.reporter.say(&Report::Draining);
        for task in accepting.drain(..) {
            task.abort();
            let _ = task.await;
        }
        while let Ok(parcel) = accepted.try_recv() {
            self.give(parcel);
        }
        // What waits in the backlog was promised a connection.
        for listener in listeners.drain(..) {
            while let Ok(Ok(socket)) = tokio::time::timeout(Duration::ZERO, listener.accept()).await {
                self.give(wrap(socket));
            }
        }
        self.next = None;
        self.retry();
        let limit = Duration::from_secs(self.starter.options.drain_timeout);
        self.deadline = Some(Instant::now() + limit + GRACE);
        self.current.workers().chain(&mut self.retired).for_each(|worker| worker.tell(&ToWorker::Drain));
    }

    fn is_empty(&mut self) -> bool {
        self.retired.is_empty() && self.current.workers().next().is_none()
    }
}
