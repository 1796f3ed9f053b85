//! A worker: receives connections and serves them.

use super::WorkerOptions;
use super::connection::{self, Guest, Outcome, Phase};
use super::control::{FromWorker, ToWorker, to_line};
use super::envelope::Envelope;
use super::files::Site;
use super::page::Stats;
use super::successors::Successors;
use crate::domain::open_domain;
use crate::system;
use anyhow::Result;
use bytes::Bytes;
use sharesock::{Endpoint, Parcel, ProtocolInfo};
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncBufReadExt;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Poll interval of parcels that successors have not taken yet.
const SUCCESSORS_POLL: Duration = Duration::from_millis(5);

/// After an error in receiving, such as for lack of descriptors.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(250);

/// What tasks of connections report.
type Done = (Option<Guest>, Rc<()>);

struct Worker {
    site: Rc<Site>,
    endpoint: Endpoint,
    phase: watch::Sender<Phase>,
    successors: Successors,
    done: mpsc::UnboundedSender<Done>,
    /// One clone for each open connection.
    open: Rc<()>,
    /// Connections that came from the front.
    received: u64,
    front: u32,
    drain_timeout: Duration,
    deadline: Option<Instant>,
}

/// Works until everything is finished, after the front said so or ended.
pub(super) async fn run(options: WorkerOptions) -> Result<()> {
    let _apart = system::keep_apart()?;
    let endpoint = Endpoint::open(&open_domain(options.domain.as_ref())?)?;
    let mut parcels = endpoint.receiver()?.into_stream()?;
    let stats = Stats { generation: options.generation, ..Stats::default() };
    let (done, mut ended) = mpsc::unbounded_channel();
    let mut worker = Worker {
        site: Rc::new(Site::new(options.files, options.hidden, !options.no_worker_header, stats)),
        successors: Successors::new(endpoint.clone()),
        endpoint,
        phase: watch::channel(Phase::Serving).0,
        done,
        open: Rc::default(),
        received: 0,
        front: options.front,
        drain_timeout: Duration::from_secs(options.drain_timeout),
        deadline: None,
    };
    let mut lines = system::standard_input()?.lines();
    let mut front_lives = true;
    report(&FromWorker::Ready);
    loop {
        let wake = worker.deadline.map(|deadline| deadline.min(Instant::now() + SUCCESSORS_POLL));
        tokio::select! {
            biased;
            line = lines.next_line(), if front_lives => match line {
                Ok(Some(line)) => worker.obey(&line),
                // The front has ended: nobody else says so.
                Ok(None) | Err(_) => {
                    front_lives = false;
                    worker.end(Phase::Draining);
                }
            },
            Some((moved, open)) = ended.recv() => {
                drop(open);
                worker.close(moved).await;
            }
            parcel = parcels.receive() => match parcel {
                Ok(parcel) => worker.receive(parcel),
                Err(error) => {
                    eprintln!("sharesock: worker {}: {error}", std::process::id());
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            },
            () = sleep_until(wake) => {}
        }
        if worker.deadline.is_none() {
            continue;
        }
        for parcel in worker.successors.returned() {
            worker.receive(parcel);
        }
        let late = worker.deadline.is_some_and(|deadline| deadline <= Instant::now());
        let idle = worker.open() == 0 && worker.successors.outstanding() == 0;
        if late || idle {
            match tokio::time::timeout(Duration::ZERO, parcels.receive()).await {
                Ok(Ok(parcel)) if !late => worker.receive(parcel),
                _ => return Ok(()),
            }
        }
    }
}

impl Worker {
    fn obey(&mut self, line: &str) {
        match serde_json::from_str(line) {
            Ok(ToWorker::Info { id, info, envelope }) => report(&match self.redeem(&info, envelope) {
                Ok(guest) => {
                    self.received += 1;
                    self.start(guest);
                    FromWorker::Redeemed { id }
                }
                Err(error) => FromWorker::Failed { id, why: format!("{error:#}") },
            }),
            Ok(ToWorker::Retire { successors }) => {
                self.successors.replace(&successors);
                self.end(Phase::Retiring);
            }
            Ok(ToWorker::Counts { workers }) => drop(self.site.stats.workers.replace(workers)),
            Ok(ToWorker::Drain) => self.end(Phase::Draining),
            Err(error) => eprintln!("sharesock: worker {}: a line that makes no sense: {error}", std::process::id()),
        }
    }

    fn end(&mut self, phase: Phase) {
        self.deadline.get_or_insert(Instant::now() + self.drain_timeout);
        self.phase.send_replace(phase);
    }

    fn redeem(&self, info: &str, envelope: Envelope) -> Result<Guest> {
        let info: ProtocolInfo = info.parse()?;
        let socket = self.endpoint.redeem(&info)?;
        Ok(Guest { socket, envelope, took_us: envelope.age_us(), unread: Bytes::new() })
    }

    /// Takes a connection that was handed off; in retirement it goes on as soon as it is idle.
    fn receive(&mut self, parcel: Parcel) {
        self.received += u64::from(parcel.source().is_some_and(|source| source.pid() == self.front));
        if let Some(guest) = Guest::from_parcel(parcel) {
            self.start(guest);
        }
    }

    fn start(&mut self, guest: Guest) {
        let stats = &self.site.stats;
        stats.connections.set(stats.connections.get() + 1);
        self.serve(guest, self.phase.subscribe());
    }

    fn serve(&mut self, guest: Guest, phase: watch::Receiver<Phase>) {
        let (site, done, open) = (self.site.clone(), self.done.clone(), self.open.clone());
        tokio::task::spawn_local(async move {
            let moved = match connection::serve(guest, site, phase).await {
                Ok(Outcome::Movable(guest)) => Some(guest),
                Ok(Outcome::Finished) | Err(_) => None,
            };
            let _ = done.send((moved, open));
        });
        self.site.stats.open.set(self.open());
    }

    /// How many connections are served here.
    fn open(&self) -> u64 {
        Rc::strong_count(&self.open) as u64 - 1
    }

    /// A connection has come to its end here.
    async fn close(&mut self, moved: Option<Guest>) {
        if let Some(guest) = moved {
            match self.successors.give(guest.into_parcel()).await {
                Ok(()) => {
                    let stats = &self.site.stats;
                    stats.handed_over.set(stats.handed_over.get() + 1);
                }
                // Nobody takes it: it ends here, after its next response.
                Err(parcel) => {
                    let (_, phase) = watch::channel(Phase::Draining);
                    if let Some(guest) = Guest::from_parcel(parcel) {
                        self.serve(guest, phase);
                    }
                }
            }
        }
        self.site.stats.open.set(self.open());
        report(&FromWorker::Load { open: self.open(), received: self.received });
    }
}

fn report(message: &FromWorker) {
    // A front that has ended is noticed at standard input.
    let _ = std::io::stdout().write_all(to_line(message).as_bytes());
    let _ = std::io::stdout().flush();
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
