//! Receiving what others hand off.

use super::link::{Link, Step};
use super::{BACK, QUOTA, pipe_name};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::hand_off::{Parcel, ReceiverName};
use crate::process::Process;
use crate::provider::windows::sys::{Descriptor, Pipe, Port};
use crate::wait::{Deadline, Wait};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_PIPE_BUSY};

/// The most links, together with those that nobody has opened yet.
const MOST_LINKS: usize = 4096;
/// So many senders may open a link while the program does not look.
const BACKLOG: usize = 32;
/// So many times something is read from one link before others get their turn.
const RUN: u32 = 64;
/// What is posted when there is something for another thread; links count from 1.
const WAKER: usize = 0;
/// How long a link that is closed waits for what its sender has begun to send.
const LINK_CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// The receiving end of all links of a process. It has no thread: whoever receives does the work that there is.
#[derive(Debug)]
pub(crate) struct InnerReceiver {
    /// Says which links to look at.
    port: Port,
    name: String,
    security: Descriptor,
    state: Mutex<ReceiverState>,
}

#[derive(Debug, Default)]
struct ReceiverState {
    links: HashMap<usize, Link>,
    /// How many links nobody has opened yet.
    unopened: usize,
    /// Links that may have something to read.
    due: VecDeque<usize>,
    /// The link that is being read, and how much longer.
    current: Option<(usize, u32)>,
    last: usize,
    /// How many threads wait at the port.
    waiting: usize,
    /// A wake-up was posted, and no thread has taken it yet.
    woken: bool,
}

impl InnerReceiver {
    pub(crate) fn open(domain: &Domain, me: Process, name: &ReceiverName) -> Result<Self> {
        let refused = Error::io("opening a receiver");
        let receiver = InnerReceiver {
            port: Port::new().map_err(&refused)?,
            name: pipe_name(domain, &me, name),
            security: Descriptor::of_this_user().map_err(&refused)?,
            state: Mutex::default(),
        };
        receiver.lock().listen(&receiver, true).map_err(|error| match is_taken(&error) {
            true => Error::ReceiverOpen { name: name.as_str().to_owned(), domain: domain.path().to_owned() },
            false => refused(error),
        })?;
        receiver.lock().restock(&receiver).map_err(&refused)?;
        Ok(receiver)
    }

    pub(crate) fn receive(&self, wait: Wait) -> Result<Option<Parcel>> {
        let deadline = wait.begin();
        loop {
            let parcel = self.next(&deadline)?;
            if parcel.is_some() || deadline.is_over() {
                return Ok(parcel);
            }
        }
    }

    pub(crate) fn try_receive(&self) -> Result<Option<Parcel>> {
        let mut state = self.lock();
        loop {
            if let Some(parcel) = state.take(self)? {
                return Ok(Some(parcel));
            }
            let keys = self.port.wait(Some(Duration::ZERO)).map_err(Error::io("looking for parcels"))?;
            if keys.is_empty() {
                return Ok(None);
            }
            state.hear(&keys);
        }
    }

    pub(crate) fn receive_many(&self, most: usize) -> Result<Vec<Parcel>> {
        let mut parcels = Vec::new();
        if most > 0 {
            parcels.extend(self.receive(Wait::forever())?);
        }
        let mut state = self.lock();
        while parcels.len() < most {
            match state.take(self) {
                Ok(Some(parcel)) => parcels.push(parcel),
                // An error that lasts shows at the next call.
                Ok(None) | Err(_) => break,
            }
        }
        Ok(parcels)
    }

    /// Waits until there may be something, and leaves it for whoever receives; whether there may be.
    #[cfg(feature = "tokio")]
    pub(crate) fn wait_ready(&self, timeout: Duration) -> Result<bool> {
        let mut state = self.lock();
        if state.has_more() {
            return Ok(true);
        }
        state.waiting += 1;
        drop(state);
        let keys = self.port.wait(Some(timeout));
        let mut state = self.lock();
        state.waiting -= 1;
        let keys = keys.map_err(Error::io("waiting for parcels"))?;
        state.hear(&keys);
        Ok(!keys.is_empty())
    }

