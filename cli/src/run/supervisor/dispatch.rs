//! Giving accepted connections to workers.

use super::policy::order;
use super::reclaim::Left;
use super::room::{Room, most_kept};
use crate::run::listener::Listener;
use crate::run::machine::{Machine, WorkerId};
use crate::run::options::Policy;
use crate::run::worker::Worker;
use crate::run::worker::event::Waiting;
use crate::run::worker::link::Link;
use crate::run::worker::plan::Plan;
use crate::status::HandOffs;
use anyhow::{Context as _, Result};
use rustix::net::{SocketFlags, accept_with};
use sharesock::{Endpoint, Parcel, Socket};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

/// Number of latencies from which the figures are computed.
const REMEMBERED: usize = 1000;
/// Pause after an accept that failed, or while there is no room.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Most connections that are accepted before they are given away.
const ACCEPTED_AT_ONCE: usize = 32;
/// Poll interval of connections on their way to workers, at first and at last.
pub(super) const SHORTEST_POLL: Duration = Duration::from_millis(1);
const LONGEST_POLL: Duration = Duration::from_millis(250);

/// Accepts, and gives away.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) endpoint: Endpoint,
    pub(crate) waiting: VecDeque<Waiting>,
    /// Connections whose worker could not be started, until it is decided what becomes of them.
    pub(crate) unserved: HashMap<WorkerId, Waiting>,
    /// Queues that workers have left.
    pub(super) left: Vec<Left>,
    pub(super) room: Room,
    /// When it was last looked for clients that have left.
    pub(super) looked: Option<Instant>,
    /// Listeners that are accepted from.
    acceptors: Vec<Acceptor>,
    policy: Policy,
    turn: usize,
    next_listener: usize,
    pub(crate) total: u64,
    /// In microseconds.
    latencies: VecDeque<u64>,
    /// When something was given or taken last.
    moved: Instant,
}

impl Dispatcher {
    pub(crate) fn new(endpoint: Endpoint, total: u64) -> Self {
        Dispatcher {
            endpoint,
            waiting: VecDeque::new(),
            unserved: HashMap::new(),
            left: Vec::new(),
            room: Room::default(),
            looked: None,
            acceptors: Vec::new(),
            policy: Policy::LeastOpen,
            turn: 0,
            next_listener: 0,
            total,
            latencies: VecDeque::new(),
            moved: Instant::now(),
        }
    }

    /// Accepts from the listeners of this plan, and from no others.
    pub(crate) fn accept_from(&mut self, plan: &Plan) -> Result<()> {
        self.pause();
        self.policy = plan.options.policy;
        self.room.limit(plan.options.max_connections);
        for listener in plan.listeners.iter().filter(|listener| listener.accepts()) {
            self.acceptors.push(Acceptor::new(listener).context("accepting from a listener")?);
        }
        Ok(())
    }

    /// Accepts nothing until it is told to.
    pub(crate) fn pause(&mut self) {
        self.acceptors.clear();
    }

    /// Accepts some connections when there are any, and room for them. Who awaits this may stop, and loses none.
    pub(crate) async fn accept(&mut self) {
        while !self.room.is_there() {
            sleep(ACCEPT_PAUSE).await;
        }
        loop {
            // After one was accepted nothing is awaited.
            match poll_fn(|context| self.poll_accept(context)).await {
                Ok(connection) => break self.accepted(connection),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
        for _ in 1..ACCEPTED_AT_ONCE {
            let accepted = self.room.is_there().then(|| self.acceptors.iter().find_map(Acceptor::accept_now)).flatten();
            let Some(connection) = accepted else { return };
            self.accepted(connection);
        }
    }

    fn accepted(&mut self, connection: Socket) {
        self.room.note_one_more();
        self.waiting.push_back(Waiting::new(Parcel::new(connection)));
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<Socket>> {
        // None is always the first to be asked.
        self.next_listener = self.next_listener.wrapping_add(1);
        let first = self.next_listener % self.acceptors.len().max(1);
        let (before, after) = self.acceptors.split_at(first.min(self.acceptors.len()));
        let accepted = after.iter().chain(before).map(|acceptor| acceptor.poll_accept(context));
        accepted.into_iter().find(Poll::is_ready).unwrap_or(Poll::Pending)
    }

    /// Gives away what was just accepted; whether nothing waits.
    pub(crate) fn give_accepted(&mut self, workers: &mut BTreeMap<WorkerId, Worker>, machine: &Machine) -> bool {
        self.give(workers, machine);
        self.note_room(workers);
        self.waiting.is_empty()
    }

    /// Accepts what waits in a listener's queue: those connections were promised to somebody.
    pub(crate) fn accept_queued(&mut self, listener: &Listener) {
        let socket = listener.socket();
        let accept = || -> Result<Socket> {
            socket.as_socket().set_nonblocking(true)?;
            Ok(Socket::try_from(OwnedFd::from(socket.as_socket().accept()?.0))?)
        };
        self.waiting.extend(std::iter::from_fn(|| accept().ok()).map(|socket| Waiting::new(Parcel::new(socket))));
    }

    /// Whether nothing is to be given to anybody.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.left.is_empty()
    }

    /// Poll interval of what is on its way, or has none: nothing tells that a worker has taken something, or has room
    /// again. The longer nothing has moved, the longer it is.
    pub(crate) fn next_look(&self, workers: &BTreeMap<WorkerId, Worker>) -> Option<Duration> {
        let outstanding = workers.values().any(|worker| worker.link.outstanding() > 0);
        let pause = self.moved.elapsed() / 8;
        // Nor that one that was stopped goes on.
        let stopped = workers.values().any(|worker| worker.is_stopped);
        (outstanding || stopped || !self.is_idle()).then(|| pause.clamp(SHORTEST_POLL, LONGEST_POLL))
    }

    /// Whether everything that is to be given to somebody is here.
    pub(crate) fn has_all(&self) -> bool {
        self.left.is_empty()
    }

    /// Drops everything that waits.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.left.clear();
    }

    /// Takes back what workers have left, as far as there is room, and gives what waits to workers that serve and have room.
    pub(crate) fn dispatch(&mut self, workers: &mut BTreeMap<WorkerId, Worker>, machine: &Machine) {
        loop {
            let before = self.total;
            self.reclaim(workers);
            self.give(workers, machine);
            // Connections that were given away have made room.
            if self.left.is_empty() || !self.waiting.is_empty() || self.total == before {
                break;
            }
        }
        self.note_room(workers);
        if !self.waiting.is_empty() {
            self.drop_who_left();
            self.note_room(workers);
        }
    }

    fn note_room(&mut self, workers: &BTreeMap<WorkerId, Worker>) {
        let holds = !self.left.is_empty() || workers.values().any(|worker| worker.link.keeps());
        let open: u64 = workers.values().filter_map(|worker| worker.record.load()).sum();
        self.room.note(self.waiting.len(), holds, open + self.waiting.len() as u64);
    }

    /// Gives what waits, in the order of the policy.
    fn give(&mut self, workers: &mut BTreeMap<WorkerId, Worker>, machine: &Machine) {
        if self.waiting.is_empty() {
            return;
        }
        let count = workers.len();
        let most_kept = || most_kept(count);
        let takes = |id: &WorkerId| machine.takes_connections(*id);
        let mut ready: Vec<_> = workers.iter_mut().filter(|(id, _)| takes(id)).map(|(_, worker)| worker).collect();
        'next: while let Some(mut waiting) = self.waiting.pop_front() {
            self.turn = self.turn.wrapping_add(1);
            let open: Vec<_> = ready.iter().map(|worker| worker.record.load()).collect();
            for at in order(self.policy, self.turn, &open) {
                let Some(worker) = ready.get_mut(at) else { continue };
                match worker.link.give(waiting.parcel, &worker.record, &self.endpoint, most_kept) {
                    Ok(()) => {
                        worker.record.handed_off += 1;
                        self.total += 1;
                        self.moved = Instant::now();
                        match &mut worker.link {
                            Link::HandOff { given, .. } => given.push_back(waiting.since),
                            _ => self.remember(waiting.since),
                        }
                        continue 'next;
                    }
                    Err(back) => waiting.parcel = *back,
                }
            }
            self.waiting.push_front(waiting);
            return;
        }
    }

