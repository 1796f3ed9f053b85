//! Closing descriptors that could make `close` wait.
//!
//! The last `close` of a connection with `SO_LINGER` waits for its peer for as long as whoever set that likes, and what a
//! stranger sent us can be such a descriptor, or a socket in whose queue one lies. So these are closed by a thread of its own,
//! and there not by `close` either: a thread that ends with a table of descriptors of its own has the kernel close what is
//! in it, and an ending thread lingers for nobody. What can still hold such a thread up is a file whose file system does not
//! answer; then others go on.

use super::sys::{
    Bury, Entrusted, ForkMark, Headroom, Look, MOST_RIGHTS, descriptors_in_queue, is_empty, is_gate, keep_only,
    lingers, receive_rights, spawn_masked,
};
use crate::error::{Error, Result};
use rustix::io::Errno;
use rustix::net::sockopt::socket_domain;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, accept_with, shutdown};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// So many are closed by one thread that ends.
const BATCH: usize = 64;
/// So many threads close at a time; more than one only if the others are held up.
const MOST_THREADS: usize = 4;

/// Closes descriptors of one process without making its callers wait. It has threads only while there is something to
/// close.
#[derive(Debug, Clone)]
pub(crate) struct Closer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    mark: ForkMark,
    state: Mutex<CloserState>,
    /// Something waits, and no thread could be had.
    stuck: AtomicBool,
    /// That of a process which was forked while it had this one.
    forked: OnceLock<Closer>,
}

#[derive(Debug, Default)]
struct CloserState {
    waiting: Vec<OwnedFd>,
    threads: usize,
}

/// A descriptor that a stranger gave us: it is closed by the [`Closer`], unless it is taken out.
pub(crate) type Foreign = Entrusted<Closer>;

/// Our end of a link to a stranger, who may have put anything into its queue.
pub(crate) type Link = Entrusted<LinkCloser>;

/// The receiving end of a queue for parcels. What is in it may be its sender's again, who has a descriptor of the same end.
pub(crate) type Queue = Entrusted<QueueCloser>;

/// Closes ends of links: here, when nothing is in their queue.
#[derive(Debug, Clone)]
pub(crate) struct LinkCloser(Closer);

/// Closes ends of queues: here, when nothing is in them. It takes nothing out.
#[derive(Debug, Clone)]
pub(crate) struct QueueCloser(Closer);

impl Closer {
    pub(crate) fn new() -> Result<Self> {
        let mark = ForkMark::new().map_err(Error::system("marking what closes descriptors"))?;
        Ok(Closer(Arc::new(Inner {
            mark,
            state: Mutex::default(),
            stuck: AtomicBool::new(false),
            forked: OnceLock::new(),
        })))
    }

    /// That of the process that runs. What it inherited may be locked by a thread that it does not have.
    pub(crate) fn here(&self) -> Closer {
        let mut found = self.clone();
        while !found.0.mark.is_mine() {
            let next = match (found.0.forked.get(), Closer::new()) {
                (Some(next), _) => next.clone(),
                (None, Ok(made)) => found.0.forked.get_or_init(|| made).clone(),
                // Without it, closing may wait.
                (None, Err(_)) => return found,
            };
            found = next;
        }
        if found.0.stuck.swap(false, Ordering::Relaxed) {
            found.start(&mut found.0.lock());
        }
        found
    }

    /// A descriptor that is not to be closed by whoever drops it.
    pub(crate) fn guard(&self, descriptor: OwnedFd) -> Foreign {
        Entrusted::new(descriptor, self.clone())
    }

    /// Our end of a link, or what listens for links.
    pub(crate) fn guard_link(&self, link: OwnedFd) -> Link {
        Entrusted::new(link, LinkCloser(self.clone()))
    }

    /// The receiving end of a queue for parcels.
    pub(crate) fn guard_queue(&self, queue: OwnedFd) -> Queue {
        Entrusted::new(queue, QueueCloser(self.clone()))
    }

    /// Closes a socket of the program's own, at once unless it lingers: whether it does.
    pub(crate) fn close_own(&self, socket: OwnedFd) -> bool {
        let lingers = lingers(&socket);
        if lingers {
            self.close_elsewhere(socket);
        }
        lingers
    }

    /// Closes a stranger's descriptor, at once if that cannot wait for anybody.
    pub(crate) fn close(&self, descriptor: OwnedFd) {
        match is_closed_at_once(&descriptor) {
            true => drop(descriptor),
            false => self.close_elsewhere(descriptor),
        }
    }

    /// Closes what is in the queue of a socket out of which nobody else takes anything any more, if that is not much.
    pub(crate) fn empty(&self, socket: impl AsFd) {
        if !self.0.mark.is_mine() {
            return;
        }
        let mut headroom = Headroom::new();
        for _ in 0..BATCH {
            // Without room, what is received would be closed on the way.
            let has_room = has_descriptors(&socket) && headroom.is_ample(MOST_RIGHTS);
            if !has_room
                || receive_rights(&socket, &mut [0; 1], |descriptor| self.close(descriptor), Look::Take).is_err()
            {
                return;
            }
        }
    }

    fn close_elsewhere(&self, descriptor: OwnedFd) {
        if !self.0.mark.is_mine() {
            // Who forked this process has it, too: this close is not the last.
            return drop(descriptor);
        }
        let mut state = self.0.lock();
        state.waiting.push(descriptor);
        self.start(&mut state);
    }