    fn lock(&self) -> MutexGuard<'_, ReceiverState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one parcel, or waits once.
    fn next(&self, deadline: &Deadline) -> Result<Option<Parcel>> {
        let mut state = self.lock();
        if let Some(parcel) = state.take(self)? {
            return Ok(Some(parcel));
        }
        state.waiting += 1;
        drop(state);
        // Not under the lock: other threads may take what they find.
        let keys = self.port.wait(deadline.left());
        let mut state = self.lock();
        state.waiting -= 1;
        state.hear(&keys.map_err(Error::io("waiting for parcels"))?);
        state.take(self)
    }
}

impl Drop for InnerReceiver {
    /// Tells all senders, and discards what they handed off and nobody took.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut links: Vec<_> = std::mem::take(&mut state.links).into_values().collect();
        // First nobody can open a link any more.
        links.retain_mut(|link| link.was_called() || !matches!(link.step(), Ok(Step::Drained)));
        let until = Instant::now() + LINK_CLOSE_TIMEOUT;
        links.into_iter().for_each(|link| link.end(until));
    }
}

impl ReceiverState {
    /// Takes one parcel from the links that are known to have something, and leaves the others to other threads.
    fn take(&mut self, receiver: &InnerReceiver) -> Result<Option<Parcel>> {
        let taken = self.look(receiver);
        if self.has_more() && self.waiting > 0 && !self.woken {
            self.woken = receiver.port.post(WAKER).is_ok();
        }
        taken
    }

    fn has_more(&self) -> bool {
        self.current.is_some() || !self.due.is_empty()
    }

    fn look(&mut self, receiver: &InnerReceiver) -> Result<Option<Parcel>> {
        loop {
            let Some((id, left)) = self.current.take().or_else(|| self.due.pop_front().map(|id| (id, RUN))) else {
                return Ok(None);
            };
            if left == 0 {
                // Others first, also those of which only the port knows.
                self.hear(&receiver.port.wait(Some(Duration::ZERO)).unwrap_or_default());
                self.due.push_back(id);
                continue;
            }
            // A link that is gone was due twice.
            let Some(link) = self.links.get_mut(&id) else { continue };
            match link.step() {
                Ok(Step::Parcel(parcel)) => {
                    self.current = Some((id, left));
                    return Ok(Some(parcel));
                }
                Ok(Step::Some) => self.current = Some((id, left - 1)),
                Ok(Step::Drained) => {}
                Ok(Step::Called) => {
                    self.current = Some((id, left - 1));
                    self.unopened -= 1;
                    self.restock(receiver).map_err(Error::io("preparing for more links"))?;
                }
                Ok(Step::Closed) => self.close(id, receiver)?,
                Err(error) => {
                    self.close(id, receiver)?;
                    return Err(error);
                }
            }
        }
    }

    /// Notes what the port said.
    fn hear(&mut self, keys: &[usize]) {
        for key in keys {
            match *key {
                WAKER => self.woken = false,
                id => self.due.push_back(id),
            }
        }
    }

    fn close(&mut self, id: usize, receiver: &InnerReceiver) -> Result<()> {
        if let Some(link) = self.links.remove(&id) {
            self.unopened -= usize::from(!link.was_called());
            link.end(Instant::now() + LINK_CLOSE_TIMEOUT);
        }
        self.restock(receiver).map_err(Error::io("preparing for more links"))
    }

    /// Prepares for more senders.
    fn restock(&mut self, receiver: &InnerReceiver) -> io::Result<()> {
        while self.unopened < BACKLOG && self.links.len() < MOST_LINKS {
            match self.listen(receiver, false) {
                // A few will do when there is no memory for more.
                Err(_) if self.unopened > 0 => break,
                listening => listening?,
            }
        }
        Ok(())
    }

    /// Prepares for one more sender.
    fn listen(&mut self, receiver: &InnerReceiver, first: bool) -> io::Result<()> {
        let id = self.last + 1;
        let pipe = Pipe::serve(&receiver.name, first, &receiver.security, (&receiver.port, id), (QUOTA, BACK))?;
        self.links.insert(id, Link::new(pipe)?);
        self.last = id;
        self.unopened += 1;
        // Somebody may have called at once.
        self.due.push_back(id);
        Ok(())
    }
}

/// Whether the first instance of a pipe is refused because there is one already.
fn is_taken(error: &io::Error) -> bool {
    let code = error.raw_os_error().and_then(|code| u32::try_from(code).ok());
    matches!(code, Some(ERROR_ACCESS_DENIED | ERROR_PIPE_BUSY))
}
