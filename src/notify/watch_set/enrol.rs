//! Registering sockets in a set, and leaving it.

use super::{Entry, Sink, WatchSet, adjust, flags_for};
use crate::commons::Watcher;
use crate::error::{Error, Result};
use crate::network_events::NetworkEvents;
use crate::record::{Record, Slot, Table, arrivals, is_datagram, look};
use crate::socket::{Socket, Watch};
use crate::sys::Interest;
use std::os::fd::AsFd;
use std::sync::Arc;

/// A slot that somebody else takes from us so often is taken by somebody who wants to keep us.
const ATTEMPTS: usize = 100;

impl<S: Sink> WatchSet<S> {
    /// Registers `socket` here, which cancels the earlier registration (R10).
    pub(crate) fn register(&self, socket: &Socket, mask: NetworkEvents, id: u32) -> Result<()> {
        self.check()?;
        let attached = socket.join_domain(&self.domain)?;
        let table = Table::of(&self.domain)?;
        let owner = self.place(&table)?.owner;
        let cookie = socket.id()?;
        let mut watch = attached.watch();
        for _ in 0..ATTEMPTS {
            let slot = table.insert(cookie.as_u64())?;
            if socket.was_accepted() {
                slot.change(|record| record.recorded |= NetworkEvents::CONNECT);
            }
            // What the earlier watch has seen must be recorded first: then what was reported is not reported again.
            let exact = match &*watch {
                Some(watch) => watch.watcher.gather(slot.index()),
                None => slot.mark() != 0 && slot.mark() == arrivals(socket.as_fd()),
            };
            let Some((former, number)) = self.enter(&slot, owner, socket, mask, id, exact)? else { continue };
            let me = self.me.upgrade().ok_or(Error::Forked)?;
            let left = watch.replace(Watch { watcher: me, slot: slot.index(), number });
            drop(watch);
            drop(left);
            if former != owner && table.hears(former) {
                slot.ring(former);
            }
            return Ok(());
        }
        Err(Error::TableFull { what: "registered sockets" })
    }

    /// Watches the socket, then makes the record ours; who had it before. Nothing when the slot was given away.
    fn enter(
        &self,
        slot: &Slot<'_>,
        owner: u16,
        socket: &Socket,
        mask: NetworkEvents,
        id: u32,
        exact: bool,
    ) -> Result<Option<(u16, u32)>> {
        let descriptor = socket.as_fd();
        let datagrams = is_datagram(descriptor);
        let mut watched = self.watched();
        // In messages everything that holds is told again.
        let mut known = slot.load().unwrap_or_default();
        known.messages = S::MESSAGES;
        if S::MESSAGES {
            known.recorded &= NetworkEvents::CONNECT;
        }
        watched.last = watched.last.wrapping_add(1) % (u32::MAX - 1);
        let number = watched.last;
        if let Some(other) = watched.sockets.remove(&slot.index()) {
            other.interest.remove(&self.epoll);
        }
        let data = u64::from(number) << 32 | u64::from(slot.index());
        let interest = Interest::add(&self.epoll, descriptor, data, flags_for(&known, datagrams))
            .map_err(Error::system("watching a socket"))?;
        let mut entry = Entry { interest, socket: socket.id()?, number, epoch: 0, datagrams, fresh: true, id };
        let observed = look(descriptor, &known, datagrams);
        if let Some(errno) = observed.failure {
            slot.keep_code(errno);
        }
        let registered = slot.update(|record| {
            let former = record.owner;
            let due = record.register(owner, mask, S::MESSAGES, &observed.seen, !exact);
            Some((former, due, *record))
        });
        let Some((former, due, record)) = registered else {
            entry.interest.remove(&self.epoll);
            return Ok(None);
        };
        slot.set_mark(0);
        entry.epoch = record.epoch;
        adjust(&self.epoll, &mut entry, slot.index(), &record);
        self.tell(&entry, slot.index(), due);
        watched.sockets.insert(slot.index(), entry);
        Ok(Some((former, number)))
    }

    /// The message id of a registration that is ours.
    pub(crate) fn id_of(&self, slot: u32) -> Option<u32> {
        self.watched().sockets.get(&slot).map(|entry| entry.id)
    }
}

impl<S: Sink + std::fmt::Debug> Watcher for WatchSet<S> {
    fn look(&self, slot: u32) {
        let Some(place) = self.place.get().filter(|_| self.mark.is_mine()) else { return };
        if let Ok(table) = Table::of(&self.domain) {
            self.look_at(&mut self.watched(), table, place.owner, slot);
        }
    }

    fn gather(&self, slot: u32) -> bool {
        let Some(place) = self.place.get().filter(|_| self.mark.is_mine()) else { return false };
        self.gather_all();
        let Ok(table) = Table::of(&self.domain) else { return false };
        let watched = self.watched();
        watched.sockets.get(&slot).is_some_and(|entry| {
            let record = table.slot(slot, entry.socket.as_u64()).load();
            record.is_some_and(|record| entry.is_mine(&record, place.owner))
        })
    }

    fn leave(&self, slot: u32, number: u32) {
        let Some(place) = self.place.get().filter(|_| self.mark.is_mine()) else { return };
        let mut watched = self.watched();
        if watched.sockets.get(&slot).is_none_or(|entry| entry.number != number) {
            return;
        }
        let Some(entry) = watched.sockets.remove(&slot) else { return };
        let (socket, epoch) = (entry.socket, entry.epoch);
        entry.interest.remove(&self.epoll);
        if let Ok(table) = Table::of(&self.domain) {
            let mine = |record: &Record| record.owner == place.owner && record.epoch == epoch;
            table.slot(slot, socket.as_u64()).update(|record| mine(record).then(|| record.cancel()));
        }
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn std::any::Any + Send + Sync> {
        self
    }
}

impl<S: Sink> Drop for WatchSet<S> {
    fn drop(&mut self) {
        // A socket that watches has a part in the set: here none is left. In a forked child all is the parent's.
        if let (Some(place), true) = (self.place.get(), self.mark.is_mine()) {
            if let Ok(table) = Table::of(&self.domain) {
                table.strike(place.owner);
                table.remove_owner(place.owner);
            }
        }
    }
}
