//! Where one process receives duplicates: what came in, and what became of it.

use super::birth::inherited;
use super::{FEW_LINKS, Frame, Listener, MOST_LINKS, Purpose, Refusal, SIZE, Token, at_end, is_from, since_boot};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::process::{Process, Who};
use crate::provider::linux::sys::{Headroom, receive_rights, take_gate};
use foldhash::fast::RandomState;
use foldhash::{HashMap, HashMapExt};
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown, sockopt};
use std::hash::BuildHasher;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The most duplicates taken from the kernel that wait here for their infos.
const MOST_READY: usize = 16_384;
/// At least so many fates are remembered, to tell a second use from an unknown info.
const REMEMBERED: usize = 8192;

/// What identifies a duplicate at its target: who sent it, by the kernel's word, and its token.
pub(crate) type Key = (Who, Token);

/// The receiving half of an endpoint.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Nothing in a forked child, where it belongs to the parent.
    listener: Option<Listener>,
    me: Process,
    links: Vec<Incoming>,
    /// With so many links, those that are at their end are closed.
    tidy_at: usize,
    arrived: Arrived,
}

/// A link over which another process delivers to this one.
#[derive(Debug)]
struct Incoming {
    link: Arc<OwnedFd>,
    /// The process at its other end; unknown until it said so and the kernel agreed.
    source: Option<Who>,
    /// What this process claimed over it and still waits for.
    claim: Option<Token>,
}

/// What came in.
#[derive(Debug)]
struct Arrived {
    headroom: Headroom,
    ready: HashMap<Key, Waiting>,
    fates: Fates,
}

/// What became of the last duplicates, in two halves: when one is full, the other is forgotten.
///
/// They are found by a hash of 64 bits that nobody outside can predict: small tables stay in the processor's cache.
#[derive(Debug, Default)]
struct Fates {
    hash: RandomState,
    young: HashMap<u64, Fate>,
    old: HashMap<u64, Fate>,
}

/// A duplicate that waits for its info.
#[derive(Debug)]
struct Waiting {
    descriptor: OwnedFd,
    expires: u64,
    gate: Option<OwnedFd>,
}

/// What became of a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Redeemed,
    Expired,
    Revoked,
    /// Its source does not hold it, or no longer: it may have delivered it meanwhile.
    NotHeld,
    /// Its source ended before it answered a claim.
    SourceGone,
}

/// What reading a link came to.
enum Read {
    /// A duplicate was taken.
    Duplicate(Key, Waiting),
    /// Another frame was taken.
    Frame,
    /// Nothing more waits on it now.
    Drained,
    /// It is at its end, or what came over it was no frame of ours.
    Closed,
}

impl Inbox {
    pub(crate) fn open(domain: &Domain, me: &Process) -> Result<Self> {
        let listener = match inherited(domain, me)? {
            Some(listener) => listener,
            None => Listener::open(domain, me, Purpose::Mail)?,
        };
        Ok(Inbox { listener: Some(listener), me: *me, links: Vec::new(), tidy_at: FEW_LINKS, arrived: Arrived::new() })
    }

    /// Takes the duplicate `key`, if it has arrived; nothing when it has not.
    ///
    /// # Errors
    /// Those of its fate, if that is known; [`Error::System`] and [`Error::TooManyUnredeemed`] when there is no room.
    pub(crate) fn take(&mut self, key: &Key) -> Result<Option<OwnedFd>> {
        if let Some(fate) = self.arrived.fates.of(key).filter(|fate| !fate.may_change()) {
            return Err(fate.error());
        }
        let mut found = self.look_for(key)?;
        if found.is_none() && self.arrived.fates.of(key).is_some() {
            // What its source does not hold any longer may have been delivered just before it said so.
            found = self.look_for(key)?;
        }
        match found {
            Some(waiting) => self.arrived.open(key, waiting).map(Some),
            None => self.arrived.fates.consult(key).map_or(Ok(None), |fate| Err(fate.error())),
        }
    }

