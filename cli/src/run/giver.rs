//! Giving accepted connections to workers.

use super::listener::Listener;
use super::signals::unheard;
use super::supervisor::Event;
use super::worker::Worker;
use crate::status::{HandOffs, WorkerState};
use crate::system::is_now;
use anyhow::{Context, Result};
use rustix::event::PollFlags;
use sharesock::{Endpoint, Parcel, Sender, Socket};
use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The most accepted connections that wait here for a worker; more wait in the kernel's backlog.
const MOST_WAITING: usize = 64;
/// Of so many connections it is remembered how long it took to give them away.
const REMEMBERED: usize = 1000;
/// Pause after an accept that failed, such as for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The way to one worker.
#[derive(Debug)]
pub(crate) enum Link {
    /// It accepts itself, or serves the one connection that it was started with.
    None,
    /// It has not opened its receiver yet.
    Awaited,
    HandOff {
        sender: Box<Sender>,
        given: VecDeque<Instant>,
    },
    /// To its standard input. What is not whole yet waits.
    Info {
        stream: Option<UnixStream>,
        rest: Vec<u8>,
    },
}

impl Link {
    pub(crate) fn info(stream: UnixStream) -> Result<Self> {
        stream.set_nonblocking(true).context("a stream for protocol infos")?;
        Ok(Link::Info { stream: Some(stream), rest: Vec::new() })
    }

    pub(crate) fn hand_off(sender: Sender) -> Self {
        Link::HandOff { sender: Box::new(sender), given: VecDeque::new() }
    }

    /// What was given and not taken yet.
    pub(crate) fn outstanding(&self) -> usize {
        match self {
            Link::HandOff { sender, .. } => sender.outstanding(),
            Link::Info { rest, .. } => rest.len(),
            Link::None | Link::Awaited => 0,
        }
    }