    /// The next connection, for a worker that is started for it.
    pub(crate) fn next(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.total += 1;
        self.remember(waiting.since);
        Some(waiting)
    }

    /// It could not be given now.
    pub(crate) fn wait_again(&mut self, waiting: Waiting) {
        self.total = self.total.saturating_sub(1);
        self.waiting.push_front(waiting);
    }

    /// Notes what was taken, and writes what was not whole; whether anything is still on its way.
    pub(crate) fn settle(&mut self, workers: &mut BTreeMap<WorkerId, Worker>) -> bool {
        let mut busy = !self.is_idle();
        for worker in workers.values_mut() {
            worker.link.write();
            let outstanding = worker.link.outstanding();
            busy |= outstanding > 0;
            if let Link::HandOff { given, .. } = &mut worker.link {
                let taken = given.len().saturating_sub(outstanding);
                let taken: Vec<_> = given.drain(..taken).collect();
                if !taken.is_empty() {
                    self.moved = Instant::now();
                }
                taken.into_iter().for_each(|since| self.remember(since));
            }
        }
        busy
    }

    fn remember(&mut self, since: Instant) {
        self.latencies.push_back(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX));
        if self.latencies.len() > REMEMBERED {
            self.latencies.pop_front();
        }
    }

    pub(crate) fn figures(&self) -> HandOffs {
        let mut sorted: Vec<_> = self.latencies.iter().copied().collect();
        sorted.sort_unstable();
        let at = |hundredths: usize| sorted.get(sorted.len().saturating_sub(1) * hundredths / 100).copied();
        let waiting = self.waiting.len() as u64;
        HandOffs { total: self.total, waiting, median_us: at(50), slowest_percent_us: at(99) }
    }
}

/// A listener of whichever kind.
#[derive(Debug)]
struct Acceptor(AsyncFd<OwnedFd>);

impl Acceptor {
    fn new(listener: &Listener) -> std::io::Result<Self> {
        let socket = listener.socket();
        socket.as_socket().set_nonblocking(true)?;
        let socket = OwnedFd::from(socket.as_socket().try_clone()?);
        // The objection to it is that a descriptor might change under tokio: this one does not.
        #[allow(deprecated)]
        AsyncFd::with_interest(socket, Interest::READABLE).map(Acceptor)
    }

    /// The next connection, as `accept` makes it.
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<std::io::Result<Socket>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(context))?;
            if let Ok(accepted) = ready.try_io(|listener| accept(listener.get_ref())) {
                return Poll::Ready(accepted);
            }
        }
    }

    /// One that is known to have come, if there is any.
    fn accept_now(&self) -> Option<Socket> {
        self.0.try_io(Interest::READABLE, accept).ok()
    }
}

fn accept(listener: &OwnedFd) -> std::io::Result<Socket> {
    let accepted = accept_with(listener, SocketFlags::CLOEXEC)?;
    // Of no special kind: this way nobody asks what it is.
    Ok(std::net::TcpStream::from(accepted).into())
}
