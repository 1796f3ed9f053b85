//! A worker: receives connections and serves them.

use super::connection::{self, Guest, Outcome, Phase};
use super::files::Site;
use super::page::Stats;
use super::successors::Successors;
use super::system::Link;
use super::{Ending, Told, WorkerOptions};
use crate::domain::open_domain;
use crate::system::explained;
use anyhow::Result;
use http::StatusCode;
use sharesock::{Endpoint, Error, Parcel};
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Poll interval of parcels that successors have not taken yet.
const SUCCESSORS_POLL: Duration = Duration::from_millis(5);

/// Shortest time between two messages about what is open: the supervisor would hear of each connection twice.
const SAY_INTERVAL: Duration = Duration::from_millis(5);

/// Half of the free memory that is kept for the next connections, by the rule of glibc (`M_TRIM_THRESHOLD` in mallopt(3)).
const KEPT_MEMORY: usize = 1 << 20;

/// After an error in receiving, such as for lack of descriptors.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(250);

/// Codes for a lack of descriptors, and of room.
const SHORT: [i32; 2] = [10024, 10055];

/// What tasks of connections report.
type Done = (Option<Guest>, Rc<()>);

struct Worker {
    site: Rc<Site>,
    endpoint: Endpoint,
    link: Link,
    phase: watch::Sender<Phase>,
    successors: Successors,
    done: mpsc::UnboundedSender<Done>,
    /// One clone for each open connection.
    open: Rc<()>,
    /// Connections that came from whoever accepted them.
    received: u64,
    /// When the counts may be told again.
    say_from: Instant,
    unsaid: bool,
    drain_timeout: Option<Duration>,
    is_ending: bool,
    deadline: Option<Instant>,
    /// Whether connections are still taken.
    takes: bool,
}

/// Works until everything is finished, after it was told to end.
pub(super) async fn run(options: WorkerOptions) -> Result<()> {
    // Returning memory to the system after each burst costs more than the burst: who frees this once keeps twice as much.
    drop(black_box(Vec::<u8>::with_capacity(KEPT_MEMORY)));
    // Before anybody can reach this process: it may be told to end at once.
    let link = Link::open(&options)?;
    let endpoint = Endpoint::open(&open_domain(None)?)?;
    let mut parcels = endpoint.receiver()?.into_stream()?;
    let stats = Stats { generation: options.generation, ..Stats::default() };
    let (done, mut ended) = mpsc::unbounded_channel();
    let (phase, phases) = watch::channel(Phase::Serving);
    let mut worker = Worker {
        site: Rc::new(Site::new(&options.site, stats, link.figures(), phases)?),
        successors: Successors::new(endpoint.clone()),
        endpoint,
        link,
        phase,
        done,
        open: Rc::default(),
        received: 0,
        say_from: Instant::now(),
        unsaid: true,
        drain_timeout: options.drain_timeout.map(Duration::from_secs),
        is_ending: false,
        deadline: None,
        takes: true,
    };
    // Until when nothing is received.
    let mut pause: Option<Instant> = None;
    loop {
        let now = Instant::now();
        let say_at = worker.say(now);
        pause = pause.filter(|until| *until > now);
        let poll = (worker.successors.outstanding() > 0).then(|| now + SUCCESSORS_POLL);
        let wake = [worker.deadline, poll, pause, say_at].into_iter().flatten().min();
        let is_over = worker.is_ending && worker.open() == 0 && pause.is_none();
        let is_over = is_over && worker.successors.outstanding() == 0 && !(worker.takes && worker.link.is_behind());
        tokio::select! {
            biased;
            told = worker.link.next(), if worker.takes => worker.obey(told).await,
            Some(first) = ended.recv() => {
                let mut next = Some(first);
                while let Some((moved, open)) = next {
                    drop(open);
                    worker.close(moved).await;
                    next = ended.try_recv().ok();
                }
                pause = None;
            }
            parcel = parcels.receive(), if worker.takes && pause.is_none() => match parcel {
                Ok(parcel) => worker.receive(parcel),
                Err(error) => {
                    eprintln!("sharesock: worker {}: {}", std::process::id(), explained(&error.into()));
                    pause = Some(Instant::now() + PAUSE_AFTER_ERROR);
                }
            },
            // Last: a message or a connection that has arrived comes first.
            () = tokio::task::yield_now(), if is_over => break,
            () = sleep_until(wake) => {}
        }
        if worker.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            break;
        }
        for parcel in worker.successors.returned() {
            worker.receive(parcel);
        }
    }
    worker.link.say(worker.open(), worker.received);
    Ok(())
}

