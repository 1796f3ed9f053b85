//! What a `Socket` has to do with the table of its domain.

use super::Shared;
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::provider::linux::record::{Slot, Table};
use crate::provider::linux::shared_segment::Watcher;
use crate::socket::Socket;
use rustix::net::{ipproto, sockopt};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What is remembered of the table.
#[derive(Debug)]
pub(crate) struct Joined {
    /// Index of the socket's slot, or `NONE`.
    slot: AtomicU32,
    /// How much had been inserted when it was looked for in vain.
    looked: AtomicU64,
    /// This side has ended its receiving, through this `Socket`.
    read_shut: AtomicBool,
    tcp: OnceLock<bool>,
    watch: Mutex<Option<Watch>>,
    /// Connections that were accepted and could not be given to the program.
    kept: Mutex<VecDeque<Connection>>,
}

/// A connection that was accepted, and the address of its other side.
type Connection = (Socket, socket2::SockAddr);

const NONE: u32 = u32::MAX;

/// The registration that was made through a `Socket`.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) watcher: Arc<dyn Watcher>,
    pub(crate) slot: u32,
    pub(crate) number: u32,
}

impl Joined {
    fn new() -> Self {
        Joined {
            slot: AtomicU32::new(NONE),
            looked: AtomicU64::new(u64::MAX),
            read_shut: AtomicBool::new(false),
            tcp: OnceLock::new(),
            watch: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// Whether it is known that this side has ended its receiving: the kernel does not tell it from the other's end.
    pub(crate) fn is_read_shut(&self) -> bool {
        self.read_shut.load(Ordering::Relaxed)
    }

    pub(crate) fn watch(&self) -> MutexGuard<'_, Option<Watch>> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registration ends with the `Socket` through which it was made.
impl Drop for Watch {
    fn drop(&mut self) {
        self.watcher.leave(self.slot, self.number);
    }
}

impl Shared {
    pub(super) fn domain(&self) -> Option<&Domain> {
        self.domain.get().or_else(|| self.clones.get()?.get())
    }
}

pub(crate) fn join(socket: &Socket, domain: &Domain) -> Result<()> {
    socket.share_in(domain);
    match socket.domain() {
        Some(joined) if !joined.is(domain) => Err(Error::OtherDomain { there: joined.path().to_owned() }),
        _ => Ok(()),
    }
}

impl Socket {
    /// This side ends its receiving. Who registers later learns it from here, or from the record.
    pub(super) fn note_read_shut(&self) {
        self.joined().read_shut.store(true, Ordering::Relaxed);
        if let Some(slot) = self.slot() {
            slot.change(|record| record.read_shut = true);
        }
    }

    /// Whether this is a socket of TCP.
    pub(super) fn is_tcp(&self) -> bool {
        *self.joined().tcp.get_or_init(|| sockopt::socket_protocol(&self.socket) == Ok(Some(ipproto::TCP)))
    }

    /// Keeps a connection for the next who accepts.
    pub(crate) fn keep_connection(&self, connection: Connection) {
        self.joined().kept.lock().unwrap_or_else(PoisonError::into_inner).push_back(connection);
    }

    /// The connection that was kept first.
    pub(crate) fn kept_connection(&self) -> Option<Connection> {
        self.shared.joined.get()?.kept.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Joins if it has not joined any.
    pub(crate) fn share_in(&self, domain: &Domain) {
        if self.domain().is_none() {
            let joined = self.shared.domain.get_or_init(|| domain.clone());
            if let Some(clones) = self.shared.clones.get() {
                let _ = clones.set(joined.clone());
            }
        }
    }

    pub(crate) fn join_domain(&self, domain: &Domain) -> Result<&Joined> {
        join(self, domain)?;
        Ok(self.joined())
    }

    fn joined(&self) -> &Joined {
        self.shared.joined.get_or_init(|| Box::new(Joined::new()))
    }

    pub(crate) fn domain(&self) -> Option<&Domain> {
        self.shared.domain()
    }

    /// The socket's slot in the table of its domain, if it has one. When it has none, that costs a few loads.
    #[inline]
    pub(crate) fn slot(&self) -> Option<Slot<'_>> {
        let table = Table::if_any(self.domain()?).filter(|table| table.inserted() > 0)?;
        if let Some(joined) = self.shared.joined.get() {
            let (index, looked) = (joined.slot.load(Ordering::Relaxed), joined.looked.load(Ordering::Relaxed));
            if index == NONE && looked == table.inserted() {
                return None;
            }
        }
        self.look_up(table)
    }

    fn look_up<'a>(&'a self, table: Table<'a>) -> Option<Slot<'a>> {
        let joined = self.joined();
        let cookie = self.id().ok()?.as_u64();
        let index = joined.slot.load(Ordering::Relaxed);
        if index != NONE {
            let slot = table.slot(index, cookie);
            if slot.load().is_some() {
                return Some(slot);
            }
        }
        let inserted = table.inserted();
        let found = table.find(cookie);
        joined.slot.store(found.map_or(NONE, |slot| slot.index()), Ordering::Relaxed);
        if found.is_none() {
            joined.looked.store(inserted, Ordering::Relaxed);
        }
        found
    }
}