    /// The link on which the answer to a claim of `key` is awaited.
    pub(crate) fn claim_of(&self, key: &Key) -> Option<Arc<OwnedFd>> {
        let claimed = |incoming: &&Incoming| incoming.source == Some(key.0) && incoming.claim == Some(key.1);
        self.links.iter().find(claimed).map(|incoming| incoming.link.clone())
    }

    /// Awaits the answer to a claim of `key` on `link`.
    pub(crate) fn await_claim(&mut self, key: &Key, link: OwnedFd) {
        self.links.push(Incoming { link: Arc::new(link), source: Some(key.0), claim: Some(key.1) });
    }

    /// Notes that the source of `key` cannot be asked.
    pub(crate) fn note_source_gone(&mut self, key: &Key) {
        self.arrived.fates.note(*key, Fate::SourceGone);
    }

    /// Closes everything, in a forked child.
    pub(crate) fn abandon(&mut self) {
        self.listener = None;
        self.links.clear();
        self.arrived = Arrived::new();
    }

    fn look_for(&mut self, key: &Key) -> Result<Option<Waiting>> {
        if !self.arrived.ready.is_empty() {
            if let Some(waiting) = self.arrived.ready.remove(key) {
                return Ok(Some(waiting));
            }
        }
        if let Some(waiting) = self.read_links(key)? {
            return Ok(Some(waiting));
        }
        // Not on a link that was known: the source has opened one since.
        self.accept()?;
        self.read_links(key)
    }

    /// Reads the links of `key`'s source, and those that did not say whose they are, until `key` turns up.
    fn read_links(&mut self, key: &Key) -> Result<Option<Waiting>> {
        let mut at = 0;
        while let Some(incoming) = self.links.get_mut(at) {
            if incoming.source.is_some_and(|source| source != key.0) {
                at += 1;
                continue;
            }
            match incoming.read(&self.me, &mut self.arrived)? {
                Read::Duplicate(arrived, waiting) if arrived == *key => return Ok(Some(waiting)),
                Read::Duplicate(arrived, waiting) => drop(self.arrived.ready.insert(arrived, waiting)),
                Read::Frame => {}
                Read::Drained => at += 1,
                Read::Closed => drop(self.links.swap_remove(at)),
            }
        }
        Ok(None)
    }

    fn accept(&mut self) -> Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        loop {
            if self.links.len() >= self.tidy_at {
                self.links.retain(|incoming| !at_end(&incoming.link));
                self.tidy_at = (2 * self.links.len()).clamp(FEW_LINKS, MOST_LINKS);
            }
            // More wait in the backlog, with all that was delivered over them.
            if self.links.len() >= MOST_LINKS {
                return Err(Error::TooManyLinks { limit: MOST_LINKS });
            }
            let Some(link) = listener.accept()? else { return Ok(()) };
            self.links.push(Incoming { link: Arc::new(link), source: None, claim: None });
        }
    }
}