impl Worker {
    async fn obey(&mut self, told: Told) {
        match told {
            Told::Redeem { id, info, envelope } => {
                let redeemed = match info.map(|info| (self.endpoint.redeem(&info), info)) {
                    // Its source keeps it until it is counted, and what was delivered stays.
                    Ok((Err(error), info)) if is_short(&error) && self.link.keep(&info) => return,
                    Ok((redeemed, _)) => redeemed.map_err(Into::into),
                    Err(error) => Err(error),
                };
                self.received += 1;
                let redeemed = redeemed.map(|socket| self.start(Guest::new(socket, envelope)));
                self.link.answer(id, redeemed);
                // At once: the supervisor would give it to another if this process were killed now.
                (self.unsaid, self.say_from) = (true, Instant::now());
            }
            Told::End => self.end().await,
        }
    }

    /// Begins to end, or goes on with it, with those who serve by now.
    async fn end(&mut self) {
        self.is_ending = true;
        self.deadline = self.deadline.or_else(|| Some(Instant::now() + self.drain_timeout?));
        let Ending { successors, takes } = self.link.ending().await;
        self.takes &= takes;
        let phase = if successors.is_empty() { Phase::Draining } else { Phase::Retiring };
        self.successors.replace(&successors);
        self.phase.send_replace(phase);
    }

    /// Takes a connection that was handed off; in retirement it goes on as soon as it is idle.
    fn receive(&mut self, parcel: Parcel) {
        let Some(guest) = Guest::from_parcel(parcel) else { return };
        let is_new = guest.envelope.moves == 0;
        self.received += u64::from(is_new);
        self.start(guest);
        // The supervisor counts new connections itself.
        if !is_new {
            self.unsaid = true;
        }
    }

    fn start(&mut self, mut guest: Guest) {
        let stats = &self.site.stats;
        stats.connections.set(stats.connections.get() + 1);
        let addresses = &self.site.addresses;
        let address = if addresses.is_limited() { guest.address() } else { None };
        if let Some(address) = address {
            guest.place = addresses.enter(address, guest.envelope.moves > 0);
            if guest.place.is_none() {
                // It is open until its client has read why.
                let (site, done, open) = (self.site.clone(), self.done.clone(), self.open.clone());
                tokio::task::spawn_local(async move {
                    let _ = connection::refuse(guest, site, StatusCode::SERVICE_UNAVAILABLE).await;
                    let _ = done.send((None, open));
                });
                return;
            }
        }
        self.serve(guest, self.phase.subscribe());
    }

    fn serve(&mut self, guest: Guest, phase: watch::Receiver<Phase>) {
        let (site, done, open) = (self.site.clone(), self.done.clone(), self.open.clone());
        // It is large, and would be copied again and again on its way into the task.
        let serving = Box::pin(connection::serve(guest, site, phase));
        tokio::task::spawn_local(async move {
            let moved = match serving.await {
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
            self.hand_over(guest).await;
        }
        self.link.hurry();
        self.site.stats.open.set(self.open());
        self.unsaid = true;
    }

    async fn hand_over(&mut self, guest: Guest) {
        let mut parcel = guest.into_parcel();
        for is_first in [true, false] {
            match self.successors.give(parcel).await {
                Ok(()) => {
                    let stats = &self.site.stats;
                    return stats.handed_over.set(stats.handed_over.get() + 1);
                }
                Err(back) => parcel = back,
            }
            // Newer workers may have replaced the successors.
            if is_first && *self.phase.borrow() == Phase::Retiring {
                self.end().await;
            }
        }
        // Nobody takes it: it ends here, after its next response.
        let (_, phase) = watch::channel(Phase::Draining);
        if let Some(guest) = Guest::from_parcel(parcel) {
            self.serve(guest, phase);
        }
    }

    /// Tells the counts if they have changed; when to do so, if it is too soon.
    fn say(&mut self, now: Instant) -> Option<Instant> {
        if !self.unsaid || now < self.say_from {
            return self.unsaid.then_some(self.say_from);
        }
        (self.unsaid, self.say_from) = (false, now + SAY_INTERVAL);
        self.link.say(self.open(), self.received);
        None
    }
}

/// Whether an info can be redeemed later: descriptors, or memory, are short.
fn is_short(error: &Error) -> bool {
    SHORT.contains(&error.winsock_code())
}

pub(super) async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
