//! The worker processes of the front: starting them, choosing one, giving it a connection.

use super::control::{FromWorker, ToWorker, to_line};
use super::{Options, Policy, Via};
use crate::backoff::Backoff;
use crate::serve::envelope::{self, Envelope};
use crate::serve::page::Count;
use anyhow::{Context, Result};
use sharesock::{Domain, Endpoint, Parcel, Sender};
use std::collections::HashMap;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};

/// What happened to a worker.
#[derive(Debug)]
pub(crate) enum Event {
    Said(u64, FromWorker),
    Ended(u64, String),
    /// It is time to start a worker again in this place of this generation.
    Restart(u32, usize),
}

/// One worker process.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Names it among all workers that were ever started.
    pub(crate) number: u64,
    pub(crate) pid: u32,
    generation: u32,
    pub(crate) started: Instant,
    lines: mpsc::UnboundedSender<String>,
    /// Ends it at once when it is dropped.
    kill: Option<oneshot::Sender<()>>,
    /// There once it is ready.
    sender: Option<Sender>,
    given: u64,
    open: u64,
    received: u64,
    /// Connections that were duplicated for it and not redeemed yet.
    unredeemed: HashMap<u64, Parcel>,
}

/// Starts workers.
#[derive(Debug)]
pub(crate) struct Starter {
    pub(crate) options: Options,
    pub(crate) domain: Domain,
    pub(crate) endpoint: Endpoint,
    pub(crate) events: mpsc::UnboundedSender<Event>,
    pub(crate) last: u64,
}

impl Starter {
    /// Starts a worker of a generation.
    pub(crate) fn start(&mut self, generation: u32) -> Result<Worker> {
        let options = &self.options;
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.args(options.site.worker()?).args(["--drain-timeout", &options.drain_timeout.to_string()]);
        command.env("SHARESOCK_GENERATION", generation.to_string()).env("SHARESOCK_DOMAIN", self.domain.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        crate::system::set_apart(&mut command);
        let mut child = command.spawn().context("starting a worker")?;
        self.last += 1;
        let number = self.last;
        let pid = child.id().context("a worker without an id")?;
        let (lines, mut to_write) = mpsc::unbounded_channel::<String>();
        let (mut input, output) = (
            child.stdin.take().context("a worker without input")?,
            child.stdout.take().context("a worker without output")?,
        );
        tokio::task::spawn_local(async move {
            while let Some(line) = to_write.recv().await {
                if input.write_all(line.as_bytes()).await.is_err() {
                    break;
                }
            }
        });
        let events = self.events.clone();
        let (kill, mut killed) = oneshot::channel();
        tokio::task::spawn_local(async move {
            let mut lines = BufReader::new(output).lines();
            loop {
                tokio::select! {
                    line = lines.next_line() => match line {
                        Ok(Some(line)) => if let Ok(said) = serde_json::from_str(&line) {
                            let _ = events.send(Event::Said(number, said));
                        },
                        Ok(None) | Err(_) => break,
                    },
                    _ = &mut killed => {
                        let _ = child.start_kill();
                        break;
                    }
                }
            }
            let why = child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
            let _ = events.send(Event::Ended(number, why));
        });
        let kill = Some(kill);
        let (started, unredeemed) = (Instant::now(), HashMap::new());
        Ok(Worker {
            number,
            pid,
            generation,
            started,
            lines,
            kill,
            sender: None,
            given: 0,
            open: 0,
            received: 0,
            unredeemed,
        })
    }
}

impl Worker {
    pub(crate) fn tell(&self, message: &ToWorker) {
        // One that has ended does not need to know.
        let _ = self.lines.send(to_line(message));
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.sender.as_ref().is_some_and(|sender| !sender.is_closed())
    }

    /// It said that it can receive.
    pub(crate) fn greet(&mut self, endpoint: &Endpoint) -> Result<()> {
        self.sender = Some(endpoint.sender(self.pid)?);
        Ok(())
    }

    pub(crate) fn note_load(&mut self, open: u64, received: u64) {
        (self.open, self.received) = (open, received);
    }

    /// It redeemed a connection, which is its own from now on; or it could not, and gives it back.
    pub(crate) fn settle(&mut self, id: u64) -> Option<Parcel> {
        self.unredeemed.remove(&id)
    }

    pub(crate) fn kill(&mut self) {
        self.kill = None;
    }

    /// How many connections it has, those on their way among them.
    fn load(&self) -> u64 {
        self.open + self.given.saturating_sub(self.received)
    }