impl Incoming {
    fn read(&mut self, me: &Process, arrived: &mut Arrived) -> Result<Read> {
        arrived.make_room()?;
        let mut bytes = [0; SIZE];
        let arrival = match receive_rights(&self.link, &mut bytes, arrived.headroom.is_ample()) {
            Ok(Some(arrival)) => arrival,
            Err(Errno::AGAIN) => return Ok(Read::Drained),
            Err(errno @ (Errno::MFILE | Errno::NFILE)) => {
                return Err(Error::system("receiving a duplicate (no descriptor is free)")(errno));
            }
            Ok(None) | Err(_) => {
                if let (Some(source), Some(token)) = (self.source, self.claim) {
                    arrived.fates.note((source, token), Fate::SourceGone);
                }
                return Ok(Read::Closed);
            }
        };
        let frame = if arrival.length == SIZE { Frame::from_bytes(&bytes) } else { None };
        match (frame, arrival.descriptors, self.source) {
            (Some(Frame::Hello(process)), [None, None], None) if is_from(&self.link, &process, me) => {
                self.source = Some(process.who());
                Ok(Read::Frame)
            }
            (Some(Frame::Deliver { token, cookie, expires, gated }), [Some(descriptor), gate], Some(source))
                if gated == gate.is_some() =>
            {
                match sockopt::socket_cookie(&descriptor) {
                    Ok(arrived) if arrived == cookie => {}
                    _ => return Ok(Read::Closed),
                }
                if self.claim == Some(token) {
                    // Another thread may wait for the same answer: this wakes it.
                    self.claim = None;
                    let _ = shutdown(&*self.link, Shutdown::Both);
                }
                Ok(Read::Duplicate((source, token), Waiting { descriptor, expires, gate }))
            }
            (Some(Frame::Refuse(token, refusal)), [None, None], Some(source)) if self.claim == Some(token) => {
                let fate = match refusal {
                    Refusal::NotHeld => Fate::NotHeld,
                    Refusal::Expired => Fate::Expired,
                    Refusal::Revoked => Fate::Revoked,
                };
                arrived.fates.note((source, token), fate);
                Ok(Read::Closed)
            }
            _ => Ok(Read::Closed),
        }
    }
}

impl Arrived {
    fn new() -> Self {
        Arrived { headroom: Headroom::new(), ready: HashMap::new(), fates: Fates::default() }
    }

    /// Makes room for one more duplicate, by closing those that nobody can redeem any more.
    fn make_room(&mut self) -> Result<()> {
        if self.ready.len() < MOST_READY {
            return Ok(());
        }
        let now = since_boot();
        let expired: Vec<Key> =
            self.ready.iter().filter(|(_, waiting)| waiting.expired_at(now)).map(|(key, _)| *key).collect();
        for key in &expired {
            self.ready.remove(key);
            self.fates.note(*key, Fate::Expired);
        }
        match expired.is_empty() {
            true => Err(Error::TooManyUnredeemed { limit: MOST_READY }),
            false => Ok(()),
        }
    }

    /// Hands out what waited, if it may be had.
    fn open(&mut self, key: &Key, waiting: Waiting) -> Result<OwnedFd> {
        let fate = if waiting.expires != 0 && waiting.expired_at(since_boot()) {
            Fate::Expired
        } else if waiting.gate.is_some_and(|gate| take_gate(gate) != Ok(true)) {
            Fate::Revoked
        } else {
            Fate::Redeemed
        };
        self.fates.note(*key, fate);
        match fate {
            Fate::Redeemed => Ok(waiting.descriptor),
            fate => Err(fate.error()),
        }
    }
}

impl Fates {
    fn of(&self, key: &Key) -> Option<Fate> {
        let print = self.hash.hash_one(key);
        self.young.get(&print).or_else(|| self.old.get(&print)).copied()
    }

    /// The fate of `key`. One that may change is forgotten.
    fn consult(&mut self, key: &Key) -> Option<Fate> {
        let fate = self.of(key)?;
        if fate.may_change() {
            let print = self.hash.hash_one(key);
            self.young.remove(&print);
            self.old.remove(&print);
        }
        Some(fate)
    }

    fn note(&mut self, key: Key, fate: Fate) {
        if fate.may_change() && self.of(&key).is_some() {
            return;
        }
        if self.young.len() >= REMEMBERED {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(self.hash.hash_one(key), fate);
    }
}

impl Waiting {
    fn expired_at(&self, now: u64) -> bool {
        self.expires != 0 && self.expires <= now
    }
}

impl Fate {
    fn may_change(self) -> bool {
        matches!(self, Fate::NotHeld | Fate::SourceGone)
    }

    fn error(self) -> Error {
        match self {
            Fate::Redeemed => Error::AlreadyRedeemed,
            Fate::Expired => Error::Expired,
            Fate::Revoked => Error::Revoked,
            Fate::NotHeld => Error::UnknownDelivery,
            Fate::SourceGone => Error::SourceGone,
        }
    }
}
