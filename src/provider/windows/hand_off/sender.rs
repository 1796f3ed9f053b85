//! Handing sockets off to one target.
//!
//! No thread looks after a sender: what the target's program has taken is closed here at the next call, or when the
//! sender is dropped.

use super::counter::Counter;
use super::message::Greeting;
use super::pipe_name;
use super::send_queue::{Other, SendQueue};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::hand_off::{Parcel, ReceiverName, Refused};
use crate::process::Process;
use crate::provider::windows::socket::Shared;
use crate::provider::windows::sys::{Pipe, PipeEvent, Running};
use crate::socket::{Socket, SocketRef};
use crate::wait::{Deadline, Wait};
use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use windows_sys::Win32::Foundation::{ERROR_FILE_NOT_FOUND, ERROR_PIPE_BUSY};

/// How long a target may take for the greeting, for which there is room in every pipe.
const GREETING_TIMEOUT: Duration = Duration::from_secs(1);

/// The sending end of a link.
///
/// Dropping it changes nothing for parcels on their way: the pipe keeps the messages, and the target has the
/// duplicates.
#[derive(Debug)]
pub(crate) struct InnerSender {
    other: Other,
    /// Set when the target has sent something, or closed the link.
    event: PipeEvent,
    send_queue: Mutex<SendQueue>,
    /// Notified when the thread that watched for news has them.
    news: Condvar,
}

impl InnerSender {
    pub(crate) fn open(domain: &Domain, me: Process, target: Process, receiver: &ReceiverName) -> Result<Self> {
        let refused = Error::io("opening a link for parcels");
        let pid = target.pid();
        let process = Running::giving(target)?;
        let (pipe, event) = Pipe::call(&pipe_name(domain, &target, receiver)).map_err(|error| match code(&error) {
            Some(ERROR_FILE_NOT_FOUND) => Error::no_endpoint(pid, domain),
            Some(ERROR_PIPE_BUSY) => Error::QueueFull { pid },
            _ => refused(error),
        })?;
        // Who serves the pipe is the kernel's word, not the name's. Nothing is given to anybody else.
        let answered = pipe.server_pid().map_err(&refused)?;
        if answered != pid {
            return Err(Error::Impostor { pid, answered });
        }
        let (counter, handle, mark) = Counter::new().map_err(&refused)?;
        let ticket = Counter::give(&handle, mark, &process).map_err(&refused)?;
        let greeting = Greeting { process: me, ticket }.to_bytes();
        // Whoever does not take it has just closed its receiver.
        pipe.write(&greeting, GREETING_TIMEOUT).map_err(|_| Error::no_endpoint(pid, domain))?;
        let other = Other { target, process, counter };
        Ok(InnerSender { other, event, send_queue: Mutex::new(SendQueue::new(pipe)), news: Condvar::new() })
    }

    pub(crate) fn target(&self) -> Process {
        self.other.target
    }

    pub(crate) fn hand_off(&self, mut parcel: Parcel, wait: Wait) -> Result<(), Box<Refused>> {
        let deadline = wait.begin();
        loop {
            let length = parcel.bytes.len();
            match self.try_hand_off(parcel) {
                Err(refused) if matches!(refused.error, Error::HandOffFull { .. }) && !deadline.is_over() => {
                    parcel = refused.parcel;
                }
                done => return done,
            }
            self.wait_for_room(length, &deadline);
        }
    }

    pub(crate) fn hand_off_copy(&self, socket: &SocketRef<'_>, bytes: &[u8], wait: Wait) -> Result<()> {
        let id = socket.id()?;
        let copy = socket.as_socket().try_clone().map_err(Error::io("duplicating a descriptor"))?;
        let socket = Socket::from_parts(copy, Shared::with_id(id));
        self.hand_off(Parcel::new(socket).with_bytes(bytes), wait).map_err(Error::from)
    }

    fn try_hand_off(&self, parcel: Parcel) -> Result<(), Box<Refused>> {
        let mut parcels = VecDeque::from([parcel]);
        let sent = self.lock().send(&self.other, &mut parcels);
        match (sent, parcels.pop_front()) {
            (Err(error), Some(parcel)) => Err(Box::new(Refused { error, parcel })),
            _ => Ok(()),
        }
    }