    pub(crate) fn count(&self) -> Count {
        Count {
            pid: self.pid,
            generation: self.generation,
            state: String::new(),
            open: self.load(),
            given: self.given,
            given_per_second: None,
        }
    }

    /// Gives it a connection; it comes back when there is no room, or nobody.
    fn give(&mut self, parcel: Parcel, via: Via, endpoint: &Endpoint) -> Result<(), Box<Parcel>> {
        let Some(sender) = &self.sender else { return Err(Box::new(parcel)) };
        let fresh = parcel.bytes().len() == envelope::SIZE;
        if let (Via::Info, true, Some((envelope, _))) = (via, fresh, Envelope::open(parcel.bytes())) {
            let Ok(info) = endpoint.duplicate(parcel.socket(), sender.target()) else { return Err(Box::new(parcel)) };
            self.given += 1;
            self.tell(&ToWorker::Info { id: self.given, info: info.to_string(), envelope: envelope.sent_now() });
            self.unredeemed.insert(self.given, parcel);
            return Ok(());
        }
        sender.try_hand_off(parcel).map_err(|refused| Box::new(refused.parcel))?;
        self.given += 1;
        Ok(())
    }

    /// What it did not take, after its end.
    pub(crate) fn reclaim(self) -> Vec<Parcel> {
        let mut reclaimed: Vec<_> = self.unredeemed.into_values().collect();
        reclaimed.extend(self.sender.into_iter().flat_map(Sender::reclaim));
        reclaimed
    }
}

/// The workers of one generation, each in its place.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) number: u32,
    places: Vec<WorkerSlot>,
    turn: usize,
}

#[derive(Debug, Default)]
struct WorkerSlot {
    worker: Option<Worker>,
    backoff: Backoff,
}

impl Generation {
    pub(crate) fn start(number: u32, starter: &mut Starter) -> Result<Self> {
        let count = starter.options.workers;
        let place = |starter: &mut Starter| {
            Ok(WorkerSlot { worker: Some(starter.start(number)?), backoff: Backoff::default() })
        };
        let places = (0..count).map(|_| place(starter)).collect::<Result<_>>()?;
        Ok(Generation { number, places, turn: 0 })
    }

    pub(crate) fn workers(&mut self) -> impl Iterator<Item = &mut Worker> {
        self.places.iter_mut().filter_map(|place| place.worker.as_mut())
    }

    pub(crate) fn into_workers(self) -> impl Iterator<Item = Worker> {
        self.places.into_iter().filter_map(|place| place.worker)
    }

    pub(crate) fn find(&mut self, number: u64) -> Option<&mut Worker> {
        self.workers().find(|worker| worker.number == number)
    }

    pub(crate) fn pids(&mut self) -> Vec<u32> {
        self.workers().map(|worker| worker.pid).collect()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.places.iter().all(|place| place.worker.as_ref().is_some_and(Worker::is_ready))
    }

    /// Gives a connection to the worker that the policy chooses, or to another if that has no room.
    pub(crate) fn give(&mut self, mut parcel: Parcel, starter: &Starter) -> Result<(), Box<Parcel>> {
        self.turn = self.turn.wrapping_add(1);
        let count = self.places.len().max(1);
        let mut order: Vec<usize> = (0..count).map(|place| (place + self.turn) % count).collect();
        if starter.options.policy == Policy::LeastOpen {
            order.sort_by_key(|place| {
                self.places.get(*place).and_then(|place| place.worker.as_ref()).map_or(u64::MAX, Worker::load)
            });
        }
        for place in order {
            let Some(worker) = self.places.get_mut(place).and_then(|place| place.worker.as_mut()) else { continue };
            match worker.give(parcel, starter.options.via, &starter.endpoint) {
                Ok(()) => return Ok(()),
                Err(back) => parcel = *back,
            }
        }
        Err(Box::new(parcel))
    }

    /// Takes a worker that has ended out of its place: the place, and the pause before another should start there.
    pub(crate) fn bury(&mut self, number: u64) -> Option<(usize, Worker, Duration)> {
        let is_it = |worker: &mut Worker| worker.number == number;
        let (index, worker) = self
            .places
            .iter_mut()
            .enumerate()
            .find_map(|(index, place)| Some((index, place.worker.take_if(is_it)?)))?;
        let place = self.places.get_mut(index)?;
        let pause = place.backoff.ended(worker.started.elapsed());
        Some((index, worker, pause))
    }

    /// Puts a new worker into an empty place.
    pub(crate) fn fill(&mut self, place: usize, worker: Worker) {
        if let Some(place) = self.places.get_mut(place) {
            place.worker = Some(worker);
        }
    }
}
