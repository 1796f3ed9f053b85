//! Handing sockets off to one target.

use super::outbox::{Outbox, State};
use crate::error::{Error, Result};
use crate::hand_off::{Parcel, Refused, Sender};
use crate::process::Process;
use crate::provider::Mailbox;
use crate::provider::linux::mail::{Courier, Purpose, connect};
use crate::provider::linux::mailbox::Live;
use crate::provider::linux::sys::Tally;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// The sending end of a link for parcels, and who looks after it.
#[derive(Debug)]
pub(crate) struct Outlet {
    outbox: Arc<Outbox>,
    courier: Arc<Courier>,
}

impl Mailbox {
    pub(crate) fn outlet(&self, target: Process) -> Result<Outlet> {
        self.with_live(|live| Outlet::open(live, target))
    }
}

impl Outlet {
    fn open(live: &Live, target: Process) -> Result<Self> {
        let (tally, file) = Tally::new().map_err(Error::system("preparing a link for parcels"))?;
        let link = connect(&live.domain, &live.me, target.who(), Purpose::HandOff, &[file.as_fd()])?;
        let outbox = Arc::new(Outbox::new(target, link, tally)?);
        live.courier.add(outbox.clone())?;
        Ok(Outlet { outbox, courier: live.courier.clone() })
    }

    #[must_use]
    pub(crate) fn target(&self) -> Process {
        self.outbox.target
    }

    pub(crate) fn hand_off(&self, mut parcel: Parcel) -> Result<(), Box<Refused>> {
        loop {
            match self.try_hand_off(parcel) {
                Err(refused) if matches!(refused.error, Error::HandOffFull { .. }) => parcel = refused.parcel,
                done => return done,
            }
            self.wait_for_room();
        }
    }

    pub(crate) fn try_hand_off(&self, parcel: Parcel) -> Result<(), Box<Refused>> {
        if let Err(error) = self.check() {
            return Err(Box::new(Refused { error, parcel }));
        }
        self.outbox.send_one(&mut self.outbox.lock(), parcel)?;
        self.attend();
        Ok(())
    }

    pub(crate) fn try_hand_off_many(&self, parcels: &mut VecDeque<Parcel>) -> Result<usize> {
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

    pub(crate) fn hand_off_many(&self, parcels: &mut VecDeque<Parcel>) -> Result<()> {
        while !parcels.is_empty() {
            match self.try_hand_off_many(parcels) {
                Err(Error::HandOffFull { .. }) => self.wait_for_room(),
                accepted => drop(accepted?),
            }
        }
        Ok(())
    }

    #[must_use]
    pub(crate) fn outstanding(&self) -> usize {
        match self.outbox.mark.is_mine() {
            true => self.outbox.let_go(&mut self.outbox.lock()),
            false => 0,
        }
    }

    pub(crate) fn flush(&self, timeout: Duration) -> Result<()> {
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

    #[must_use]
    pub(crate) fn is_closed(&self) -> bool {
        if !self.outbox.mark.is_mine() {
            return true;
        }
        let mut state = self.outbox.lock();
        self.outbox.listen(&mut state);
        state.closed
    }

    pub(crate) fn reclaim(self) -> Vec<Parcel> {
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
        self.0.outbox.link().as_fd()
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if self.outbox.mark.is_mine() {
            let State { dropped, .. } = &mut *self.outbox.lock();
            *dropped = true;
            self.courier.ring();
        }
    }
}
