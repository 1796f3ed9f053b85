//! Taking back what workers were given and did not take, as descriptors are free for it.

use super::dispatch::Dispatcher;
use super::room;
use crate::procfs::stat::Stat;
use crate::run::machine::{Machine, WorkerId};
use crate::run::worker::Worker;
use crate::run::worker::event::Waiting;
use crate::run::worker::link::Link;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use sharesock::{Error, Parcel, Sender, Socket};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// Pause after a worker was found stopped while it took something: to find that takes time.
const STOPPED_PAUSE: Duration = Duration::from_secs(1);
/// Time for which a worker may leave what it was given until it is looked whether it was stopped.
const STOPPED_AFTER: Duration = Duration::from_millis(500);
/// Pause between two looks for clients that have left.
const LOOK_PAUSE: Duration = Duration::from_millis(250);

/// The queue of a worker that takes nothing more from it.
#[derive(Debug)]
pub(crate) struct Left {
    worker: WorkerId,
    sender: Box<Sender>,
    /// When it is tried next.
    due: Instant,
}

impl Dispatcher {
    /// Takes back what a worker was given and did not take, when it has ended or is to take nothing more; now, or later.
    pub(crate) fn take_back(&mut self, id: WorkerId, worker: &mut Worker, has_ended: bool) {
        let (sender, parcels) = worker.link.take_back(has_ended);
        self.left.extend(sender.map(|sender| Left { worker: id, sender, due: Instant::now() }));
        worker.record.handed_off = worker.record.handed_off.saturating_sub(parcels.len() as u64);
        self.put_back(parcels);
    }

    /// Puts back connections that a predecessor had accepted, or that a worker did not take, in their order.
    pub(crate) fn put_back(&mut self, parcels: impl IntoIterator<Item = Parcel, IntoIter: DoubleEndedIterator>) {
        parcels.into_iter().rev().for_each(|parcel| self.waiting.push_front(Waiting::new(parcel)));
    }

    /// Empties the queues that workers have left, as far as descriptors are free.
    pub(crate) fn reclaim(&mut self, workers: &mut BTreeMap<WorkerId, Worker>) {
        for mut left in std::mem::take(&mut self.left) {
            if self.reclaim_from(&mut left, workers) {
                self.left.push(left);
            }
        }
    }

    /// Whether something may be left in it still.
    fn reclaim_from(&mut self, left: &mut Left, workers: &mut BTreeMap<WorkerId, Worker>) -> bool {
        while left.due <= Instant::now() {
            // Connections that come back would take all free descriptors; starting a worker for them needs some.
            let Some(_aside) = room::set_aside(self.waiting.len(), &left.sender) else { return true };
            match left.sender.reclaim_some() {
                Ok(parcels) if parcels.is_empty() => return false,
                Ok(parcels) => {
                    if let Some(worker) = workers.get_mut(&left.worker) {
                        worker.record.handed_off = worker.record.handed_off.saturating_sub(parcels.len() as u64);
                    }
                    self.put_back(parcels);
                }
                Err(Error::System { os_code, .. }) if os_code == Errno::BUSY.raw_os_error() => {
                    left.due = Instant::now() + STOPPED_PAUSE;
                }
                // For lack of descriptors, or of memory: it stays where it is.
                Err(Error::System { .. }) => return true,
                Err(_) => return false,
            }
        }
        true
    }

    /// Takes back what stopped workers were given, while others serve, and lets those be reached again that go on. Returns what is
    /// to be said of it.
    pub(super) fn look_for_stopped(
        &mut self,
        workers: &mut BTreeMap<WorkerId, Worker>,
        machine: &Machine,
    ) -> Vec<String> {
        let is_stopped = |worker: &Worker| Stat::of(worker.record.pid).is_some_and(|stat| stat.is_stopped());
        let mut told = Vec::new();
        for worker in workers.values_mut().filter(|worker| worker.is_stopped && !is_stopped(worker)) {
            worker.is_stopped = false;
            told.push(format!("worker {} goes on, and is given connections again", worker.record.pid));
        }
        let leaves = |worker: &Worker| match &worker.link {
            Link::HandOff { given, .. } => given.front().is_some_and(|since| since.elapsed() >= STOPPED_AFTER),
            _ => false,
        };
        let stopped: Vec<_> = workers.iter().filter(|(_, worker)| leaves(worker) && is_stopped(worker)).collect();
        let stopped: BTreeSet<_> = stopped.into_iter().map(|(id, _)| *id).collect();
        let serves = |(id, worker): (&WorkerId, &Worker)| {
            !stopped.contains(id) && machine.takes_connections(*id) && matches!(worker.link, Link::HandOff { .. })
        };
        if stopped.is_empty() || !workers.iter().any(serves) {
            return told;
        }
        for id in stopped {
            let Some(worker) = workers.get_mut(&id) else { continue };
            worker.is_stopped = true;
            told.push(format!("worker {} is stopped: what it has not taken goes to others", worker.record.pid));
            self.take_back(id, worker, false);
        }
        told
    }

    /// Drops waiting connections whose clients have left, while no worker takes them.
    ///
    /// One that is closed in both directions, or broken, is of no use to anybody. A client that has ended only its own side
    /// may wait for the answer to what it has sent, and stays. If it has sent nothing, it has most likely left; as it might
    /// still await that the server speaks first, it goes only where others are kept out.
    pub(super) fn drop_who_left(&mut self) {
        if self.looked.is_some_and(|when| when.elapsed() < LOOK_PAUSE) {
            return;
        }
        self.looked = Some(Instant::now());
        let is_crowded = !self.room.is_there();
        let sockets = self.waiting.iter().map(|waiting| waiting.parcel.socket());
        let mut polled: Vec<_> = sockets.map(|socket| PollFd::new(socket, PollFlags::RDHUP)).collect();
        if poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_err() {
            return;
        }
        let told: Vec<_> = polled.iter().map(PollFd::revents).collect();
        let mut told = told.into_iter();
        self.waiting.retain(|waiting| {
            let told = told.next().unwrap_or(PollFlags::empty());
            !has_left(told, waiting.parcel.socket(), is_crowded)
        });
    }
}

/// Whether a client is given up of whose connection this was told.
fn has_left(told: PollFlags, socket: &Socket, is_crowded: bool) -> bool {
    let is_over = told.intersects(PollFlags::HUP | PollFlags::ERR);
    let sent_nothing = || socket.as_socket().peek(&mut [MaybeUninit::uninit()]).is_ok_and(|length| length == 0);
    is_over || is_crowded && told.contains(PollFlags::RDHUP) && sent_nothing()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};

    #[test]
    fn a_client_that_may_await_an_answer_has_not_left() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let left = |act: &dyn Fn(&mut TcpStream), is_crowded| {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let socket = Socket::from(listener.accept().unwrap().0);
            act(&mut client);
            let mut polled = [PollFd::new(&socket, PollFlags::RDHUP)];
            poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
            has_left(polled[0].revents(), &socket, is_crowded)
        };
        let end = |client: &mut TcpStream| client.shutdown(Shutdown::Write).unwrap();
        let ask = |client: &mut TcpStream| client.write_all(b"who").unwrap();
        for is_crowded in [false, true] {
            assert!(!left(&|_| {}, is_crowded));
            assert!(!left(&ask, is_crowded));
            let asked = |client: &mut TcpStream| {
                ask(client);
                end(client);
            };
            assert!(!left(&asked, is_crowded));
            assert_eq!(left(&end, is_crowded), is_crowded);
        }
    }
}