    pub(crate) fn progress(&self) -> Result<Progress> {
        let instead = "wait in a thread for hand_off or flush";
        Err(Error::NotOnThisSystem { what: "by a descriptor that a target has taken something", instead })
    }

    pub(crate) fn try_hand_off_many(&self, parcels: &mut VecDeque<Parcel>) -> Result<usize> {
        let mut accepted = 0;
        while !parcels.is_empty() {
            match self.lock().send(&self.other, parcels) {
                Ok(count) => accepted += count,
                Err(error) if accepted == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(accepted)
    }

    pub(crate) fn hand_off_many(&self, parcels: &mut VecDeque<Parcel>) -> Result<()> {
        let forever = Wait::forever().begin();
        while let Some(first) = parcels.front() {
            let length = first.bytes.len();
            match self.try_hand_off_many(parcels) {
                Err(Error::HandOffFull { .. }) => self.wait_for_room(length, &forever),
                accepted => drop(accepted?),
            }
        }
        Ok(())
    }

    pub(crate) fn outstanding(&self) -> usize {
        self.lock().let_go(&self.other)
    }

    pub(crate) fn flush(&self, wait: Wait) -> Result<()> {
        let mut send_queue = self.wait(&wait.begin(), |send_queue| send_queue.let_go(&self.other) == 0);
        match send_queue.let_go(&self.other) {
            0 => Ok(()),
            _ if send_queue.closed => Err(self.other.gone()),
            count => Err(Error::NotTaken { pid: self.other.target.pid(), count }),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        let mut send_queue = self.lock();
        self.look(&mut send_queue);
        send_queue.closed
    }

    pub(crate) fn reclaim(self) -> Vec<Parcel> {
        self.lock().reclaim(&self.other)
    }

    /// What was not taken is here all the time, so that it needs no room.
    pub(crate) fn reclaim_some(&self) -> Result<Vec<Parcel>> {
        Ok(self.lock().reclaim(&self.other))
    }

    fn lock(&self) -> MutexGuard<'_, SendQueue> {
        self.send_queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, send_queue: &mut SendQueue) {
        send_queue.let_go(&self.other);
        send_queue.listen(&self.other);
        send_queue.closed |= self.other.process.has_ended();
    }

    /// Waits until there may be room for a parcel with so many bytes.
    fn wait_for_room(&self, length: usize, deadline: &Deadline) {
        drop(self.wait(deadline, |send_queue| send_queue.has_room(&self.other, length)));
    }

    /// Waits until something is as it should be or the link is closed, until the wait is over at most.
    fn wait(&self, deadline: &Deadline, done: impl Fn(&mut SendQueue) -> bool) -> MutexGuard<'_, SendQueue> {
        let mut send_queue = self.lock();
        loop {
            self.look(&mut send_queue);
            if send_queue.closed || done(&mut send_queue) {
                return send_queue;
            }
            // Before the last look, or a take in between would go unnoticed.
            self.other.counter.ask();
            self.look(&mut send_queue);
            let left = deadline.left();
            if send_queue.closed || done(&mut send_queue) || left == Some(Duration::ZERO) {
                return send_queue;
            }
            send_queue = self.pause(send_queue, left);
        }
    }

    /// Waits for news, not under the lock. One thread waits for the target, the others for that thread.
    fn pause<'a>(
        &'a self,
        mut send_queue: MutexGuard<'a, SendQueue>,
        left: Option<Duration>,
    ) -> MutexGuard<'a, SendQueue> {
        if send_queue.watched {
            return match left {
                Some(left) => self.news.wait_timeout(send_queue, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.news.wait(send_queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
        send_queue.watched = true;
        drop(send_queue);
        let waited = self.other.process.wait(&self.event, left);
        send_queue = self.lock();
        send_queue.watched = false;
        // What cannot be waited for does not come.
        send_queue.closed |= waited.is_err();
        self.news.notify_all();
        send_queue
    }
}

/// Tells when a target has taken something: no descriptor does here.
#[derive(Debug)]
pub(crate) enum Progress {}

impl Progress {
    pub(crate) fn clear(&self) {
        match *self {}
    }
}

fn code(error: &io::Error) -> Option<u32> {
    error.raw_os_error().and_then(|code| u32::try_from(code).ok())
}
