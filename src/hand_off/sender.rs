//! Handing sockets off to one target.

use super::outbox::{Outbox, State};
use super::{Parcel, Refused};
use crate::endpoint::{Endpoint, Live};
use crate::error::{Error, Result};
use crate::mail::{Courier, Purpose, connect};
use crate::process::{Process, Target};
use crate::sys::Tally;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// Hands sockets off to one target process, in order.
///
/// A parcel that was accepted is on its way: it reaches the target even if this process ends. The sender keeps its
/// own descriptor until the target's program has taken the parcel, and closes it soon after (the endpoint's courier
/// thread does). When the target ends or fails, [`reclaim`](Sender::reclaim) gives back exactly what its program did
/// not take, with its bytes.
///
/// Dropping a sender changes nothing for parcels on their way; those that the target then does not take are closed.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("sharesock-doc-sender-{}", std::process::id()));
/// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&folder)?)?;
/// use sharesock::{Parcel, Socket};
/// let receiver = endpoint.receiver()?; // here in the same process
/// let sender = endpoint.sender(std::process::id())?;
/// let socket = Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?);
/// sender.hand_off(Parcel::new(socket).with_bytes(b"a session".to_vec()))?;
/// let (_socket, bytes) = receiver.receive()?.into_parts();
/// assert_eq!(bytes, b"a session");
/// # drop((endpoint, receiver, sender));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sender {
    outbox: Arc<Outbox>,
    courier: Arc<Courier>,
}

impl Endpoint {
    /// A sender that hands sockets off to the process `target`.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`]; [`Error::NoEndpoint`] when the target has no [`Receiver`](crate::Receiver) in this
    /// domain; [`Error::Impostor`]; [`Error::System`].
    pub fn sender(&self, target: impl Target) -> Result<Sender> {
        let target = target.process()?;
        self.with_live(|live| Sender::open(live, target))
    }
}

impl Sender {
    fn open(live: &Live, target: Process) -> Result<Self> {
        let (tally, file) = Tally::new().map_err(Error::system("preparing a link for parcels"))?;
        let link = connect(&live.domain, &live.me, target.who(), Purpose::HandOff, &[file.as_fd()])?;
        let outbox = Arc::new(Outbox::new(target, link, tally)?);
        live.courier.add(outbox.clone())?;
        Ok(Sender { outbox, courier: live.courier.clone() })
    }

    /// The process that receives.
    #[must_use]
    pub fn target(&self) -> Process {
        self.outbox.target
    }

    /// Hands one parcel off, waiting while there is no room for it.
    ///
    /// # Errors
    /// The parcel comes back with [`Error::TargetGone`], [`Error::TargetOutOfDescriptors`], [`Error::TooManyBytes`],
    /// [`Error::Forked`] or [`Error::System`].
    pub fn hand_off(&self, parcel: impl Into<Parcel>) -> Result<(), Box<Refused>> {
        let mut parcel = parcel.into();
        loop {
            match self.try_hand_off(parcel) {
                Err(refused) if matches!(refused.error, Error::HandOffFull { .. }) => parcel = refused.parcel,
                done => return done,
            }
            self.wait_for_room();
        }
    }

    /// Hands one parcel off if there is room for it now.
    ///
    /// # Errors
    /// As [`hand_off`](Sender::hand_off); and [`Error::HandOffFull`] when 4,096 parcels are not taken yet, when the
    /// kernel's queue is full, or when too many descriptors are in flight.
    pub fn try_hand_off(&self, parcel: impl Into<Parcel>) -> Result<(), Box<Refused>> {
        let parcel = parcel.into();
        if let Err(error) = self.check() {
            return Err(Box::new(Refused { error, parcel }));
        }
        self.outbox.send_one(&mut self.outbox.lock(), parcel)?;
        self.attend();
        Ok(())
    }

    /// Hands parcels off from the front of `parcels`, many in one message, until all are accepted or there is no room
    /// for more; returns how many were accepted. The others stay in `parcels`.
    ///
    /// # Errors
    /// As [`try_hand_off`](Sender::try_hand_off), when not even one was accepted.
    pub fn try_hand_off_many(&self, parcels: &mut VecDeque<Parcel>) -> Result<usize> {
        self.check()?;
        let mut accepted = 0;
        while !parcels.is_empty() {
            match self.outbox.send_many(&mut self.outbox.lock(), parcels) {
                Ok(count) => accepted += count,
                Err(error) if accepted == 0 => return Err(error),
                Err(_) => break,
            }
        }
        self.attend();
        Ok(accepted)
    }

    /// Hands all parcels off, from the front, many in one message, waiting while there is no room for more.
    ///
    /// # Errors
    /// As [`hand_off`](Sender::hand_off); what was not accepted stays in `parcels`.
    pub fn hand_off_many(&self, parcels: &mut VecDeque<Parcel>) -> Result<()> {
        while !parcels.is_empty() {
            match self.try_hand_off_many(parcels) {
                Err(Error::HandOffFull { .. }) => self.wait_for_room(),
                accepted => drop(accepted?),
            }
        }
        Ok(())
    }

    /// How many parcels the target's program has not taken yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        match self.outbox.mark.is_mine() {
            true => self.outbox.let_go(&mut self.outbox.lock()),
            false => 0,
        }
    }

    /// Waits until the target's program has taken everything.
    ///
    /// # Errors
    /// [`Error::NotTaken`] when it has not after `timeout`; [`Error::TargetGone`] and
    /// [`Error::TargetOutOfDescriptors`] when it will not: then [`reclaim`](Sender::reclaim).
    pub fn flush(&self, timeout: Duration) -> Result<()> {
        self.check()?;
        let started = Instant::now();
        let mut state = self.outbox.lock();
        state.waiting += 1;
        self.courier.ring();
        while self.outbox.let_go(&mut state) > 0 && !state.closed {
            let left = timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                break;
            }
            state = self.outbox.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting -= 1;
        match self.outbox.let_go(&mut state) {
            0 => Ok(()),
            _ if state.closed => Err(self.outbox.gone()),
            count => Err(Error::NotTaken { pid: self.outbox.target.pid(), count }),
        }
    }

    /// Whether the target has ended or closed its receiver, so that it takes nothing more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        if !self.outbox.mark.is_mine() {
            return true;
        }
        let mut state = self.outbox.lock();
        self.outbox.listen(&mut state);
        state.closed
    }

    /// Ends the link and gives back, in order, exactly what the target's program has not taken.
    ///
    /// It may be called at any time: what this returns, the target cannot take any more.
    #[must_use = "the sockets that were not taken are closed when they are dropped"]
    pub fn reclaim(self) -> Vec<Parcel> {
        match self.outbox.mark.is_mine() {
            true => self.outbox.reclaim(&mut self.outbox.lock()),
            false => Vec::new(),
        }
    }

    fn check(&self) -> Result<()> {
        self.outbox.mark.is_mine().then_some(()).ok_or(Error::Forked)
    }

    fn attend(&self) {
        if self.outbox.needs_courier() {
            self.courier.ring();
        }
    }

    /// Waits until there may be room for more.
    fn wait_for_room(&self) {
        let mut state = self.outbox.lock();
        state.waiting += 1;
        self.courier.ring();
        state = self.outbox.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
    }
}

impl AsFd for Sender {
    /// Hangs up when the target has ended or closed its receiver: for a poll loop. It may be readable before, in which
    /// case [`is_closed`](Sender::is_closed) makes it quiet.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.outbox.link().as_fd()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if self.outbox.mark.is_mine() {
            let State { dropped, .. } = &mut *self.outbox.lock();
            *dropped = true;
            self.courier.ring();
        }
    }
}