    /// Starts a thread if there is none, or if those that there are were held up.
    fn start(&self, state: &mut CloserState) {
        let held_up = !state.waiting.is_empty() && (state.threads == 0 || state.waiting.len() > 1);
        if held_up && state.threads < MOST_THREADS {
            let inner = self.0.clone();
            match spawn_masked("sharesock-close", move || inner.run()) {
                Ok(_) => state.threads += 1,
                // Whoever uses the domain next tries again.
                Err(_) => self.0.stuck.store(state.threads == 0, Ordering::Relaxed),
            }
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, CloserState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        loop {
            let mut state = self.lock();
            let left = state.waiting.len().saturating_sub(BATCH);
            let batch = state.waiting.split_off(left);
            if batch.is_empty() {
                state.threads -= 1;
                return;
            }
            drop(state);
            bury(batch);
        }
    }
}

/// Whether `close` waits for nobody: a gate, or a socket that does not linger and in whose queue no descriptors can be.
fn is_closed_at_once(descriptor: &OwnedFd) -> bool {
    match socket_domain(descriptor) {
        Ok(domain) => domain != AddressFamily::UNIX && !lingers(descriptor),
        Err(_) => is_gate(descriptor),
    }
}

/// Closes descriptors such that the last to have them is a thread that ends.
fn bury(batch: Vec<OwnedFd>) {
    let (copied, has_copied) = sync_channel::<bool>(1);
    let (closed, has_closed) = sync_channel::<()>(1);
    // They stay open in the table of that thread, where the numbers mean the same, until it ends.
    let numbers: Vec<_> = batch.iter().map(AsRawFd::as_raw_fd).collect();
    let thread = spawn_masked("sharesock-close", move || {
        let _ = copied.send(keep_only(&numbers).is_ok());
        let _ = has_closed.recv();
    });
    let _ = thread.is_ok() && has_copied.recv() == Ok(true);
    drop(batch);
    let _ = closed.send(());
    if let Ok(thread) = thread {
        let _ = thread.join();
    }
}

impl Bury for Closer {
    fn bury(&self, descriptor: OwnedFd) {
        self.close(descriptor);
    }
}

impl Bury for QueueCloser {
    fn bury(&self, queue: OwnedFd) {
        if self.0.0.mark.is_mine() && has_descriptors(&queue) {
            return self.0.close_elsewhere(queue);
        }
        drop(queue);
    }
}

impl Bury for LinkCloser {
    fn bury(&self, link: OwnedFd) {
        if self.0.0.mark.is_mine() {
            // From now on nothing comes in, so that what is seen to be empty stays empty.
            let _ = shutdown(&link, Shutdown::Both);
            if is_empty(&link) {
                return drop(link);
            }
            self.0.empty(&link);
            for left in (0..BATCH).rev() {
                match next(&link) {
                    Next::Nothing => break,
                    // What waits to be accepted is a link like this one.
                    Next::Link(first) if left > 0 => self.bury(first),
                    Next::Link(first) => {
                        self.0.close_elsewhere(first);
                        return self.0.close_elsewhere(link);
                    }
                    Next::Descriptors => return self.0.close_elsewhere(link),
                }
            }
        }
        drop(link);
    }
}

/// What is first in the queue of a socket.
enum Next {
    /// No descriptors.
    Nothing,
    Descriptors,
    Link(OwnedFd),
}

/// Whether descriptors may be in the queue of a socket.
fn has_descriptors(socket: impl AsFd) -> bool {
    descriptors_in_queue(socket) != Some(0)
}

fn next(socket: &OwnedFd) -> Next {
    match accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        Ok(link) => Next::Link(link),
        Err(Errno::AGAIN) => Next::Nothing,
        // It does not listen.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => {
            if has_descriptors(socket) {
                Next::Descriptors
            } else {
                Next::Nothing
            }
        }
        Err(_) => Next::Descriptors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    /// A connection whose last close waits for 600 seconds.
    fn sticky() -> (TcpStream, OwnedFd) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        socket2::SockRef::from(&server).set_linger(Some(Duration::from_secs(600))).unwrap();
        server.set_nonblocking(true).unwrap();
        while server.write(&[1; 65536]).is_ok() {}
        (client, server.into())
    }

    #[test]
    fn nobody_waits_for_a_close_that_lingers_and_it_is_done() {
        let closer = Closer::new().unwrap();
        let mut clients = Vec::new();
        for n in 0..200 {
            let (client, socket) = sticky();
            clients.push(client);
            match n % 3 {
                0 => assert!(closer.close_own(socket)),
                1 => closer.close(socket),
                _ => drop(closer.guard(socket)),
            }
        }
        // Each has the end after what was sent before: closed, and not reset.
        for mut client in clients {
            let mut all = Vec::new();
            client.read_to_end(&mut all).unwrap();
            assert!(!all.is_empty() && all.iter().all(|byte| *byte == 1));
        }
        let started = Instant::now();
        while closer.0.lock().threads > 0 && started.elapsed() < Duration::from_secs(60) {
            std::thread::yield_now();
        }
        assert_eq!(closer.0.lock().threads, 0, "its threads end when nothing is left to close");
    }
}