    /// Takes back what was given and not taken; afterwards it is to be opened anew.
    pub(crate) fn reclaim(&mut self) -> Vec<Parcel> {
        match self {
            Link::HandOff { .. } => match std::mem::replace(self, Link::Awaited) {
                Link::HandOff { sender, .. } => sender.reclaim(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// Whether this is what tells the worker to end.
    pub(crate) fn end_input(&mut self) -> bool {
        match self {
            Link::Info { stream, .. } => stream.take().is_some(),
            _ => false,
        }
    }

    /// Writes what waits; whether nothing is left of it.
    fn write(&mut self) -> bool {
        let Link::Info { stream: Some(stream), rest } = self else { return true };
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(length) => _ = rest.drain(..length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                // It has ended, or will; what it did not read is lost with it.
                Err(_) => rest.clear(),
            }
        }
        true
    }

    fn give(&mut self, parcel: Parcel, pid: u32, endpoint: &Endpoint) -> Result<(), Box<Parcel>> {
        match self {
            Link::HandOff { sender, .. } => {
                sender.try_hand_off(parcel).map_err(|refused| Box::new(refused.parcel))?;
                Ok(())
            }
            Link::Info { stream: Some(stream), rest } if rest.is_empty() && !has_ended(stream) => {
                let Ok(info) = unheard(|| endpoint.duplicate(parcel.socket(), pid)) else {
                    return Err(Box::new(parcel));
                };
                rest.extend(info.to_wide_bytes());
                self.write();
                Ok(())
            }
            _ => Err(Box::new(parcel)),
        }
    }
}

/// Whether nobody reads the other end any more: another worker may serve what this one would not even see.
fn has_ended(stream: &UnixStream) -> bool {
    is_now(stream, PollFlags::empty())
}

/// A connection, accepted, and given to nobody yet.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) parcel: Parcel,
    since: Instant,
    _room: Option<OwnedSemaphorePermit>,
}

/// Accepts, and gives away.
#[derive(Debug)]
pub(crate) struct Giver {
    pub(crate) endpoint: Endpoint,
    pub(crate) waiting: VecDeque<Waiting>,
    room: Arc<Semaphore>,
    accepting: Vec<JoinHandle<()>>,
    turn: usize,
    pub(crate) total: u64,
    /// In microseconds.
    latencies: VecDeque<u64>,
}

impl Giver {
    pub(crate) fn new(endpoint: Endpoint, total: u64) -> Self {
        let room = Arc::new(Semaphore::new(MOST_WAITING));
        Giver {
            endpoint,
            waiting: VecDeque::new(),
            room,
            accepting: Vec::new(),
            turn: 0,
            total,
            latencies: VecDeque::new(),
        }
    }

    /// Accepts from these listeners, and from no others.
    pub(crate) fn accept_from(&mut self, listeners: &[Rc<Listener>], events: &UnboundedSender<Event>) -> Result<()> {
        self.pause();
        for listener in listeners.iter().filter(|listener| listener.accepts()) {
            let acceptor = Acceptor::new(listener).context("accepting from a listener")?;
            self.accepting.push(tokio::task::spawn_local(accept(acceptor, Arc::clone(&self.room), events.clone())));
        }
        Ok(())
    }

    /// Accepts nothing until it is told to.
    pub(crate) fn pause(&mut self) {
        self.accepting.drain(..).for_each(|task| task.abort());
    }

    /// One that a predecessor had accepted, or that a worker did not take.
    pub(crate) fn put_back(&mut self, parcel: Parcel) {
        self.waiting.push_front(Waiting { parcel, since: Instant::now(), _room: None });
    }

    /// Gives what waits to workers that have room, one after the other.
    pub(crate) fn give(&mut self, workers: &mut [Worker], generation: u32) {
        let count = workers.len();
        'next: while let Some(mut waiting) = self.waiting.pop_front() {
            self.turn = self.turn.wrapping_add(1);
            for step in 0..count {
                let Some(worker) = workers.get_mut((self.turn + step) % count) else { continue };
                if worker.record.generation != generation || !worker.is(WorkerState::Ready) {
                    continue;
                }
                let pid = worker.record.pid.unsigned_abs();
                match worker.link.give(waiting.parcel, pid, &self.endpoint) {
                    Ok(()) => {
                        worker.record.handed_off += 1;
                        self.total += 1;
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
    pub(crate) fn settle(&mut self, workers: &mut [Worker]) -> bool {
        let mut busy = !self.waiting.is_empty();
        for worker in workers {
            worker.link.write();
            let outstanding = worker.link.outstanding();
            busy |= outstanding > 0;
            if let Link::HandOff { given, .. } = &mut worker.link {
                let taken = given.len().saturating_sub(outstanding);
                let taken: Vec<_> = given.drain(..taken).collect();
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

impl Drop for Giver {
    fn drop(&mut self) {
        self.pause();
    }
}

/// A listener of whichever kind.
enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    fn new(listener: &Listener) -> std::io::Result<Self> {
        let socket = OwnedFd::from(listener.socket.as_socket().try_clone()?);
        listener.socket.as_socket().set_nonblocking(true)?;
        Ok(match listener.socket.as_socket().local_addr()?.is_unix() {
            true => Acceptor::Unix(UnixListener::from_std(socket.into())?),
            false => Acceptor::Tcp(TcpListener::from_std(socket.into())?),
        })
    }

    /// The next connection. Who awaits this may be stopped, and loses none.
    async fn accept(&self) -> std::io::Result<Socket> {
        let connection: Socket = match self {
            Acceptor::Tcp(listener) => listener.accept().await?.0.into_std()?.into(),
            Acceptor::Unix(listener) => listener.accept().await?.0.into_std()?.into(),
        };
        // As `accept` makes it; who does not wait says so.
        connection.as_socket().set_nonblocking(false)?;
        Ok(connection)
    }
}

async fn accept(acceptor: Acceptor, room: Arc<Semaphore>, events: UnboundedSender<Event>) {
    loop {
        let Ok(room) = Arc::clone(&room).acquire_owned().await else { return };
        // Between the accept and what follows nothing is awaited: this task may be stopped, and must not lose one.
        match acceptor.accept().await {
            Ok(connection) => {
                let parcel = Parcel::new(connection);
                let _ = events.send(Event::Accepted(Waiting { parcel, since: Instant::now(), _room: Some(room) }));
            }
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_nobody_reads_has_ended() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(!has_ended(&ours));
        drop(theirs);
        assert!(has_ended(&ours));
    }
}
