//! Registering sockets in a set, and leaving it.

use super::{Entry, OwnerSlot, Sink, WatchSet, adjust, flags_for};
use crate::error::{Error, Result};
use crate::network_events::NetworkEvents;
use crate::provider::linux::record::{Record, Slot, Table, UNKNOWN, arrivals, is_datagram, look};
use crate::provider::linux::shared_segment::Watcher;
use crate::provider::linux::socket::Watch;
use crate::provider::linux::sys::Interest;
use crate::socket::Socket;
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

/// A slot that somebody else takes from us so often is taken by somebody who wants to keep us.
const ATTEMPTS: usize = 100;

impl<S: Sink> WatchSet<S> {
    /// Registers `socket` here, which cancels the earlier registration (R10).
    pub(crate) fn register(&self, socket: &Socket, mask: NetworkEvents, id: u32) -> Result<()> {
        self.check()?;
        let attached = socket.join_domain(&self.domain)?;
        let table = Table::of(&self.domain)?;
        let owner = self.owner_slot(&table)?.owner;
        // The socket may have joined through another value of the same domain, where it looks for us.
        if let Some(theirs) = socket.domain().filter(|theirs| !theirs.is_same_value(&self.domain)) {
            Table::of(theirs)?.enlist(owner, self.me.clone())?;
        }
        let cookie = socket.id()?;
        let mut watch = attached.watch();
        for _ in 0..ATTEMPTS {
            let slot = table.insert(cookie.as_u64())?;
            if socket.was_accepted() {
                slot.change(|record| record.recorded |= NetworkEvents::CONNECT);
            }
            if attached.is_read_shut() {
                slot.change(|record| record.read_shut = true);
            }
            // What the earlier watch has seen must be recorded first: then what was reported is not reported again.
            let exact = match &*watch {
                Some(watch) => watch.watcher.gather(slot.index()),
                None => slot.mark() != UNKNOWN && slot.mark() == arrivals(socket.as_fd()),
            };
            let Some((former, number)) = self.enter(&slot, owner, socket, mask, id, exact)? else { continue };
            let me = self.me.upgrade().ok_or(Error::Forked)?;
            let left = watch.replace(Watch { watcher: me, slot: slot.index(), number });
            drop(watch);
            drop(left);
            if former != owner && table.hears(former) {
                slot.wake(former);
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
        let former = watched.sockets.remove(&slot.index()).map(|former| {
            former.interest.remove(&self.epoll);
            former.epoch
        });
        let data = u64::from(number) << 32 | u64::from(slot.index());
        let arrived = arrivals(descriptor);
        let add = || Interest::add(&self.epoll, descriptor, data, flags_for(&known, datagrams));
        let added = match add() {
            // It is watched under another slot, which was given away meanwhile.
            Err(Errno::EXIST) => {
                let same = |entry: &Entry| entry.descriptor() == descriptor.as_raw_fd();
                let elsewhere = watched.sockets.iter().find(|(_, entry)| same(entry)).map(|(slot, _)| *slot);
                if let Some(stale) = elsewhere.and_then(|slot| watched.sockets.remove(&slot)) {
                    stale.interest.remove(&self.epoll);
                }
                add()
            }
            added => added,
        };
        let interest = added.map_err(|errno| {
            // What is not watched any more must not look as if it were registered.
            let mine = |record: &Record| record.owner == owner && Some(record.epoch) == former;
            slot.update(|record| mine(record).then(|| record.cancel()));
            Error::system("watching a socket")(errno)
        })?;
        let socket = socket.id()?;
        let mut entry = Entry { interest, socket, number, epoch: 0, datagrams, known: Some(arrived), id };
        let mut observed = look(descriptor, &known, datagrams);
        slot.keep(&mut observed, descriptor);
        let registered = slot.update(|record| {
            let former = record.owner;
            let due = record.register(owner, mask, S::MESSAGES, &observed.seen, !exact);
            Some((former, due, *record))
        });
        let Some((former, due, record)) = registered else {
            entry.interest.remove(&self.epoll);
            return Ok(None);
        };
        slot.set_mark(UNKNOWN);
        entry.epoch = record.epoch;
        adjust(&self.epoll, &mut entry, slot.index(), &record, arrived);
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
        let Some(owner_slot) = self.owner_slot.get().filter(|_| self.mark.is_mine()) else { return };
        if let Ok(table) = Table::of(&self.domain) {
            self.look_at(&mut self.watched(), table, owner_slot.owner, slot);
        }
    }

    fn gather(&self, slot: u32) -> bool {
        let Some(owner_slot) = self.owner_slot.get().filter(|_| self.mark.is_mine()) else { return false };
        self.gather_all();
        let Ok(table) = Table::of(&self.domain) else { return false };
        let watched = self.watched();
        watched.sockets.get(&slot).is_some_and(|entry| {
            let record = table.slot(slot, entry.socket.as_u64()).load();
            record.is_some_and(|record| entry.is_mine(&record, owner_slot.owner))
        })
    }

    fn leave(&self, slot: u32, number: u32) {
        let Some(owner_slot) = self.owner_slot.get().filter(|_| self.mark.is_mine()) else { return };
        let mut watched = self.watched();
        if watched.sockets.get(&slot).is_none_or(|entry| entry.number != number) {
            return;
        }
        let Some(entry) = watched.sockets.remove(&slot) else { return };
        let (socket, epoch) = (entry.socket, entry.epoch);
        entry.interest.remove(&self.epoll);
        if let Ok(table) = Table::of(&self.domain) {
            let mine = |record: &Record| record.owner == owner_slot.owner && record.epoch == epoch;
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
        let Some(OwnerSlot { owner, waker }) = self.owner_slot.take().filter(|_| self.mark.is_mine()) else { return };
        if let Ok(table) = Table::of(&self.domain) {
            table.strike(owner);
            // Its name goes before its index can be given to another, which would have the same name.
            drop(waker);
            table.remove_owner(owner);
        }
    }
}
