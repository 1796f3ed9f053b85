//! The memory that all processes of a domain have in common.

use super::attached::{Found, Locks};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::provider::linux::process::has_ended;
use crate::provider::linux::sys::{ForkMark, Segment, remove_abandoned_segments};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

/// What the memory begins with; the last byte is the version of the layout.
const MAGIC: [u8; 8] = *b"shareev\x02";
/// How long others may take for what takes microseconds: to end.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);
/// After so many pauses, some 30 milliseconds, others that propose memory are not waited for: they may be stopped.
const POLITE: u32 = 12;
/// Words at the beginning of the memory that are in use here: the magic, and which directory the domain is.
pub(crate) const HEADER: usize = 3;

/// What in this process watches sockets of the domain for one owner of registrations.
pub(crate) trait Watcher: Debug + Send + Sync {
    /// Something may be due of the socket that has this slot.
    fn look(&self, slot: u32);
    /// Records all that the kernel has reported; whether the registration of `slot` still is this owner's.
    fn gather(&self, slot: u32) -> bool;
    /// Ends watching the socket with this slot, if it still is under this number.
    fn leave(&self, slot: u32, number: u32);
    /// Its own type, for those who know it.
    fn as_any(self: Arc<Self>) -> Arc<dyn std::any::Any + Send + Sync>;
}

/// The attached memory.
#[derive(Debug)]
pub(crate) struct SharedSegment {
    // Detached first: whoever shows that it is attached has it attached.
    segment: Segment,
    _shown: Locks,
    watchers: Watchers,
}

/// How long somebody is ready to wait for the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Until it is clear that it cannot be had.
    Patient,
    No,
}

/// Who in this process owns registrations; and in those that were forked from it, each of which has its own.
#[derive(Debug)]
struct Watchers {
    mark: ForkMark,
    here: RwLock<HashMap<u16, Weak<dyn Watcher>>>,
    forked: OnceLock<Box<Watchers>>,
}

impl Watchers {
    fn new() -> Result<Self> {
        let mark = ForkMark::new().map_err(Error::system("marking the table of events"))?;
        Ok(Watchers { mark, here: RwLock::default(), forked: OnceLock::new() })
    }

    /// Those of the process that runs. What it inherited may be locked by a thread that it does not have.
    fn mine(&self) -> Result<&RwLock<HashMap<u16, Weak<dyn Watcher>>>> {
        let mut found = self;
        while !found.mark.is_mine() {
            found = match found.forked.get() {
                Some(forked) => forked,
                None => {
                    let made = Box::new(Watchers::new()?);
                    found.forked.get_or_init(|| made)
                }
            };
        }
        Ok(&found.here)
    }
}

impl SharedSegment {
    /// Attaches the memory of `domain`, if somebody has it attached.
    pub(crate) fn existing(domain: &Domain, words: usize) -> Result<Option<Self>> {
        let mut pauses = Pauses::new(Wait::Patient);
        loop {
            let locks = Locks::of(domain)?;
            match locks.find(words, &header(domain))? {
                Found::Segment(segment) => return Self::attached(segment, locks).map(Some),
                Found::Nothing | Found::Proposed => return Ok(None),
                Found::Unusable(why) if !pauses.pause() => return Err(bad(domain, why)),
                Found::Unusable(_) => {}
            }
        }
    }

    /// Attaches the memory of `domain`, or makes it when nobody has it attached.
    pub(crate) fn open(domain: &Domain, words: usize, wait: Wait) -> Result<Self> {
        let header = header(domain);
        let mut pauses = Pauses::new(wait);
        let locks = Locks::of(domain)?;
        let mut own = None;
        loop {
            let found = match &own {
                None => locks.find(words, &header)?,
                Some(segment) => locks.propose(segment, words, &header, pauses.count > POLITE)?,
            };
            match (found, own.take()) {
                (Found::Segment(segment), _) | (Found::Nothing, Some(segment)) => {
                    return Self::attached(segment, locks);
                }
                (Found::Nothing, None) => own = Some(make(domain, words)?),
                (Found::Proposed, segment) => {
                    own = segment;
                    if own.is_none() {
                        own = Some(make(domain, words)?);
                    }
                    if !pauses.pause() {
                        // Somebody makes it just now: nobody is registered in it yet.
                        return Err(Error::system("making the table of events")(Errno::AGAIN));
                    }
                }
                (Found::Unusable(why), segment) => {
                    own = segment;
                    if !pauses.pause() {
                        return Err(bad(domain, why));
                    }
                }
            }
        }
    }

    fn attached(segment: Segment, locks: Locks) -> Result<Self> {
        Ok(SharedSegment { segment, _shown: locks, watchers: Watchers::new()? })
    }

    /// The memory.
    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// From now on `watcher` is found under `owner`.
    pub(crate) fn watch(&self, owner: u16, watcher: Weak<dyn Watcher>) -> Result<()> {
        self.watchers.mine()?.write().unwrap_or_else(PoisonError::into_inner).insert(owner, watcher);
        Ok(())
    }

    pub(crate) fn unwatch(&self, owner: u16) {
        if let Ok(watchers) = self.watchers.mine() {
            watchers.write().unwrap_or_else(PoisonError::into_inner).remove(&owner);
        }
    }

    /// Who in this process is `owner`.
    pub(crate) fn watcher(&self, owner: u16) -> Option<Arc<dyn Watcher>> {
        self.watchers.mine().ok()?.read().unwrap_or_else(PoisonError::into_inner).get(&owner)?.upgrade()
    }
}

/// Growing pauses, for as long as somebody is ready to wait.
struct Pauses {
    until: Option<Instant>,
    next: Duration,
    count: u32,
}

impl Pauses {
    fn new(wait: Wait) -> Self {
        let until = (wait == Wait::Patient).then(|| Instant::now() + SETTLE_TIMEOUT);
        Pauses { until, next: Duration::from_micros(20), count: 0 }
    }

    /// Pauses; `false` when the time is over.
    fn pause(&mut self) -> bool {
        if self.until.is_none_or(|until| Instant::now() >= until) {
            return false;
        }
        std::thread::sleep(self.next);
        self.count += 1;
        self.next = (self.next * 2).min(Duration::from_millis(5));
        true
    }
}

/// A segment that nobody knows of yet.
fn make(domain: &Domain, words: usize) -> Result<Segment> {
    remove_abandoned_segments(words, has_ended);
    Segment::create(words, domain.group()).map_err(Error::system("making the table of events"))
}

fn header(domain: &Domain) -> [u64; HEADER] {
    let (device, inode) = domain.identity();
    [u64::from_le_bytes(MAGIC), device, inode]
}

fn bad(domain: &Domain, why: &'static str) -> Error {
    Error::BadTable { path: domain.path().to_owned(), why }
}
